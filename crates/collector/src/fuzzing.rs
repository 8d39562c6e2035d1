//! The decoder of requests, as a function from any bytes to nothing: what it must not do is panic, hang or take memory without end.

use bytes::Bytes;

use crate::refused::Refused;
use crate::{decode, json};

/// Any bytes as a request in protobuf and in JSON.
///
/// # Panics
/// If what is taken from it cannot be sent on.
pub fn spans(data: &[u8]) {
    let mut refused = Refused::default();
    let json = json::to_protobuf(data, &mut refused).ok().map(Bytes::from);
    for request in json.into_iter().chain([Bytes::copy_from_slice(data)]) {
        if decode::check(&request).is_err() {
            continue;
        }
        let taken = decode::Spans::of(request).next_batch(usize::MAX, usize::MAX, &mut refused);
        let again = Bytes::from(decode::request_of(taken.iter()));
        assert_eq!(decode::check(&again), Ok(()), "what is sent on is a request");
        let mut nothing = Refused::default();
        let again = decode::Spans::of(again).next_batch(usize::MAX, usize::MAX, &mut nothing);
        assert!(again == taken && nothing == Refused::default(), "what is sent on has the same spans");
    }
}
