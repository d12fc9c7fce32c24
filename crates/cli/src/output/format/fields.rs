//! Fields of documents: which of them are printed, and how one is found by its name.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::json::Fields;
use super::{Encode, Shape, cell};
use crate::output::page::Page;
use crate::output::table::{Column, Table};

/// Most fields that can be asked for.
const MOST: usize = 100;

/// The fields that are printed, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    fields: Vec<Path>,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Selection, String> {
        let mut fields: Vec<Path> = Vec::new();
        for name in text.split(',') {
            let field: Path = name.trim().parse()?;
            if fields.contains(&field) {
                return Err(format!("'{field}' is there twice"));
            }
            if fields.len() == MOST {
                return Err(format!("expected at most {MOST} fields"));
            }
            fields.push(field);
        }
        Ok(Selection { fields })
    }
}

impl Selection {
    /// Returns whether one of these fields, or a part of it, is printed.
    pub fn has(&self, names: &[&str]) -> bool {
        self.fields.iter().any(|field| names.contains(&field.first()))
    }

    /// Returns these fields of a document, with the names by which they were asked for.
    fn of(&self, document: &str) -> io::Result<Vec<(&Path, String)>> {
        let fields = serde_json::from_str(document)?;
        let found = self.fields.iter().map(|field| {
            let value = field.find(&fields)?.map_or("null", RawValue::get);
            Ok((field, value.to_owned()))
        });
        found.collect()
    }
}

/// The name of a field, or of one inside it: `last_attempt.exit_code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Path, String> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_name = |part: &String| {
            let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            !part.is_empty() && part.chars().all(is_letter)
        };
        match parts.iter().all(is_name) {
            true => Ok(Path(parts)),
            false => Err(format!("'{text}' is not the name of a field, such as id")),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0.join("."))
    }
}

impl Path {
    /// Returns the name of the field of the document.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Returns the value; none if it is inside a field that is null.
    ///
    /// # Errors
    /// The document has no such field.
    pub fn find<'a>(&self, document: &Fields<'a>) -> io::Result<Option<&'a RawValue>> {
        let mut inside;
        let mut fields = document;
        for (depth, part) in self.0.iter().enumerate() {
            let Some((_, value)) = fields.0.iter().find(|(name, _)| name == part) else {
                return Err(io::Error::other(UnknownField {
                    field: self.0[..=depth].join("."),
                    known: fields.0.iter().map(|(name, _)| name.clone()).collect(),
                }));
            };
            if depth + 1 == self.0.len() {
                return Ok(Some(value));
            }
            inside = match value.get() {
                "null" => return Ok(None),
                object if object.starts_with('{') => serde_json::from_str(object)?,
                _ => Fields(Vec::new()),
            };
            fields = &inside;
        }
        Ok(None)
    }
}

/// A field was asked for that documents do not have.
#[derive(Debug, thiserror::Error)]
#[error("there is no field '{field}'{}", Known(.known))]
pub struct UnknownField {
    field: String,
    known: Vec<String>,
}

struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => Ok(()),
            false => write!(to, "; the fields are {}", self.0.join(", ")),
        }
    }
}

/// Returns why an error of the output is a mistake of the user.
pub fn unknown(error: &io::Error) -> Option<&UnknownField> {
    error.get_ref()?.downcast_ref()
}

/// Encodes only some fields, in another format. What that begins with is written with the first document, so that a field
/// that is not there is told before anything is printed.
pub struct Picked {
    pub selection: &'static Selection,
    pub inner: Box<dyn Encode>,
    pub has_begun: bool,
}

impl Picked {
    fn begin(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        match std::mem::replace(&mut self.has_begun, true) {
            true => Ok(()),
            false => self.inner.start(out),
        }
    }
}

impl Encode for Picked {
    fn item(&mut self, document: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let found = self.selection.of(document)?;
        let picked: Vec<String> = found
            .iter()
            .map(|(field, value)| format!("\"{field}\":{value}"))
            .collect();
        self.begin(out)?;
        self.inner.item(&format!("{{{}}}", picked.join(",")), out)
    }

    fn end(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        self.begin(out)?;
        self.inner.end(out)
    }
}

/// Shows some fields to people: a document as lines, a list as a table.
pub struct Shown {
    selection: &'static Selection,
    shape: Shape,
    table: Option<Table>,
    raw: bool,
}

