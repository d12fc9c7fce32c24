//! Reads one job of many: from a document of the stream to a [`JobSpec`].

use std::io::{self, BufRead};

use jiff::ZonedDateTime;
use queuectl_core::JobSpec;
use queuectl_core::limits::PAYLOAD_BYTES;

use super::documents::{Document, Documents, Place, is_one_word};
use super::source::{Found, JobSource};

/// Longest document: the largest payload, and room for a job's other fields.
pub const DOCUMENT_BYTES: usize = PAYLOAD_BYTES + 64 * 1024;

/// Reads the job of a document.
///
/// # Errors
/// Names the mistake, for the user who wrote the document.
pub fn read(place: Place, document: &Document) -> Result<JobSpec, String> {
    let bytes = match document {
        Document::Text(bytes) => bytes,
        Document::TooLong => {
            return Err(format!(
                "the job is longer than {DOCUMENT_BYTES} bytes; put larger input into a file"
            ));
        }
        Document::CutOff => return Err("the array has no end: the text is cut off".to_owned()),
    };
    let text = utf8(bytes)?;
    let spec = JobSpec::from_json(text, ZonedDateTime::now)?;
    if place.item.is_some() && is_one_word(text) {
        return Err(format!(
            "{} could be the program of one command, or a command: write \
             {{\"command\":[\"program\",\"argument\"]}} or {{\"command\":\"command line\"}}",
            text.trim()
        ));
    }
    Ok(spec)
}

/// Returns the text of these bytes.
///
/// # Errors
/// Says what they are instead.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    let is_wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0);
    if is_wide {
        return Err("the text is UTF-16; make it UTF-8: iconv -f UTF-16 -t UTF-8".to_owned());
    }
    std::str::from_utf8(bytes).map_err(|_| "the line is not valid UTF-8".to_owned())
}

impl<R: BufRead> JobSource for Documents<R> {
    fn read(&mut self) -> io::Result<Option<Found>> {
        let found = Documents::read(self)?;
        Ok(found.map(|(place, document)| Found {
            place,
            bytes: document.bytes(),
            job: read(place, &document),
        }))
    }

    fn line(&self) -> u64 {
        Documents::line(self)
    }
}
