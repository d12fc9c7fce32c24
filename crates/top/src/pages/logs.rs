//! What a job printed: the newest attempt, of a running one what there is so far. Only the end of a long output.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use queuectl_core::{Job, JobId, JobRef, State, show_short};
use queuectl_dlq::as_shown;
use queuectl_storage::{Store, StoreError};

use crate::snapshot::{Page, Tone};

/// Most bytes that are shown.
const BYTES: usize = 64 * 1024;
/// Stands for a tabulator.
const TAB: &str = "        ";

pub fn load(store: &mut Store, number: JobId) -> Result<Page, StoreError> {
    let job = store.job(&JobRef::Number(number))?;
    let mut page = Page::new(&format!("output of job {}", job.public_id()));
    let running = job.state == State::Processing;
    let last = match running {
        true => None,
        false => store.last_attempt(job.id)?,
    };
    let fence = last.as_ref().map_or(job.fence, |attempt| attempt.fence);
    let Some(attempt) = store.attempt(job.id, fence)? else {
        if running {
            let file = store.outputs()?.file(job.id.0, fence);
            return Ok(so_far(page, &job, &file));
        }
        page.toned(format!("it is {} and has not run yet", job.state), Tone::Dim);
        return Ok(page);
    };
    let output = &attempt.output;
    if output.tail.is_empty() {
        push(&mut page, end(&output.head, BYTES), output.head.len() > BYTES);
    } else {
        let begin = &output.head[..output.head.len().min(BYTES / 2)];
        let end = end(&output.tail, BYTES / 2);
        let left = output
            .total_bytes
            .saturating_sub((begin.len() + end.len()) as u64);
        push(&mut page, begin, false);
        let note = format!(
            "… {left} bytes left out; `queuectl logs {}` has what was kept …",
            job.id
        );
        page.toned(note, Tone::Dim);
        push(&mut page, end, false);
    }
    let took = show_short(attempt.finished_at.since(attempt.started_at));
    let message = match attempt.outcome.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let (number, kind) = (attempt.number, attempt.outcome.kind);
    page.toned(
        format!("[attempt {number} {kind} after {took}{message}]"),
        Tone::Dim,
    );
    Ok(page)
}

/// What a running attempt has printed.
fn so_far(mut page: Page, job: &Job, file: &Path) -> Page {
    match read_end(file) {
        Ok((bytes, is_cut)) => push(&mut page, &bytes, is_cut),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => page.toned(format!("cannot read {}: {error}", file.display()), Tone::Bad),
    }
    let nothing = match page.lines.is_empty() {
        true => "; nothing of its output can be seen on this machine yet",
        false => "",
    };
    page.toned(
        format!("[attempt {} is running{nothing}]", job.attempts),
        Tone::Dim,
    );
    page
}

fn read_end(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(BYTES as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(BYTES as u64).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

fn end(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[bytes.len().saturating_sub(most)..]
}

/// Adds what was printed, line by line.
fn push(page: &mut Page, bytes: &[u8], is_cut: bool) {
    if is_cut {
        page.toned(format!("… only the last {} KiB …", BYTES / 1024), Tone::Dim);
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return;
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        // A program that draws a bar shows the last state of its line; on Windows, lines end with both.
        let shown = as_shown(line);
        let line = String::from_utf8_lossy(&shown);
        page.line(without_colours(&line).replace('\t', TAB));
    }
}

/// Leaves out what only sets colours and fonts (`ESC [ 1;31 m`); anything else is escaped later.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let code = &rest[at + 2..];
        let digits = code.len()
            - code
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .len();
        if code[digits..].starts_with('m') {
            rest = &code[digits + 1..];
        } else {
            plain.push_str("\u{1b}[");
            rest = code;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &Page) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn what_was_printed_cannot_reach_the_terminal() {
        let mut page = Page::default();
        push(&mut page, b"a\tb\r\n10 %\r20 %\n\x1b[2J\xff\x9b", false);
        assert_eq!(texts(&page), ["a        b", "20 %", "\\x1b[2J\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn colours_are_left_out_and_nothing_else() {
        let line = "\u{1b}[1;31mred\u{1b}[m \u{1b}[2J\u{1b}[31\u{1b}[0mx\u{1b}[";
        assert_eq!(without_colours(line), "red \u{1b}[2J\u{1b}[31x\u{1b}[");
    }

    #[test]
    fn only_the_end_of_a_long_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.log");
        std::fs::write(&path, "0123456789abcde\n".repeat(BYTES / 16 + 10)).unwrap();
        let (bytes, is_cut) = read_end(&path).unwrap();
        assert!((bytes.len(), is_cut) == (BYTES, true));
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(read_end(&path).unwrap(), (b"short\n".to_vec(), false));
    }
}
