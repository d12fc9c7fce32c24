//! Why a job is dead, as far as other jobs can be dead for the same reason.

use std::fmt;
use std::str::FromStr;

use queuectl_core::{Command, ExecutorName, Outcome, OutcomeKind};
use queuectl_storage::{DeadJob, OUTPUT_END};
use sha2::{Digest, Sha256};

use crate::letters::{DeadLetter, end_of, last_line_of};
use crate::normal::normalise;

/// Letters of keys: none of them is a digit, so a key is never taken for a number.
const LETTERS: &[u8; 16] = b"klmnopqrstuvwxyz";
/// Letters of a key.
const KEY_LETTERS: usize = 10;
/// Longest name of a program that is shown, in characters.
const PROGRAM_CHARS: usize = 64;

/// Names a cause, the same on every machine and at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CauseKey([u8; KEY_LETTERS]);

impl fmt::Display for CauseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().copied().map(char::from).collect();
        f.pad(&text)
    }
}

impl FromStr for CauseKey {
    type Err = String;

    fn from_str(text: &str) -> Result<CauseKey, String> {
        let bytes: Result<[u8; KEY_LETTERS], _> = text.as_bytes().try_into();
        match bytes {
            Ok(bytes) if bytes.iter().all(|letter| LETTERS.contains(letter)) => Ok(CauseKey(bytes)),
            _ => Err(format!(
                "'{}' is not the key of a cause, which has {KEY_LETTERS} letters from k to z",
                queuectl_core::excerpt(text)
            )),
        }
    }
}

/// A cause as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseRef {
    /// By its key.
    Key(CauseKey),
    /// By its place in the list of causes, from 1.
    Number(usize),
}

impl FromStr for CauseRef {
    type Err = String;

    fn from_str(text: &str) -> Result<CauseRef, String> {
        match text.parse() {
            Ok(number) if number > 0 => Ok(CauseRef::Number(number)),
            _ => text.parse().map(CauseRef::Key).map_err(|error: String| {
                format!("{error}, nor its number; `queuectl dlq:causes` prints both")
            }),
        }
    }
}

/// What jobs have in common that died for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The normalised error: what the last attempt ended with, and the last line that it printed.
    pub error: String,
    /// How the last attempt ended; none if that is not known.
    pub outcome: Option<OutcomeKind>,
    /// The exit status, if its process ended by exiting.
    pub exit_code: Option<i32>,
    /// The signal's number, if its process was ended by one.
    pub signal: Option<i32>,
    /// The program of the command; the executor of a job without a command.
    pub program: String,
}

impl Cause {
    /// Returns why a job is dead.
    pub fn of(job: &DeadJob) -> Cause {
        Cause::new(
            job.outcome.as_ref(),
            &job.output_end,
            job.command.as_ref(),
            &job.executor,
        )
    }

    /// Returns why a job is dead of which all is known: the same as of the same job as a [`DeadJob`].
    pub fn of_letter(letter: &DeadLetter) -> Cause {
        let attempt = letter.last_attempt.as_ref();
        let output = attempt.map_or(&[][..], |attempt| end_of(&attempt.output));
        let end = &output[output.len().saturating_sub(OUTPUT_END)..];
        let job = &letter.job;
        let outcome = attempt.map(|attempt| &attempt.outcome);
        Cause::new(outcome, end, job.payload.command.as_ref(), &job.executor)
    }

    fn new(
        outcome: Option<&Outcome>,
        output_end: &[u8],
        command: Option<&Command>,
        executor: &ExecutorName,
    ) -> Cause {
        let message = outcome.map_or_else(String::new, |outcome| normalise(&outcome.message));
        let line = last_line_of(output_end).map_or_else(String::new, |line| normalise(&line));
        let error = match (message.is_empty(), line.is_empty()) {
            (false, false) => format!("{message}: {line}"),
            _ => message + &line,
        };
        Cause {
            error,
            outcome: outcome.map(|outcome| outcome.kind),
            exit_code: outcome.and_then(|outcome| outcome.exit_code),
            signal: outcome.and_then(|outcome| outcome.signal),
            program: command.map_or_else(|| executor.to_string(), program),
        }
    }

