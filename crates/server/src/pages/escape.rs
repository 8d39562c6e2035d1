//! How text gets into a page: as text, and in the direction that it is written in.

use spanwise_wire::is_bidi_control;
use std::fmt::{self, Write};

use askama::filters::{self, Escaper};

/// Escapes for HTML, and shows what would turn the text around by its code. Templates use it by `askama.toml`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut rest = string;
        while let Some(at) = rest.find(is_bidi_control) {
            let (before, behind) = rest.split_at(at);
            filters::Html.write_escaped_str(&mut dest, before)?;
            let mut characters = behind.chars();
            characters.next().map_or(Ok(()), |control| write!(dest, "{}", control.escape_unicode()))?;
            rest = characters.as_str();
        }
        filters::Html.write_escaped_str(dest, rest)
    }
}

/// The same for text that a script puts on a page.
pub(super) fn without_directions(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if is_bidi_control(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_keeps_its_direction() {
        let cases = [
            ("a <b> & \"c\"", "a &#60;b&#62; &#38; &#34;c&#34;"),
            ("exe.\u{202e}txt.<", "exe.\\u{202e}txt.&#60;"),
            ("\u{2066}\u{200f}", "\\u{2066}\\u{200f}"),
            ("\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{65e5}\u{672c}", "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{65e5}\u{672c}"),
            ("", ""),
        ];
        for (text, expected) in cases {
            let mut written = String::new();
            Html.write_escaped_str(&mut written, text).unwrap();
            assert_eq!(written, expected, "{text:?}");
        }
        assert_eq!(without_directions("a\u{202e}<"), "a\\u{202e}<");
    }
}
