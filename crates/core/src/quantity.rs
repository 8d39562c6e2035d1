//! Amounts of resources, as Kubernetes writes them.

/// Thousandths of a processor: `2`, `0.5`, `500m`. The next one above.
pub fn millis(text: &str) -> Option<u64> {
    /// More than any machine has, and less than what cannot be counted.
    const MOST: f64 = 1e12;
    let (number, factor) = match text.strip_suffix('m') {
        Some(number) => (number, 1.0),
        None => (text, 1000.0),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let millis = number.parse::<f64>().ok().filter(|_| is_number)? * factor;
    (0.0..=MOST).contains(&millis).then_some(millis.ceil() as u64)
}

/// A number of bytes: `512Mi`, `2G`, `1e9`.
pub fn quantity(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => f64::powi(1024.0, 2),
        "Gi" => f64::powi(1024.0, 3),
        "Ti" => f64::powi(1024.0, 4),
        "Pi" => f64::powi(1024.0, 5),
        "Ei" => f64::powi(1024.0, 6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    (1.0..1.8e19).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [("0", 0), ("2", 2000), ("0.5", 500), ("500m", 500), ("0.0001", 1), ("0m", 0)] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for wrong in ["", "m", "-1", "many", "1e3", "inf", "nan", ".", "1 ", "99999999999999"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
