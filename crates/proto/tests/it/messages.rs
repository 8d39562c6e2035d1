//! Messages of newer peers survive decoding and encoding.

use spanwise_proto::{
    Message,
    flyteidl2::{
        core::{ErrorDocument, Literal, TypedInterface, container_error, execution_error},
        task::{Inputs, Outputs},
    },
};

use crate::golden::{bytes, case, cases, hex, text};

fn recoded<M: Message>(data: &[u8]) -> String {
    hex(&M::decode_from_slice(data).unwrap().encode_to_vec())
}

#[test]
fn unknown_fields_survive_decode_and_encode() {
    for case in cases("messages") {
        let data = bytes(&case["bytes"]);
        let again = match text(&case["message"]) {
            "Inputs" => recoded::<Inputs>(&data),
            "Outputs" => recoded::<Outputs>(&data),
            "ErrorDocument" => recoded::<ErrorDocument>(&data),
            other => panic!("no message {other}"),
        };
        assert_eq!(again, text(&case["bytes"]), "{}", case["name"]);
    }
}

#[test]
fn literals_and_types_are_encoded_in_the_order_of_flyte() {
    for case in cases("literals") {
        let literal = bytes(&case["literal"]);
        assert_eq!(recoded::<Literal>(&literal), text(&case["literal"]));
        let interface = bytes(&case["interface"]);
        assert_eq!(recoded::<TypedInterface>(&interface), text(&case["interface"]));
    }
    for case in cases("hashed_literals") {
        let literal = bytes(&case["literal"]);
        assert_eq!(recoded::<Literal>(&literal), text(&case["literal"]));
    }
}

#[test]
fn error_document_has_the_fields_of_flyte() {
    let document = bytes(&case("messages", "error")["bytes"]);
    let error = ErrorDocument::decode_from_slice(&document).unwrap().error;
    assert_eq!((&*error.code, &*error.message), ("ValueError", "no"));
    assert_eq!(error.kind, container_error::Kind::RECOVERABLE);
    assert_eq!(error.origin, execution_error::ErrorKind::USER);
}