    /// Returns the name of the cause.
    pub fn key(&self) -> CauseKey {
        let number = |number: Option<i32>| number.map_or_else(String::new, |number| number.to_string());
        let parts = [
            self.outcome.map_or("", OutcomeKind::name),
            &number(self.exit_code),
            &number(self.signal),
            &self.program,
            &self.error,
        ];
        // None of them has a character 0.
        let sum = Sha256::digest(parts.join("\0"));
        let mut letters = [0; KEY_LETTERS];
        for (at, letter) in letters.iter_mut().enumerate() {
            let half = sum[at / 2] >> (4 * (1 - at % 2)) & 15;
            *letter = LETTERS[usize::from(half)];
        }
        CauseKey(letters)
    }
}

/// The program of a command: its first word, without the folder. What a shell line sets before is left out.
pub fn program(command: &Command) -> String {
    let first = match command {
        Command::Argv(argv) => argv.first().map(String::as_str),
        Command::Line(line) => line.split_whitespace().find(|word| !is_assignment(word)),
    };
    let first = first.unwrap_or_default().trim_matches(['"', '\'', '(', '{', ';']);
    let name = first.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown = name.chars().filter(|c| !c.is_control());
    shown.take(PROGRAM_CHARS).collect()
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::{JobId, QueueName, Timestamp};

    fn dead(line: &str, message: &str, output: &str) -> DeadJob {
        DeadJob {
            id: JobId(1),
            name: None,
            queue: QueueName::default(),
            fence: 1,
            died_at: Timestamp(1),
            executor: ExecutorName::default(),
            command: Some(Command::Line(line.to_owned())),
            outcome: Some(Outcome {
                exit_code: Some(1),
                ..Outcome::new(OutcomeKind::Failed, message)
            }),
            output_end: output.into(),
        }
    }

    #[test]
    fn jobs_die_for_the_same_reason_or_for_another() {
        let cause = |line: &str, message: &str, output: &str| Cause::of(&dead(line, message, output));
        let first = cause(
            "A=1 /opt/sync.sh 17",
            "exit status 1",
            "start\nuser 17: 'ann' refused\n",
        );
        let second = cause("sync.sh 18", "exit status 1", "user 18: 'bob' refused");
        assert_eq!(first, second);
        assert_eq!(first.key(), second.key());
        assert_eq!(first.error, "exit status <n>: user <n>: <text> refused");
        assert_eq!(first.program, "sync.sh");
        let mut other = dead("sync.sh 18", "exit status 1", "user 18: 'bob' refused");
        let outcome = other.outcome.as_mut().unwrap();
        outcome.exit_code = Some(2);
        for other in [
            Cause::of(&other),
            cause("load.sh 18", "exit status 1", "user 18: 'bob' refused"),
            cause("sync.sh 18", "exit status 1", "user 18: 'bob' accepted"),
            cause("sync.sh 18", "timed out", "user 18: 'bob' refused"),
        ] {
            assert_ne!(other.key(), first.key(), "{other:?}");
        }
    }

    #[test]
    fn the_program_is_the_first_word() {
        for (line, wanted) in [
            ("A=1 _B2=x /usr/bin/python3 a.py", "python3"),
            ("\"/opt/my tool\" x", "my"),
            ("(cd /x && y)", "cd"),
            ("A=1", ""),
            ("1=2", "1=2"),
        ] {
            assert_eq!(program(&Command::Line(line.into())), wanted, "{line}");
        }
        let argv = vec!["C:\\bin\\run.exe".to_owned()];
        assert_eq!(program(&Command::Argv(argv)), "run.exe");
        let mut job = dead("", "", "");
        job.command = None;
        assert_eq!(Cause::of(&job).program, "shell");
    }

    /// Scripts have keys written in them.
    #[test]
    fn a_key_stays_the_same_and_is_no_number() {
        let key = Cause::of(&dead("sync.sh", "exit status 1", "refused")).key();
        assert_eq!(key.to_string(), "yrrlqmkqzo");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("12".parse(), Ok(CauseRef::Number(12)));
        assert_eq!("yrrlqmkqzo".parse(), Ok(CauseRef::Key(key)));
        assert!("0".parse::<CauseRef>().is_err() && "-1".parse::<CauseRef>().is_err());
        for bad in ["", "1", "klmnopqrs", "klmnopqrsä", "klmnopqrsa", "klmnopqrstu"] {
            assert!(bad.parse::<CauseKey>().is_err(), "{bad}");
        }
    }
}
