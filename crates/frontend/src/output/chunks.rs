//! Output in chunks, each of one stream and one time, without characters that are not there as a whole yet.

use std::io;

use queuectl_core::{OutputStream, Timestamp};

use super::parts::Part;
use super::stream::Sink;

/// A part of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the output before it.
    pub offset: u64,
    /// Where it came from.
    pub stream: OutputStream,
    /// When its first byte was read. None if that was not recorded.
    pub at: Option<Timestamp>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes before it that were not kept.
    pub omitted: u64,
}

/// Takes the output from a position on.
#[derive(Debug)]
pub struct Chunks {
    list: Vec<Chunk>,
    position: u64,
}

impl Chunks {
    /// Begins at a position.
    pub fn new(position: u64) -> Chunks {
        Chunks {
            list: Vec::new(),
            position,
        }
    }

    /// Takes back the start of a character that goes on with what comes next. Returns of how many bytes.
    pub fn take_back(&mut self) -> u64 {
        let Some(last) = self.list.last_mut() else {
            return 0;
        };
        let begun = begun(&last.bytes);
        last.bytes.truncate(last.bytes.len() - begun);
        if last.bytes.is_empty() && last.omitted == 0 {
            self.list.pop();
        }
        self.position -= begun as u64;
        begun as u64
    }

    /// Returns the chunks.
    pub fn into_list(self) -> Vec<Chunk> {
        self.list
    }
}

impl Sink for Chunks {
    fn part(&mut self, part: &Part) -> io::Result<()> {
        let offset = self.position;
        self.position += part.bytes.len() as u64;
        match self.list.last_mut() {
            Some(last) if (last.stream, last.at) == (part.stream, part.at) && !last.is_gap() => {
                last.bytes.extend_from_slice(part.bytes);
            }
            Some(last) if last.is_gap() => {
                (last.offset, last.stream, last.at) = (offset, part.stream, part.at);
                last.bytes.extend_from_slice(part.bytes);
            }
            _ => self.list.push(Chunk {
                offset,
                stream: part.stream,
                at: part.at,
                bytes: part.bytes.to_vec(),
                omitted: 0,
            }),
        }
        Ok(())
    }

    fn left_out(&mut self, bytes: u64) -> io::Result<()> {
        self.position += bytes;
        self.list.push(Chunk {
            offset: self.position,
            stream: OutputStream::Unknown,
            at: None,
            bytes: Vec::new(),
            omitted: bytes,
        });
        Ok(())
    }
}

impl Chunk {
    /// Whether it stands for bytes that were not kept, and has none itself.
    fn is_gap(&self) -> bool {
        self.bytes.is_empty() && self.omitted > 0
    }
}

/// How many bytes at the end are the start of a character.
fn begun(bytes: &[u8]) -> usize {
    // A character has at most four bytes, the first of which says how many.
    let end = &bytes[bytes.len().saturating_sub(3)..];
    for (at, byte) in end.iter().enumerate().rev() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        let has = end.len() - at;
        return if has < length { has } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(stream: OutputStream, bytes: &[u8]) -> Part<'_> {
        Part {
            stream,
            at: Some(Timestamp(7)),
            bytes,
        }
    }

    #[test]
    fn parts_become_chunks_by_stream_and_gaps_are_counted() {
        let mut chunks = Chunks::new(10);
        chunks.part(&part(OutputStream::Stdout, b"ab")).unwrap();
        chunks.part(&part(OutputStream::Stdout, b"c")).unwrap();
        chunks.part(&part(OutputStream::Stderr, b"d")).unwrap();
        chunks.left_out(5).unwrap();
        chunks.part(&part(OutputStream::Stdout, b"e")).unwrap();
        let list = chunks.into_list();
        let seen: Vec<(u64, &[u8], u64)> = list
            .iter()
            .map(|chunk| (chunk.offset, &chunk.bytes[..], chunk.omitted))
            .collect();
        assert_eq!(seen, [(10, &b"abc"[..], 0), (13, b"d", 0), (19, b"e", 5)]);
    }

    #[test]
    fn a_character_that_has_begun_is_taken_back() {
        for (bytes, begun) in [
            (&b"a"[..], 0),
            (b"a\xc3", 1),
            (b"a\xc3\xa4", 0),
            (b"a\xe2\x82", 2),
            (b"a\xf0\x9f\x92", 3),
            (b"\xf0", 1),
            (b"a\x80\x80\x80", 0),
            (b"a\xff", 0),
            (b"", 0),
        ] {
            let mut chunks = Chunks::new(0);
            chunks.part(&part(OutputStream::Stdout, bytes)).unwrap();
            assert_eq!(chunks.take_back(), begun, "{bytes:?}");
            let left: usize = chunks.into_list().iter().map(|chunk| chunk.bytes.len()).sum();
            assert_eq!(left as u64, bytes.len() as u64 - begun, "{bytes:?}");
        }
    }
}
