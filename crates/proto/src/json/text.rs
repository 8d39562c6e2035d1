//! Simple values as people type them: on a command line, in a form.

use serde_json::Value as Json;

use super::Misfit;
use crate::flyteidl2::core::{Literal, SimpleType};

/// A number as it is typed; `inf`, `-inf` and `nan` are numbers too. One that is too large for a float is none, and not infinity.
pub fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let is_beyond = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    (!is_beyond).then_some(value)
}

/// The words for truth that stock Flyte takes (`remote/_condition.py`), in any case.
const TRUE: [&str; 5] = ["true", "yes", "y", "t", "1"];
const FALSE: [&str; 5] = ["false", "no", "n", "f", "0"];

impl Literal {
    /// The literal of a text, in the type of a condition: bool, int, float or str.
    ///
    /// # Errors
    /// [`Misfit`] if the text is no value of the type, or the type is another one.
    pub fn from_text(simple: SimpleType, text: &str) -> Result<Literal, Misfit> {
        let misfit = |expected: &str| Misfit::new(expected, &Json::String(text.to_owned()));
        let plain = text.trim();
        match simple {
            SimpleType::BOOLEAN if TRUE.contains(&plain.to_lowercase().as_str()) => Ok(Literal::boolean(true)),
            SimpleType::BOOLEAN if FALSE.contains(&plain.to_lowercase().as_str()) => Ok(Literal::boolean(false)),
            SimpleType::BOOLEAN => Err(misfit("true or false")),
            SimpleType::INTEGER => plain.parse().map(Literal::integer).map_err(|_| misfit("an integer of 64 bits")),
            SimpleType::FLOAT => float(plain).map(Literal::float).ok_or_else(|| misfit("a number of 64 bits")),
            SimpleType::STRING => Ok(Literal::string(text)),
            _ => Err(misfit("a value of a type that can be typed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_a_float_cannot_hold_is_none() {
        for (text, value) in [("1.5", 1.5), ("-1e3", -1000.0), ("1e308", 1e308), ("1e-400", 0.0), ("7", 7.0)] {
            assert_eq!(float(text), Some(value), "{text}");
        }
        for (text, value) in [("inf", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)] {
            assert_eq!(float(text), Some(value), "{text}");
        }
        assert!(float("nan").is_some_and(f64::is_nan));
        for beyond in ["1e400", "-1e400", "1E309", "179769313486231580793728971405301e300", "", "1,5", "0x10", "1e"] {
            assert_eq!(float(beyond), None, "{beyond}");
        }
    }

    #[test]
    fn a_text_is_a_literal_of_its_type_or_is_refused() {
        use SimpleType as Type;
        for (simple, text, value) in [
            (Type::BOOLEAN, "true", Literal::boolean(true)),
            (Type::BOOLEAN, " No ", Literal::boolean(false)),
            (Type::INTEGER, "-7", Literal::integer(-7)),
            (Type::FLOAT, "1e3", Literal::float(1000.0)),
            (Type::FLOAT, "3", Literal::float(3.0)),
            (Type::STRING, " größe\n", Literal::string(" größe\n")),
            (Type::STRING, "", Literal::string("")),
        ] {
            assert_eq!(Literal::from_text(simple, text), Ok(value), "{simple:?} {text:?}");
        }
        for (simple, text, expected) in [
            (Type::BOOLEAN, "maybe", "true or false"),
            (Type::INTEGER, "1.0", "an integer of 64 bits"),
            (Type::INTEGER, "9223372036854775808", "an integer of 64 bits"),
            (Type::FLOAT, "1e400", "a number of 64 bits"),
            (Type::FLOAT, "", "a number of 64 bits"),
            (Type::DATETIME, "now", "can be typed"),
        ] {
            let misfit = Literal::from_text(simple, text).unwrap_err().to_string();
            assert!(misfit.contains(expected), "{simple:?} {text:?}: {misfit}");
        }
    }
}
