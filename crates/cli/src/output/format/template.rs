//! A line for each document, from a template such as `{id}\t{state}`.
//!
//! The grammar is small on purpose, without conditions and loops: what needs those reads JSON.

use std::io;
use std::str::FromStr;

use super::fields::Path;
use super::json::Fields;
use super::{Encode, cell_raw};
use crate::output::page::Page;

/// Longest template, in bytes.
const MOST: usize = 4096;

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Path),
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Template, String> {
        if text.len() > MOST {
            return Err(format!("a template has at most {MOST} bytes"));
        }
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '{' | '}' if after.starts_with(c) => {
                    plain.push(c);
                    &after[1..]
                }
                '{' => {
                    let (name, after) = after
                        .split_once('}')
                        .ok_or_else(|| format!("'{{{after}' has no '}}'; {{{{ prints a brace"))?;
                    let field = name.parse()?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Field(field));
                    after
                }
                '}' => return Err("a '}' has no '{' before it; }} prints a brace".to_owned()),
                '\\' => {
                    let (c, after) = escaped(after)?;
                    plain.push(c);
                    after
                }
                c => {
                    plain.push(c);
                    after
                }
            };
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }
}

/// Returns the character that is meant by what follows a backslash, and the rest.
fn escaped(after: &str) -> Result<(char, &str), String> {
    let c = match after.chars().next() {
        Some('t') => '\t',
        Some('n') => '\n',
        Some('\\') => '\\',
        Some(other) => {
            return Err(format!(
                "'\\{other}' is not an escape; there are \\t, \\n and \\\\"
            ));
        }
        None => return Err("a template does not end in one backslash; \\\\ prints it".to_owned()),
    };
    Ok((c, &after[1..]))
}

impl Template {
    /// Returns whether one of these fields, or a part of it, is printed.
    pub fn has(&self, names: &[&str]) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part, Part::Field(field) if names.contains(&field.first())))
    }

    fn line(&self, document: &str, raw: bool) -> io::Result<String> {
        let fields: Fields = serde_json::from_str(document)?;
        let mut line = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Field(field) => {
                    if let Some(value) = field.find(&fields)? {
                        line.push_str(&cell_raw(value.get(), raw)?);
                    }
                }
            }
        }
        Ok(line)
    }
}

/// Encodes documents by a template.
pub struct Rendered {
    pub template: &'static Template,
    pub raw: bool,
}

impl Encode for Rendered {
    fn item(&mut self, document: &str, mut out: &mut dyn io::Write) -> io::Result<()> {
        let line = self.template.line(document, self.raw)?;
        // Fields are escaped, and what stands between them is the user's.
        Page::write_line(&mut out, &line, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"id":"a\u001b\n","n":7,"none":null,"last":{"code":3},"list":["x",1],"yes":true}"#;

    fn line(template: &str, raw: bool) -> String {
        let template: Template = template.parse().unwrap();
        template.line(DOCUMENT, raw).unwrap()
    }

    #[test]
    fn fields_and_escapes_are_replaced() {
        assert_eq!(
            line(r"{n}\t{{{yes}}}\\{none}{last.code}{none.x}\n日", false),
            "7\t{true}\\3\n日"
        );
        assert_eq!(line("{list} {last}", false), r#"["x",1] {"code":3}"#);
        assert_eq!(line("{id}", false), r"a\x1b\n");
        assert_eq!(line("{id}", true), "a\u{1b}\n");
        assert_eq!(line("", false), "");
    }

    #[test]
    fn mistakes_are_told_with_what_to_write() {
        for (template, message) in [
            ("{id", "'{id' has no '}'; {{ prints a brace"),
            ("id}", "a '}' has no '{' before it; }} prints a brace"),
            ("{}", "'' is not the name of a field, such as id"),
            ("{i d}", "'i d' is not the name of a field, such as id"),
            (r"{id}\x", r"'\x' is not an escape; there are \t, \n and \\"),
            (
                r"{id}\",
                r"a template does not end in one backslash; \\ prints it",
            ),
        ] {
            assert_eq!(template.parse::<Template>().unwrap_err(), message);
        }
        assert!("x".repeat(MOST + 1).parse::<Template>().is_err());
        let template: Template = "{ide}".parse().unwrap();
        let error = template.line(DOCUMENT, false).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("there is no field 'ide'; the fields are id, n, none")
        );
    }
}