impl Shown {
    pub fn new(selection: &'static Selection, shape: Shape, raw: bool) -> Shown {
        let columns: Vec<Column> = selection
            .fields
            .iter()
            // Columns have the names of the program; these are its user's, and it ends soon.
            .map(|field| Column::name(field.to_string().to_uppercase().leak(), 8))
            .collect();
        let is_list = matches!(shape, Shape::Array | Shape::LongArray);
        Shown {
            selection,
            shape,
            table: is_list.then(|| Table::new(&columns, raw)),
            raw,
        }
    }
}

impl Encode for Shown {
    fn item(&mut self, document: &str, mut out: &mut dyn io::Write) -> io::Result<()> {
        let found = self.selection.of(document)?;
        let mut cells = Vec::new();
        for (field, value) in &found {
            cells.push((field, cell(value)?));
        }
        if let Some(table) = &mut self.table {
            table.row(cells.into_iter().map(|(_, cell)| cell));
            return Ok(());
        }
        if self.shape == Shape::Document {
            let name = |(field, _): &(&&Path, String)| field.to_string().len();
            let width = cells.iter().map(name).max().unwrap_or(0);
            for (field, cell) in &cells {
                let line = format!("{:<width$}  {cell}", field.to_string());
                Page::write_line(&mut out, line.trim_end(), self.raw)?;
            }
            return Ok(());
        }
        let cells: Vec<String> = cells.into_iter().map(|(_, cell)| cell).collect();
        Page::write_line(&mut out, &cells.join(" "), self.raw)
    }

    fn end(&mut self, _: &mut dyn io::Write) -> io::Result<()> {
        self.table.take().map_or(Ok(()), Table::print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::format::Format;

    const DOCUMENT: &str =
        r#"{"id":"a\u001b","last":{"code":3,"at":null},"none":null,"big":123456789012345678901234567890}"#;

    fn printed(format: Format, shape: Shape, fields: &str, documents: &[&str]) -> io::Result<String> {
        let selection = Box::leak(Box::new(fields.parse::<Selection>().unwrap()));
        let mut encoder = Picked {
            selection,
            inner: format.encoder(shape).unwrap(),
            has_begun: false,
        };
        let mut out = Vec::new();
        encoder.start(&mut out)?;
        for document in documents {
            encoder.item(document, &mut out)?;
        }
        encoder.end(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn fields_come_in_the_order_that_is_asked_for() {
        let fields = "last.code,id, big,none.any";
        assert_eq!(
            printed(Format::Jsonl, Shape::Array, fields, &[DOCUMENT]).unwrap(),
            "{\"last.code\":3,\"id\":\"a\\u001b\",\"big\":123456789012345678901234567890,\"none.any\":null}\n"
        );
        assert_eq!(
            printed(Format::Csv, Shape::Array, fields, &[DOCUMENT]).unwrap(),
            "last.code,id,big,none.any\r\n3,a\\x1b,123456789012345678901234567890,\r\n"
        );
        assert_eq!(printed(Format::Json, Shape::Array, "id", &[]).unwrap(), "[]\n");
    }

    #[test]
    fn a_field_that_is_not_there_is_told_before_anything_is_printed() {
        for (fields, message) in [
            (
                "id,nam",
                "there is no field 'nam'; the fields are id, last, none, big",
            ),
            (
                "last.cod",
                "there is no field 'last.cod'; the fields are code, at",
            ),
            ("id.x", "there is no field 'id.x'"),
        ] {
            let selection = Box::leak(Box::new(fields.parse::<Selection>().unwrap()));
            let mut encoder = Picked {
                selection,
                inner: Format::Json.encoder(Shape::Array).unwrap(),
                has_begun: false,
            };
            let mut out = Vec::new();
            encoder.start(&mut out).unwrap();
            let error = encoder.item(DOCUMENT, &mut out).unwrap_err();
            assert_eq!(unknown(&error).map(ToString::to_string).as_deref(), Some(message));
            assert!(out.is_empty(), "{out:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        let refused = |text: &str| text.parse::<Selection>().err().unwrap();
        assert_eq!(refused("id,id"), "'id' is there twice");
        for text in ["", "id,", "a b", "last.", ".x"] {
            assert!(
                refused(text).ends_with("is not the name of a field, such as id"),
                "{text}"
            );
        }
        let many: Vec<String> = (0..=MOST).map(|number| format!("f{number}")).collect();
        assert_eq!(refused(&many.join(",")), "expected at most 100 fields");
    }
}
