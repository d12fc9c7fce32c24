//! JSON and JSON lines, safe to show on a terminal.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Encode, Shape};
use crate::output::escape::is_unsafe;

/// Returns the value as one line of JSON. Characters that could control a terminal are written as `\uXXXX`, which means
/// the same to a JSON reader.
pub fn to_line(value: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(value)?;
    if !text.contains(is_unsafe) {
        return Ok(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // All of them stand inside strings.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// Returns the line with these of its fields alone, in that order.
pub fn pick(line: &str, wanted: &[&str]) -> io::Result<String> {
    let Fields(fields) = serde_json::from_str(line)?;
    let mut picked = String::from("{");
    for name in wanted {
        let Some((_, value)) = fields.iter().find(|(field, _)| field == name) else {
            continue;
        };
        if picked.len() > 1 {
            picked.push(',');
        }
        let _ = write!(picked, "\"{name}\":{value}");
    }
    picked.push('}');
    Ok(picked)
}

/// The fields of an object, in their order.
pub struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Encodes JSON: one document a line, and the items of a list as an array.
pub struct Json {
    shape: Shape,
    is_empty: bool,
}

impl Json {
    pub fn new(shape: Shape) -> Json {
        Json {
            shape,
            is_empty: true,
        }
    }
}

impl Encode for Json {
    fn start(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.shape {
            Shape::Document | Shape::Records => Ok(()),
            Shape::Array | Shape::LongArray => out.write_all(b"["),
        }
    }

    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        let separator = match (self.shape, self.is_empty) {
            (Shape::Document | Shape::Records, _) => return writeln!(out, "{json}"),
            (Shape::Array, true) => "",
            (Shape::Array, false) => ",",
            (Shape::LongArray, true) => "\n",
            (Shape::LongArray, false) => ",\n",
        };
        self.is_empty = false;
        write!(out, "{separator}{json}")
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.shape {
            Shape::Document | Shape::Records => Ok(()),
            Shape::LongArray if !self.is_empty => out.write_all(b"\n]\n"),
            Shape::Array | Shape::LongArray => out.write_all(b"]\n"),
        }
    }
}

/// Encodes JSON lines: one document a line, also the items of a list.
pub struct JsonLines;

impl Encode for JsonLines {
    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{json}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let line = to_line(&["\u{1b}[31m\u{9b}\u{7f}\u{202e}\n"]).unwrap();
        assert_eq!(line, r#"["\u001b[31m\u009b\u007f\u202e\n"]"#);
        let hidden = ["\u{2028}\u{61c}\u{feff}\u{e0041}"];
        let line = to_line(&hidden).unwrap();
        assert_eq!(line, r#"["\u2028\u061c\ufeff\udb40\udc41"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), hidden);
    }

    #[test]
    fn fields_are_picked_in_the_order_that_is_asked_for() {
        let line = r#"{"id":"a\u001b","number":1,"big":123456789012345678901234567890,"env":{"id":1}}"#;
        let picked = pick(line, &["env", "big", "none", "id"]).unwrap();
        assert_eq!(
            picked,
            r#"{"env":{"id":1},"big":123456789012345678901234567890,"id":"a\u001b"}"#
        );
        assert_eq!(pick(line, &["none"]).unwrap(), "{}");
    }

    fn encoded(mut encoder: impl Encode, items: &[i32]) -> String {
        let mut out = Vec::new();
        encoder.start(&mut out).unwrap();
        for item in items {
            encoder.item(&item.to_string(), &mut out).unwrap();
        }
        encoder.end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Others read line by line; what stands on a line must not change.
    #[test]
    fn lines_and_arrays_are_what_the_page_says() {
        let all = |shape| [&[][..], &[1], &[1, 2]].map(|items| encoded(Json::new(shape), items));
        assert_eq!(all(Shape::Array), ["[]\n", "[1]\n", "[1,2]\n"]);
        assert_eq!(all(Shape::LongArray), ["[]\n", "[\n1\n]\n", "[\n1,\n2\n]\n"]);
        assert_eq!(all(Shape::Records), ["", "1\n", "1\n2\n"]);
        assert_eq!(encoded(JsonLines, &[1, 2]), "1\n2\n");
    }
}
