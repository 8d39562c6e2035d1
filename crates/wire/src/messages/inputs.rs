//! The inputs of a task on their way from whoever starts it to its process. The values pass through as they were sent; what is read and
//! written is the context beside them.

use bytes::Bytes;
use spanwise_core::trace::{TRACEPARENT, TraceParent};
use spanwise_proto::flyteidl2::core::KeyValuePair;
use spanwise_proto::flyteidl2::task::Inputs;
use spanwise_proto::{HasMessageView as _, Message as _, decoding_values};

use crate::{CustomContext, Invalid, values};

/// The inputs of a new task action: decoded once, encoded once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskInputs {
    /// The values; the context is beside them.
    values: Inputs,
    /// The context.
    pub context: CustomContext,
}

impl From<Inputs> for TaskInputs {
    fn from(mut values: Inputs) -> TaskInputs {
        let context = CustomContext::from_message(std::mem::take(&mut values.context));
        TaskInputs { values, context }
    }
}

impl TaskInputs {
    /// True if the values are those of others, whatever their contexts.
    pub fn has_values_of(&self, other: &TaskInputs) -> bool {
        self.values == other.values
    }

    /// Reads `inputs.pb`.
    ///
    /// # Errors
    /// [`Invalid::Decode`] if it is none.
    pub fn read(inputs: &[u8]) -> Result<TaskInputs, Invalid> {
        Ok(TaskInputs::from(values::inputs(inputs)?))
    }

    /// Writes `inputs.pb`.
    pub fn encode(mut self) -> Bytes {
        self.values.context = self.context.to_message();
        values::encode_inputs(&self.values)
    }

    pub(super) fn values(&self) -> &Inputs {
        &self.values
    }

    pub(super) fn values_mut(&mut self) -> &mut Inputs {
        &mut self.values
    }
}

/// The context of an `inputs.pb`, whose values are looked through and not copied.
///
/// # Errors
/// [`Invalid::Decode`] if it is none.
pub fn context(inputs: &[u8]) -> Result<CustomContext, Invalid> {
    Ok(context_and_count(inputs)?.0)
}

/// The context, and how many pairs it was made of.
fn context_and_count(inputs: &[u8]) -> Result<(CustomContext, usize), Invalid> {
    let read = Inputs::decode_view_with_options(inputs, &decoding_values());
    let read = read.map_err(|source| Invalid::Decode { what: "inputs.pb", source })?;
    let pairs = read.context.iter().map(|pair| (pair.key.to_owned(), pair.value.to_owned()));
    Ok((CustomContext::from_pairs(pairs), read.context.len()))
}

/// Frozen inputs as an attempt is given them, and the map in them: with the attempt's own span, if it has one. It stands behind what was
/// frozen, which is passed on as it is: protobuf's messages can be put together, and of a key that comes twice the last value counts. Only
/// what came with such keys is written anew: the SDK looks for some of its own keys from the front.
///
/// # Errors
/// [`Invalid::Decode`] if the bytes are no `inputs.pb`.
pub fn delivered(frozen: &Bytes, span: Option<TraceParent>) -> Result<(Bytes, CustomContext), Invalid> {
    let (mut context, pairs) = context_and_count(frozen)?;
    if context.pairs().len() != pairs {
        let mut inputs = TaskInputs::read(frozen)?;
        span.iter().for_each(|span| inputs.context.set(TRACEPARENT, span.to_string()));
        let context = inputs.context.clone();
        return Ok((inputs.encode(), context));
    }
    let Some(span) = span.map(|span| span.to_string()) else { return Ok((frozen.clone(), context)) };
    context.set(TRACEPARENT, span.as_str());
    let own = KeyValuePair { key: TRACEPARENT.to_owned(), value: span, ..KeyValuePair::default() };
    let own = Inputs { context: vec![own], ..Inputs::default() }.encode_to_vec();
    Ok(([&frozen[..], &own].concat().into(), context))
}

#[cfg(test)]
mod tests {
    use spanwise_proto::flyteidl2::core::Literal;
    use spanwise_proto::flyteidl2::task::NamedLiteral;

