//! A dead letter as a line of JSON, as `dlq:export` writes and `dlq:import` reads it.
//!
//! The line is the job as `enqueue --from` reads it, secrets included, and one more member, `dead_letter`, which says how it died.
//! Not taken along: whether it was held, which jobs it waited for, its groups, and earlier attempts.

use std::collections::BTreeMap;

use queuectl_core::limits::{MESSAGE_BYTES, PAYLOAD_BYTES};
use queuectl_core::{
    Attempt, DeathId, IMPORTED_FROM, Job, JobId, JobSpec, NodeId, Outcome, OutcomeKind, Output, Timestamp,
};
use queuectl_storage::{ImportedLetter, OUTPUT_END};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::letters::{DeadLetter, end_of};

/// Longest line that is read: the largest payload, and room for all else, escaped.
pub const LETTER_BYTES: usize = PAYLOAD_BYTES + 512 * 1024;
/// The member that says how the job died.
const DEATH: &str = "dead_letter";
/// Most bytes of an output that are taken from a line. Replaced bytes take three times the room.
const OUTPUT_BYTES: usize = 3 * OUTPUT_END;

/// How a job died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Death {
    /// Which death it is.
    from: String,
    /// The job's number there.
    number: i64,
    /// Attempts that counted.
    attempts: u32,
    created_at: Timestamp,
    /// When its last attempt was claimed.
    started_at: Option<Timestamp>,
    died_at: Timestamp,
    last_attempt: Option<Last>,
}

/// The last attempt of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    outcome: OutcomeKind,
    exit_code: Option<i32>,
    signal: Option<i32>,
    error: String,
    started_at: Timestamp,
    finished_at: Timestamp,
    /// Bytes that it printed in all.
    output_bytes: u64,
    /// The end of that, with U+FFFD for what is not UTF-8.
    output_end: String,
    last_line: Option<String>,
}

impl DeadLetter {
    /// Writes the letter as a line, without a line feed. `store` is the number of the store that it is in.
    pub fn to_line(self, store: &str) -> String {
        let (last_line, elsewhere) = (self.last_line(), self.died_elsewhere());
        let last = self.last_attempt.map(|attempt| {
            let output = end_of(&attempt.output);
            let end = &output[output.len().saturating_sub(OUTPUT_END)..];
            Last {
                outcome: attempt.outcome.kind,
                exit_code: attempt.outcome.exit_code,
                signal: attempt.outcome.signal,
                error: attempt.outcome.message,
                started_at: attempt.started_at,
                finished_at: attempt.finished_at,
                output_bytes: attempt.output.total_bytes,
                output_end: String::from_utf8_lossy(end).into_owned(),
                last_line,
            }
        });
        let job = self.job;
        let death = elsewhere.unwrap_or_else(|| DeathId {
            store: store.to_owned(),
            job: job.id,
            fence: job.fence,
        });
        let death = Death {
            from: death.to_string(),
            number: death.job.0,
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            died_at: job.finished_at.unwrap_or(job.updated_at),
            last_attempt: last,
        };
        let mut line = spec_of(job).to_json();
        // Joined as text: a number in the executor's own object stays as it was written.
        line.pop();
        let comma = if line.len() > 1 { "," } else { "" };
        let death = serde_json::to_string(&death).unwrap_or_default();
        format!("{line}{comma}\"{DEATH}\":{death}}}")
    }
}

impl DeadLetter {
    /// Which death it is, if it was imported and not claimed since: no node of this store ran its last attempt.
    fn died_elsewhere(&self) -> Option<DeathId> {
        let from = self.job.labels.get(IMPORTED_FROM)?;
        let was_elsewhere = |attempt: &Attempt| attempt.node == NodeId(0);
        let is_untouched = self.job.fence == 0 || self.last_attempt.as_ref().is_some_and(was_elsewhere);
        from.parse().ok().filter(|_| is_untouched)
    }
}

/// What was given with the job.
fn spec_of(job: Job) -> JobSpec {
    let id = job.name.clone();
    let mut spec = JobSpec {
        id,
        ..JobSpec::again(job)
    };
    spec.labels.remove(IMPORTED_FROM);
    spec
}

/// Reads a line that [`DeadLetter::to_line`] wrote, or somebody by hand. No time in it is later than now.
///
/// # Errors
/// Names the mistake.
pub fn read_letter(line: &[u8], now: Timestamp) -> Result<ImportedLetter, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not valid UTF-8".to_owned())?;
    let mut spec = JobSpec::from_written(text)?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)
        .map_err(|_| "this is a command line and not a dead letter, which is an object".to_owned())?;
    let death = members.get(DEATH).ok_or_else(|| {
        format!(
            "this is a job and not a dead letter: it has no \"{DEATH}\"; `queuectl enqueue --from` stores it"
        )
    })?;
    let death: Death = serde_json::from_str(death.get()).map_err(|error| format!("\"{DEATH}\": {error}"))?;
    let id: DeathId = death
        .from
        .parse()
        .map_err(|problem| format!("\"{DEATH}/from\": {problem}"))?;
    // What a letter cannot take along: it has died already, and says so.
    if spec.group.is_some() || !spec.after.is_empty() || spec.hold.is_some() || spec.start.is_some() {
        return Err("a dead letter has no group, after, hold, delay or run_at".to_owned());
    }
    spec.labels.insert(IMPORTED_FROM.to_owned(), id.to_string());
    let within = |time: Timestamp, most: Timestamp| Timestamp(time.0.clamp(0, most.0));
    let died_at = within(death.died_at, now);
    let attempts = death.attempts;
    Ok(ImportedLetter {
        job: spec.validate(now).map_err(|error| error.to_string())?,
        death: id,
        attempts,
        created_at: within(death.created_at, died_at),
        started_at: death.started_at.map(|at| within(at, died_at)),
        died_at,
        last_attempt: death.last_attempt.map(|last| {
            let finished_at = within(last.finished_at, died_at);
            Attempt {
                job: JobId(0),
                fence: 0,
                attempt: attempts.max(1),
                number: 0,
                node: NodeId(0),
                worker: 0,
                started_at: within(last.started_at, finished_at),
                finished_at,
                outcome: Outcome {
                    kind: last.outcome,
                    exit_code: last.exit_code,
                    signal: last.signal,
                    message: beginning(last.error, MESSAGE_BYTES),
                },
                output: output_of(last.output_end, last.output_bytes),
            }
        }),
    })
}

