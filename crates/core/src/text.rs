//! Text that others have sent, made harmless for a terminal or a message.

/// Whether a character changes the direction of those around it (Unicode's `Bidi_Control`): with them, a text can look like another
/// one than it is. They are shown by their code; letters that are written from right to left need none of them.
pub fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of a request for a message about it: its first 80 characters at most, and in one line.
pub fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// A length of time for a message, in seconds.
pub fn seconds(length: std::time::Duration) -> String {
    format!("{} s", length.as_secs_f64())
}

/// A number of bytes as resources are written: `512Mi`, `1.5Gi`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| count >= *size) else { return count.to_string() };
    let shown = format!("{:.1}", count as f64 / size as f64);
    format!("{}{unit}", shown.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_seconds() {
        let millis = |millis| seconds(std::time::Duration::from_millis(millis));
        assert_eq!((millis(90_000), millis(1_500), millis(20)), ("90 s".into(), "1.5 s".into(), "0.02 s".into()));
    }

    #[test]
    fn bytes_are_in_the_greatest_unit_that_they_fill() {
        let found = [0, 1023, 1 << 10, 1536 << 20, 4 << 30, 3 << 40].map(bytes);
        assert_eq!(found, ["0", "1023", "1Ki", "1.5Gi", "4Gi", "3Ti"]);
    }

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(shown(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(shown(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
    }
}
