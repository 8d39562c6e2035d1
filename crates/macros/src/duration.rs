//! Durations in attributes: `"30s"`, `"1h30m"`.

use syn::LitStr;

/// Milliseconds of a literal.
pub(crate) fn millis(literal: &LitStr) -> syn::Result<u64> {
    let text = literal.value();
    let wrong = || {
        let message = format!("expected a duration such as \"30s\" or \"1h30m\" (ms, s, m, h, d), found \"{text}\"");
        syn::Error::new(literal.span(), message)
    };
    let mut rest = text.trim();
    let mut total = 0u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let factor = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = rest[unit_end..].trim_start();
    }
    Ok(total)
}
