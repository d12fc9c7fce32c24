//! What a job printed whose worker process or node died, as far as its output file has it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use queuectl_core::{Output, Settings};

/// Reads it. Its middle may be missing, as that of any output.
pub fn read(file: &Path, settings: &Settings) -> Output {
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
            });
        }
        let half = limit / 2;
        Ok(Output {
            head: part(0, half)?,
            tail: part(total_bytes - half, half)?,
            total_bytes,
        })
    };
    // Most jobs print nothing that they would need a file for.
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
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
        let output = left();
        assert_eq!(
            (output.head.as_slice(), output.tail.as_slice(), output.total_bytes),
            (&b"ab"[..], &b"fg"[..], 7)
        );
    }
}
