//! CSV as in RFC 4180: a header of field names, and a row for each document. Objects and arrays stay JSON, null is empty,
//! and control characters are escaped, so that a row is one line.

use std::io::{self, Write};

use super::json::Fields;
use super::{Encode, cell};

/// Encodes CSV.
#[derive(Default)]
pub struct Csv {
    has_heading: bool,
}

impl Encode for Csv {
    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()> {
        let Fields(fields) = serde_json::from_str(json)?;
        if !self.has_heading {
            self.has_heading = true;
            write_row(fields.iter().map(|(name, _)| name.clone()), out)?;
        }
        let cells: Result<Vec<String>, _> = fields.iter().map(|(_, value)| cell(value.get())).collect();
        write_row(cells?, out)
    }
}

fn write_row(cells: impl IntoIterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_fields_in_their_order() {
        let mut csv = Csv::default();
        let mut out = Vec::new();
        for json in [
            r#"{"id":"7","command":"echo \"a, b\"\n","n":null,"big":123456789012345678901234567890,"env":{"A":null}}"#,
            r#"{"id":"8","command":"\u001b[31m","n":1,"big":2,"env":{}}"#,
        ] {
            csv.item(json, &mut out).unwrap();
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "id,command,n,big,env\r\n\
             7,\"echo \"\"a, b\"\"\\n\",,123456789012345678901234567890,\"{\"\"A\"\":null}\"\r\n\
             8,\\x1b[31m,1,2,{}\r\n"
        );
    }
}
