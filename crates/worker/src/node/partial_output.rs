//! What a job printed whose worker process or node died, as far as its output file has it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use queuectl_core::{INDEX_EXTENSION, Output, OutputIndex, Settings};

/// Reads it. Its middle may be missing, as that of any output.
pub fn read(file: &Path, settings: &Settings) -> Output {
    // Without it, nothing says which stream the output came from.
    let index = std::fs::read(file.with_extension(INDEX_EXTENSION)).unwrap_or_default();
    let index = OutputIndex::read(&index);
    let read = || -> io::Result<Output> {
        let mut file = File::open(file)?;
        let total_bytes = file.metadata()?.len();
        let mut part = |from: u64, bytes: u64| -> io::Result<Vec<u8>> {
            let mut read = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            (&mut file).take(bytes).read_to_end(&mut read)?;
            Ok(read)
        };
        let limit = settings.output_limit;
        if total_bytes <= limit {
            let (head, tail) = (part(0, limit)?, Vec::new());
            return Ok(Output {
                head,
                tail,
                total_bytes,
                index: index.write_for(total_bytes, total_bytes),
            });
        }
        let half = limit / 2;
        Ok(Output {
            head: part(0, half)?,
            tail: part(total_bytes - half, half)?,
            total_bytes,
            index: index.write_for(half, total_bytes - half),
        })
    };
    // Most jobs print nothing that they would need a file for.
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use queuectl_core::OutputStream::{Stderr, Stdout};
    use queuectl_core::{IndexWriter, OutputMark, Timestamp};

    use super::*;

    #[test]
    fn output_that_is_left_keeps_its_head_and_its_tail() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let settings = Settings {
            output_limit: 4,
            ..Settings::default()
        };
        let left = || read(&file, &settings);
        assert_eq!(left(), Output::default());
        std::fs::write(&file, "abcd").unwrap();
        assert_eq!((left().head.as_slice(), left().total_bytes), (&b"abcd"[..], 4));
        std::fs::write(&file, "abcdefg").unwrap();
        let marks = [(0, Stdout), (1, Stderr), (3, Stdout), (4, Stderr), (6, Stdout)];
        let mut bytes = Vec::new();
        let mut writer = IndexWriter::begin(Timestamp(5), &mut bytes);
        for (offset, stream) in marks {
            writer.add(
                OutputMark {
                    offset,
                    stream,
                    at_ms: offset,
                },
                &mut bytes,
            );
        }
        std::fs::write(file.with_extension(INDEX_EXTENSION), bytes).unwrap();
        let output = left();
        let index = OutputIndex::read(&output.index);
        let kept: Vec<_> = index
            .marks()
            .iter()
            .map(|mark| (mark.offset, mark.stream))
            .collect();
        assert_eq!(kept, [marks[0], marks[1], marks[3], marks[4]]);
        assert_eq!(
            (output.head.as_slice(), output.tail.as_slice(), output.total_bytes),
            (&b"ab"[..], &b"fg"[..], 7)
        );
    }
}
