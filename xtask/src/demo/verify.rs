//! Compares what `list --json` says with what the story expects.
//!
//! Reads the documented JSON only, as any script would.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// How a job should have ended.
pub struct Expected<'a> {
    /// The job.
    pub id: &'a str,
    /// Its state.
    pub state: &'a str,
    /// How often it ran.
    pub attempts: u64,
}

/// Checks that exactly the expected jobs are there, as expected. Every difference is named.
pub fn verify(list: &str, expected: &[Expected<'_>]) -> anyhow::Result<()> {
    let jobs: Vec<Value> = serde_json::from_str(list).context("'list --json' printed no JSON array")?;
    ensure!(
        jobs.len() == expected.len(),
        "there are {} jobs, expected were {}",
        jobs.len(),
        expected.len()
    );
    let mut differences = Vec::new();
    for Expected { id, state, attempts } in expected {
        let wanted = format!("{state} after {attempts} attempts");
        match jobs.iter().find(|job| text(job, "id") == *id) {
            None => differences.push(format!("job {id} is not in the list")),
            Some(job) => {
                let is = format!("{} after {} attempts", text(job, "state"), job["attempts"]);
                if is != wanted {
                    differences.push(format!(
                        "job {id} ({}) is {is}, expected was {wanted}",
                        text(job, "command")
                    ));
                }
            }
        }
    }
    if !differences.is_empty() {
        bail!("{}", differences.join("; "));
    }
    println!("(checked: all {} jobs are as they should be)", expected.len());
    Ok(())
}

fn text<'a>(job: &'a Value, key: &str) -> &'a str {
    job[key].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
        {"id": "1", "command": "echo", "state": "completed", "attempts": 1},
        {"id": "two", "command": "exit 1", "state": "dead", "attempts": 3}
    ]"#;

    fn message(list: &str, second: Expected<'_>) -> Option<String> {
        let first = Expected {
            id: "1",
            state: "completed",
            attempts: 1,
        };
        verify(list, &[first, second])
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn what_is_as_expected_passes() {
        assert_eq!(
            message(
                LIST,
                Expected {
                    id: "two",
                    state: "dead",
                    attempts: 3
                }
            ),
            None
        );
    }

    #[test]
    fn differences_are_named() {
        assert_eq!(
            message(
                LIST,
                Expected {
                    id: "two",
                    state: "completed",
                    attempts: 3
                }
            )
            .unwrap(),
            "job two (exit 1) is dead after 3 attempts, expected was completed after 3 attempts"
        );
        assert!(
            message(
                LIST,
                Expected {
                    id: "two",
                    state: "dead",
                    attempts: 2
                }
            )
            .is_some()
        );
        assert_eq!(
            message(
                LIST,
                Expected {
                    id: "3",
                    state: "dead",
                    attempts: 3
                }
            )
            .unwrap(),
            "job 3 is not in the list"
        );
        let dead = || Expected {
            id: "two",
            state: "dead",
            attempts: 3,
        };
        assert_eq!(
            message("[]", dead()).unwrap(),
            "there are 0 jobs, expected were 2"
        );
        assert_eq!(
            message("oops", dead()).unwrap(),
            "'list --json' printed no JSON array"
        );
    }
}
