//! Text of others in front of people.

/// Whether a character changes the direction of those around it (Unicode's `Bidi_Control`): with them, a text can look like another
/// one than it is. They are shown by their code; letters that are written from right to left need none of them.
pub fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