    use super::*;

    const SPAN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn pair(key: &str, value: &str) -> KeyValuePair {
        KeyValuePair { key: key.to_owned(), value: value.to_owned(), ..KeyValuePair::default() }
    }

    /// Two values with the entries of a context before, between and behind them, and a field of a newer peer.
    fn scattered(pairs: &[KeyValuePair]) -> Bytes {
        let value = |name: &str| Inputs {
            literals: vec![NamedLiteral::new(name, Literal::string("x".repeat(300)))],
            ..Inputs::default()
        };
        let context = |pairs: &[KeyValuePair]| Inputs { context: pairs.to_vec(), ..Inputs::default() };
        let (before, behind) = pairs.split_at(pairs.len() / 2);
        let parts = [context(before), value("a"), context(behind), value("b")];
        let mut whole: Vec<u8> = parts.iter().flat_map(|part| part.encode_to_vec()).collect();
        // Field 100, a varint; field 101, eight bytes; field 102, four bytes.
        whole.extend([0xa0, 0x06, 0x96, 0x01]);
        whole.extend([0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
        whole.extend([0xb5, 0x06, 1, 2, 3, 4]);
        whole.into()
    }

    #[test]
    fn delivered_inputs_are_those_that_decoding_and_encoding_would_give() {
        let once = [pair("a", "1"), pair("traceparent", "old"), pair("_u_b", "2")];
        let twice = [pair("a", "1"), pair("a", "2")];
        for pairs in [&[][..], &once, &twice] {
            for span in [None, Some(SPAN.parse().unwrap())] {
                let frozen = scattered(pairs);
                let (delivered, context) = delivered(&frozen, span).unwrap();
                let mut expected = TaskInputs::read(&frozen).unwrap();
                if let Some(span) = span {
                    expected.context.set(TRACEPARENT, span.to_string());
                }
                assert_eq!(context, expected.context);
                assert_eq!(TaskInputs::read(&delivered).unwrap(), expected);
                assert_eq!(delivered.as_ptr() == frozen.as_ptr(), span.is_none() && pairs != twice);
                let keys = |inputs: &[u8]| values::inputs(inputs).unwrap().context.into_iter().map(|pair| pair.key);
                let own = keys(&delivered).filter(|key| key != TRACEPARENT).collect::<Vec<_>>();
                let expected = expected.context.pairs().iter().map(|(key, _)| key.clone());
                assert_eq!(own, expected.filter(|key| key != TRACEPARENT).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_long_list_is_read_by_whoever_reads_values() {
        let list = Literal::list((0..400_000).map(Literal::integer).collect());
        let literals = vec![NamedLiteral::new("all", list)];
        let inputs = Bytes::from(Inputs { literals: literals.clone(), ..Inputs::default() }.encode_to_vec());
        assert!(inputs.len() < 10 << 20);
        assert!(context(&inputs).is_ok() && delivered(&inputs, None).is_ok() && TaskInputs::read(&inputs).is_ok());
        let outputs = spanwise_proto::flyteidl2::task::Outputs { literals, ..Default::default() };
        assert!(values::outputs(&outputs.encode_to_vec()).is_ok());
    }

    #[test]
    fn what_is_no_message_is_refused_wherever_it_breaks_off() {
        let frozen = scattered(&[pair("a", "1"), pair("b", "2")]);
        for end in 0..frozen.len() {
            let cut = frozen.slice(..end);
            let is_message = values::inputs(&cut).is_ok();
            assert_eq!(delivered(&cut, None).is_ok(), is_message, "{end} bytes");
            assert_eq!(context(&cut).is_ok(), is_message, "{end} bytes");
        }
    }

    #[test]
    fn the_context_is_read_without_the_values() {
        let frozen = scattered(&[pair("a", "1"), pair("a", "2"), pair("b", "")]);
        assert_eq!(context(&frozen).unwrap(), TaskInputs::read(&frozen).unwrap().context);
    }
}