/// An output of which the end is known.
fn output_of(end: String, total: u64) -> Output {
    let first = end.len().saturating_sub(OUTPUT_BYTES);
    let end = end.into_bytes().split_off(first);
    let total_bytes = total.max(end.len() as u64);
    let (head, tail) = match total_bytes == end.len() as u64 {
        true => (end, Vec::new()),
        false => (Vec::new(), end),
    };
    Output {
        head,
        tail,
        total_bytes,
        index: Vec::new(),
    }
}

/// The beginning of a text that is too long.
fn beginning(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"a","command":["sync","17"],"queue":"mail","priority":3,"labels":{"team":"web"},"env":{"TOKEN":"x"},"dead_letter":{"from":"00ab/17/3","number":17,"attempts":4,"created_at":"1970-01-01T00:00:01.000Z","started_at":"1970-01-01T00:00:07.000Z","died_at":"1970-01-01T00:00:09.000Z","last_attempt":{"outcome":"failed","exit_code":3,"signal":null,"error":"exit status 3","started_at":"1970-01-01T00:00:08.000Z","finished_at":"1970-01-01T00:00:09.000Z","output_bytes":7,"output_end":"a\nno b\n","last_line":"no b"}}}"#;

    fn read(line: &str) -> Result<ImportedLetter, String> {
        read_letter(line.as_bytes(), Timestamp(20_000))
    }

    #[test]
    fn a_letter_is_read_with_the_job_and_its_death() {
        let letter = read(LINE).unwrap();
        assert_eq!(letter.death.to_string(), "00ab/17/3");
        assert_eq!(letter.job.id.as_ref().unwrap().as_str(), "a");
        assert_eq!(letter.job.payload.env["TOKEN"], "x");
        let labels: Vec<_> = letter.job.labels.iter().collect();
        let from = (&IMPORTED_FROM.to_owned(), &"00ab/17/3".to_owned());
        assert_eq!(labels, [from, (&"team".to_owned(), &"web".to_owned())]);
        assert_eq!(
            (letter.created_at, letter.died_at),
            (Timestamp(1000), Timestamp(9000))
        );
        assert_eq!(letter.started_at, Some(Timestamp(7000)));
        let last = letter.last_attempt.unwrap();
        assert_eq!((last.outcome.exit_code, last.attempt), (Some(3), 4));
        assert_eq!(
            (&last.output.head[..], last.output.tail.len()),
            (&b"a\nno b\n"[..], 0)
        );
        // Of a longer output there is the end.
        let longer = read(&LINE.replace(r#""output_bytes":7"#, r#""output_bytes":8"#)).unwrap();
        let output = longer.last_attempt.unwrap().output;
        assert_eq!(
            (output.head.len(), &output.tail[..], output.omitted_bytes()),
            (0, &b"a\nno b\n"[..], 1)
        );
    }

    #[test]
    fn times_are_not_in_the_future_and_texts_are_bounded() {
        let later = LINE.replace("1970-01-01T00:00:09", "2970-01-01T00:00:09");
        let letter = read(&later.replace("exit status 3", &"ü".repeat(MESSAGE_BYTES))).unwrap();
        assert_eq!(letter.died_at, Timestamp(20_000));
        let last = letter.last_attempt.unwrap();
        assert_eq!(last.finished_at, Timestamp(20_000));
        assert_eq!(last.outcome.message.len(), MESSAGE_BYTES);
    }

    #[test]
    fn every_mistake_is_named() {
        for (line, wanted) in [
            (&LINE[..LINE.len() - 9], "not valid JSON"),
            (r#""echo""#, "a command line and not a dead letter"),
            (r#"{"command":"x"}"#, "a job and not a dead letter"),
            (
                &LINE.replace("00ab/17/3", "17"),
                "\"dead_letter/from\": '17' does not name",
            ),
            (
                &LINE.replace("\"attempts\":4,", ""),
                "\"dead_letter\": missing field `attempts`",
            ),
            (
                &LINE.replace("\"queue\"", "\"group\""),
                "a dead letter has no group",
            ),
            (
                &LINE.replace("\"priority\":3", "\"priority\":\"x\""),
                "\"priority\" must be",
            ),
            (
                &LINE.replace("\"failed\"", "\"odd\""),
                "\"dead_letter\": unknown variant",
            ),
        ] {
            let said = read(line).unwrap_err();
            assert!(said.contains(wanted), "{line}\n said: {said}\n want: {wanted}");
        }
    }
}
