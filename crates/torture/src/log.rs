//! What jobs write down about themselves, and what must not be in there.
//!
//! Every line is one `write` to a file opened for appending, so lines are whole and in the order in which they were
//! written: `s JOB FENCE` when an attempt starts, `t JOB FENCE` again and again while anything of it is alive, also what
//! it left behind in a session of its own, and `e JOB FENCE` when it ends.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// The script that jobs run, for bash: it ticks itself, and so does a process that escapes from it. No process writes to
/// the named pipe, so a read with a time limit is a pause that costs no process. What escaped ends with the folder at the latest.
pub const SCRIPT: &str = "\
say() { echo $1 $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; }
exec 3<> wait
say s
setsid bash -c 'while echo t $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; do read -t 0.03 -u 3; done' > /dev/null 2>&1 &
n=$1
while [ $n -gt 0 ]; do say t; read -t 0.02 -u 3; n=$((n - 1)); done
say e
";

/// What a log says of one job.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Attempts that started.
    pub started: u32,
    /// Attempts that came to their end.
    pub ended: u32,
    /// The newest fence.
    pub fence: i64,
}

/// Reads a log; an error if two attempts of one job overlapped.
pub fn read(path: &Path) -> anyhow::Result<HashMap<i64, Told>> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(text: &str) -> anyhow::Result<HashMap<i64, Told>> {
    let mut jobs: HashMap<i64, Told> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let words: Vec<&str> = line.split(' ').collect();
        let [what, job, fence] = words[..] else {
            bail!("line {number} of the log is none of a job's: {line:?}");
        };
        let (job, fence): (i64, i64) = (job.parse()?, fence.parse()?);
        let told = jobs.entry(job).or_default();
        match what {
            "s" => {
                ensure!(
                    fence > told.fence,
                    "job {job} started under fence {fence} after {}, line {number}",
                    told.fence
                );
                told.fence = fence;
                told.started += 1;
            }
            "t" | "e" => {
                ensure!(
                    fence == told.fence,
                    "job {job}: something of the attempt under fence {fence} was alive when the one under {} ran, line \
                     {number}",
                    told.fence
                );
                told.ended += u32::from(what == "e");
            }
            _ => bail!("line {number} of the log is none of a job's: {line:?}"),
        }
    }
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted() {
        let jobs = parse("s 1 1\nt 1 1\ns 2 1\ns 1 2\ne 2 1\ne 1 2\n").unwrap();
        let told = |started, ended, fence| Told {
            started,
            ended,
            fence,
        };
        assert_eq!((jobs[&1], jobs[&2]), (told(2, 1, 2), told(1, 1, 1)));
    }

    #[test]
    fn overlaps_are_found() {
        for text in ["s 1 1\ns 1 2\nt 1 1\n", "s 1 1\ns 1 2\ne 1 1\n"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("was alive when the one under 2 ran"), "{error}");
        }
        assert!(parse("s 1 2\ns 1 1\n").is_err() && parse("s 1 1\ns 1 1\n").is_err());
        assert!(parse("s 1\n").is_err() && parse("x 1 1\n").is_err());
    }
}
