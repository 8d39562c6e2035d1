//! Msgpack as indented JSON, with what JSON has no form for in a readable one.

use std::fmt::Write as _;

use super::Value;

/// The value in at most about `longest` bytes, and whether that is all of it.
pub(super) fn pretty(value: &Value, longest: usize) -> (String, bool) {
    let mut writer = Writer { out: String::new(), longest };
    let whole = writer.value(value, 0);
    (writer.out, whole)
}

struct Writer {
    out: String,
    longest: usize,
}

impl Writer {
    /// False if there was no room for all of it.
    fn value(&mut self, value: &Value, depth: usize) -> bool {
        if self.out.len() > self.longest {
            return false;
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::String(text) => match text.as_str() {
                Some(text) => return self.text(text),
                None => self.bytes(text.as_bytes()),
            },
            Value::Binary(bytes) => self.bytes(bytes),
            Value::Ext(kind, data) => {
                let _ = write!(self.out, "<extension {kind}, {} bytes>", data.len());
            }
            Value::Array(items) => return self.sequence(('[', ']'), items, depth, Writer::value),
            Value::Map(entries) => {
                return self.sequence(('{', '}'), entries, depth, |writer, (key, value), depth| {
                    writer.value(key, depth) && {
                        writer.out.push_str(": ");
                        writer.value(value, depth)
                    }
                });
            }
            number => {
                let _ = write!(self.out, "{number}");
            }
        }
        true
    }

    fn sequence<T>(
        &mut self,
        (open, close): (char, char),
        items: &[T],
        depth: usize,
        write: impl Fn(&mut Writer, &T, usize) -> bool,
    ) -> bool {
        self.out.push(open);
        for (index, item) in items.iter().enumerate() {
            self.out.push_str(if index > 0 { ",\n" } else { "\n" });
            self.indent(depth + 1);
            if !write(self, item, depth + 1) {
                return false;
            }
        }
        if !items.is_empty() {
            self.out.push('\n');
            self.indent(depth);
        }
        self.out.push(close);
        true
    }

    fn indent(&mut self, depth: usize) {
        (0..depth).for_each(|_| self.out.push_str("  "));
    }

    fn text(&mut self, text: &str) -> bool {
        let room = self.longest.saturating_sub(self.out.len()).max(16);
        let end = text.floor_char_boundary(room);
        match serde_json::to_string(&text[..end]) {
            Ok(quoted) => self.out.push_str(&quoted),
            Err(_) => self.out.push('?'),
        }
        end == text.len()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let _ = write!(self.out, "<{} bytes>", bytes.len());
    }
}
