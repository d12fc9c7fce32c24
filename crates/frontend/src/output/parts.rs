//! An output divided into parts, each of one stream of the job and of one time, as its index says.

use queuectl_core::{OutputIndex, OutputStream, Timestamp};

/// Bytes that the job printed to one of its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// To which.
    pub stream: OutputStream,
    /// When the first of them was read. None if that was not recorded.
    pub at: Option<Timestamp>,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Divides bytes that begin at an offset of the output.
pub fn parts<'a>(
    index: &OutputIndex,
    mut offset: u64,
    mut bytes: &'a [u8],
) -> impl Iterator<Item = Part<'a>> {
    std::iter::from_fn(move || {
        let (mark, next) = index.part(offset);
        let len = next.map_or(bytes.len(), |next| {
            usize::try_from(next - offset).map_or(bytes.len(), |len| len.min(bytes.len()))
        });
        let (now, later) = bytes.split_at(len);
        (offset, bytes) = (offset + len as u64, later);
        (!now.is_empty()).then(|| Part {
            stream: mark.map_or(OutputStream::Unknown, |mark| mark.stream),
            at: mark.map(|mark| index.time(&mark)),
            bytes: now,
        })
    })
}

#[cfg(test)]
mod tests {
    use queuectl_core::{IndexWriter, OutputMark};

    use super::*;

    #[test]
    fn bytes_are_divided_where_a_part_begins() {
        let mut bytes = Vec::new();
        let mut writer = IndexWriter::begin(Timestamp(10), &mut bytes);
        for (offset, stream) in [(0, OutputStream::Stdout), (3, OutputStream::Stderr)] {
            let at_ms = offset;
            writer.add(
                OutputMark {
                    offset,
                    stream,
                    at_ms,
                },
                &mut bytes,
            );
        }
        let index = OutputIndex::read(&bytes);
        let part = |stream, at, bytes| Part {
            stream,
            at: Some(Timestamp(at)),
            bytes,
        };
        let out = part(OutputStream::Stdout, 10, &b"cd"[..]);
        let err = part(OutputStream::Stderr, 13, &b"efg"[..]);
        assert!(parts(&index, 1, b"cdefg").eq([out, err]));
        assert!(parts(&index, 1, b"cd").eq([out]));
        assert!(parts(&index, 7, b"efg").eq([err]));
        assert!(parts(&index, 7, b"").next().is_none());
        let unknown = Part {
            stream: OutputStream::Unknown,
            at: None,
            bytes: b"x",
        };
        assert!(parts(&OutputIndex::default(), 7, b"x").eq([unknown]));
    }
}
