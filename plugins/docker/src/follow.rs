//! Following a container to its end: its output as it comes, then how it ended.
//!
//! Output comes from the streams that were attached before the start, which have every byte. Where there are none (the
//! run was taken over, or the engine was away for a while) it is read from the engine's log from its beginning, and
//! what was passed on before is left out.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::{Stream, StreamExt};
use queuectl_plugin_api::{Outcome, RunHandle};

use crate::engine::{Patience, Problem, call};

/// Longest that the engine may be away while a container runs.
const AWAY: Duration = Duration::from_secs(120);
/// How long to wait for the end of a container that has ended its output, before it is looked whether there is more.
const LINGER: Duration = Duration::from_secs(1);

/// How a container ended.
pub struct Ended {
    state: ContainerState,
    /// The engine was away, and did not see the end or all of the input. It is taken at its word only for what it
    /// cannot have made up: a Docker that is killed after its containerd has forgotten an ended container, and before
    /// it has noted the end itself, comes back and says 0. Some versions say so of all containers that went down with
    /// their machine (<https://github.com/moby/moby/issues/45788>).
    unseen: bool,
}

/// This many bytes of each stream.
#[derive(Default, Clone)]
struct Position {
    out: u64,
    err: u64,
}

/// What a container prints.
pub type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Somebody who follows a container.
pub struct Follower<'a> {
    pub docker: &'a Docker,
    pub container: &'a str,
    pub run: &'a RunHandle,
    /// The engine was away since the container was started.
    pub engine_was_lost: bool,
    /// A container that still runs when its engine is back has missed nothing. One with standard input may have: what
    /// was on its way is lost with the engine, and the container takes that for the end.
    pub misses_nothing: bool,
    /// Is told whether the engine is lost, when that changes.
    pub note: &'a (dyn Fn(bool) + Send + Sync),
}

impl Follower<'_> {
    /// Passes the output of the container on from its very beginning, and returns when it has ended. `attached` was
    /// attached before it was started.
    ///
    /// # Errors
    /// It is not there, or the engine stayed away.
    pub async fn follow(&self, mut attached: Option<Output>) -> Result<Ended, Problem> {
        let mut patience = Patience::new(AWAY);
        let mut passed = Position::default();
        let mut unseen = self.engine_was_lost;
        let mut code = None;
        loop {
            let look = async {
                if unseen && code.is_none() && self.is_found().await? {
                    unseen = !self.misses_nothing;
                }
                self.look(&mut attached, &mut passed, &mut code).await
            };
            match look.await {
                Ok(Some(state)) => return Ok(Ended { state, unseen }),
                Ok(None) => patience.renew(),
                // An engine that is shutting down or starting says what it likes.
                Err(problem @ (Problem::Away(_) | Problem::Refused(500.., _))) => {
                    // What it said of the end before still holds, but for what an engine that goes down does to
                    // containers.
                    if code.is_some_and(is_of_engine) {
                        code = None;
                    }
                    if code.is_none() && !unseen {
                        self.run
                            .event("lost", "the container engine; trying to reach it again");
                        (self.note)(true);
                        unseen = true;
                    }
                    if !patience.wait().await {
                        return Err(problem);
                    }
                }
                Err(problem) if problem.is_missing() => return Err(gone(self.container)),
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Whether the container runs, which its engine says again.
    async fn is_found(&self) -> Result<bool, Problem> {
        let runs = !has_ended(&state(self.docker, self.container).await?);
        if runs {
            self.run
                .event("found", "the container engine; the container still runs");
            if self.misses_nothing {
                (self.note)(false);
            }
        }
        Ok(runs)
    }

    /// Passes on what there is, to the end of the output; then how the container ended, none if it still runs. `code`
    /// is the exit status, once the engine has told that it saw the end.
    async fn look(
        &self,
        attached: &mut Option<Output>,
        passed: &mut Position,
        code: &mut Option<i64>,
    ) -> Result<Option<ContainerState>, Problem> {
        let (docker, container, run) = (self.docker, self.container, self.run);
        let from_log = attached.is_none();
        if code.is_none() {
            let output = async {
                match attached.take() {
                    Some(output) => pass_on(output, run, passed, Position::default()).await,
                    None => pass_log(docker, container, run, passed, true).await,
                }
            };
            *code = with_end(output, docker, container).await?;
        }
        let mut state = state(docker, container).await?;
        if code.is_none() && !has_ended(&state) {
            return Ok(None);
        }
        if from_log {
            // A last line without its end is in the log only once the container has ended.
            pass_log(docker, container, run, passed, false).await?;
        }
        state.exit_code = code.or(state.exit_code);
        Ok(Some(state))
    }
}

/// Waits for the end of the output, and for what the engine says of the end of the container; not much longer than for
/// the output.
async fn with_end(
    output: impl Future<Output = Result<(), Problem>>,
    docker: &Docker,
    container: &str,
) -> Result<Option<i64>, Problem> {
    let (mut output, mut end) = (pin!(output), pin!(end_of(docker, container)));
    let mut code = None;
    loop {
        tokio::select! {
            passed = &mut output => break passed?,
            ended = &mut end, if code.is_none() => code = Some(ended?),
        }
    }
    match code {
        Some(code) => Ok(code),
        None => tokio::time::timeout(LINGER, end).await.unwrap_or(Ok(None)),
    }
}

/// What the engine says of the end of the container when it comes; none if it does not say such things. An engine that
/// goes away before is a problem, which the end of the output is not: that looks the same if the engine is killed.
async fn end_of(docker: &Docker, container: &str) -> Result<Option<i64>, Problem> {
    loop {
        let options = WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let answer = docker.wait_container(container, Some(options)).next().await;
        let problem = match answer {
            // An engine that is shutting down says -1.
            Some(Ok(ended)) if ended.status_code >= 0 => return Ok(Some(ended.status_code)),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok(Some(code)),
            // One that begins its answer only when it knows.
            Some(Err(Error::RequestTimeoutError)) => continue,
            Some(Err(error)) => Problem::from(error),
            Some(Ok(_)) | None => Problem::Away("it does not wait any more".to_owned()),
        };
        return match problem {
            Problem::Refused(400..=499, _) => Ok(None),
            Problem::Other(cause) => Err(Problem::Away(cause)),
            problem => Err(problem),
        };
    }
}

/// The problem that a container is not there any more.
pub fn gone(container: &str) -> Problem {
    Problem::Other(format!(
        "the container {container} is not there; somebody may have removed it, or it was never made"
    ))
}

/// Passes on what is new in the log: with `follow` until the output ends, which it does with the container. A log that
/// the engine cannot read costs output, not the job.
async fn pass_log(
    docker: &Docker,
    container: &str,
    run: &RunHandle,
    passed: &mut Position,
    follow: bool,
) -> Result<(), Problem> {
    let options = LogsOptionsBuilder::new()
        .follow(follow)
        .stdout(true)
        .stderr(true)
        .build();
    let skip = passed.clone();
    let output = Box::pin(docker.logs(container, Some(options)));
    match pass_on(output, run, passed, skip).await {
        Err(Problem::Other(why)) => {
            run.event("unreadable", &why);
            Ok(())
        }
        other => other,
    }
}

/// Passes a stream on, but for what is to be skipped.
async fn pass_on(
    mut output: Output,
    run: &RunHandle,
    passed: &mut Position,
    mut skip: Position,
) -> Result<(), Problem> {
    while let Some(piece) = output.next().await {
        match piece? {
            LogOutput::StdErr { message } => {
                let new = new_part(&message, &mut skip.err);
                passed.err += new.len() as u64;
                run.error_output(new);
            }
            LogOutput::StdOut { message } | LogOutput::StdIn { message } => {
                let new = new_part(&message, &mut skip.out);
                passed.out += new.len() as u64;
                run.output(new);
            }
            LogOutput::Console { message } => return Err(no_output(&message)),
        }
    }
    Ok(())
}

/// What is among the output and is none: words of the engine, which begin with a stream's number of their own, or a
/// piece whose end is missing.
fn no_output(message: &[u8]) -> Problem {
    match message.split_at_checked(8) {
        Some(([3, ..], words)) => {
            let words = String::from_utf8_lossy(words);
            Problem::Other(format!(
                "the container engine cannot read the output: {}",
                words.trim()
            ))
        }
        _ => Problem::Away("the output was cut off".to_owned()),
    }
}

/// The bytes without those that are still to be skipped.
fn new_part<'a>(bytes: &'a [u8], skip: &mut u64) -> &'a [u8] {
    let old = usize::try_from(*skip).unwrap_or(usize::MAX).min(bytes.len());
    *skip -= old as u64;
    &bytes[old..]
}

/// The state of a container.
///
/// # Errors
/// It is not there, or the engine is away.
pub async fn state(docker: &Docker, container: &str) -> Result<ContainerState, Problem> {
    let found = call(docker.inspect_container(container, None)).await?;
    Ok(found.state.unwrap_or_default())
}

/// Whether an exit status is one that a container has when its engine stops it, or when its end was not seen.
fn is_of_engine(code: i64) -> bool {
    matches!(code, 0 | 137 | 143 | 255)
}

fn has_ended(state: &ContainerState) -> bool {
    use Status::{DEAD, EXITED, REMOVING};
    matches!(state.status, Some(EXITED | DEAD | REMOVING))
}

impl Ended {
    /// What that means for the job. `memory` is its limit.
    pub fn outcome(&self, memory: Option<i64>) -> Outcome {
        let code = self.state.exit_code.unwrap_or(-1);
        let code = i32::try_from(code).unwrap_or(-1);
        let out_of_memory = self.state.oom_killed == Some(true);
        let limit = || match memory {
            Some(bytes) => format!("its limit of {}", bytesize::ByteSize(bytes.unsigned_abs())),
            None => "what the engine's host has".to_owned(),
        };
        let signal = signal_of(code);
        let failed = |message: String| {
            let failed = Outcome::failed(message).with_exit_code(code);
            match signal {
                Some((number, _)) => failed.with_signal(number),
                None => failed,
            }
        };
        match code {
            0 if self.unseen => Outcome::system_failure(
                "the container engine was away while the container ran; whether it ended well is not known",
            )
            .with_exit_code(code),
            0 => Outcome::succeeded().with_exit_code(0),
            137 if out_of_memory => failed(format!(
                "out of memory (OOM): the container needed more than {}",
                limit()
            )),
            // What a container is left with when its engine goes down with it, or cannot tell any more.
            137 | 143 | 255 if self.unseen => Outcome::system_failure(format!(
                "the container engine went away and the container ended with it (exit status {code})"
            ))
            .with_exit_code(code),
            _ => {
                let hint = match (code, signal) {
                    _ if out_of_memory => " (a process in the container ran out of memory: OOM)",
                    (126, _) => " (command not executable)",
                    (127, _) => " (command not found)",
                    (_, Some((number, name))) => &format!(" (killed by signal {number}, {name})"),
                    _ => "",
                };
                failed(format!("exit status {code}{hint}"))
            }
        }
    }
}

/// The signal that an exit status stands for, which is all that an engine tells of one: 128 and its number. Only those
/// that end a process as a rule; 129, which would be SIGHUP, is an exit status that programs give.
fn signal_of(code: i32) -> Option<(i32, &'static str)> {
    const SIGNALS: [(i32, &str); 16] = [
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (31, "SIGSYS"),
    ];
    SIGNALS.into_iter().find(|(number, _)| 128 + number == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_passed_on_is_left_out() {
        let mut skip = 4;
        assert_eq!(new_part(b"abc", &mut skip), b"");
        assert_eq!(new_part(b"def", &mut skip), b"ef");
        assert_eq!((new_part(b"g", &mut skip), skip), (&b"g"[..], 0));
    }

    #[test]
    fn what_is_no_output_is_told_apart() {
        let words = no_output(b"\x03\0\0\0\0\0\0\x05Error grabbing logs: bad\n");
        assert_eq!(
            words,
            Problem::Other(
                "the container engine cannot read the output: Error grabbing logs: bad".to_owned()
            )
        );
        assert!(matches!(no_output(b"\x01\0\0\0\0\0\0\x05ab"), Problem::Away(_)));
        assert!(matches!(no_output(b"\x03"), Problem::Away(_)));
    }

    fn outcome(exit_code: i64, oom_killed: bool, unseen: bool) -> Outcome {
        let state = ContainerState {
            exit_code: Some(exit_code),
            oom_killed: Some(oom_killed),
            ..ContainerState::default()
        };
        Ended { state, unseen }.outcome(Some(16 << 20))
    }

    #[test]
    fn an_end_is_an_outcome() {
        assert_eq!(outcome(0, false, false), Outcome::succeeded().with_exit_code(0));
        let unseen =
            "the container engine was away while the container ran; whether it ended well is not known";
        assert_eq!(
            outcome(0, false, true),
            Outcome::system_failure(unseen).with_exit_code(0)
        );
        assert_eq!(
            outcome(0, true, false),
            Outcome::succeeded().with_exit_code(0),
            "it lived on"
        );
        assert_eq!(
            outcome(3, false, false),
            Outcome::failed("exit status 3").with_exit_code(3)
        );
        assert_eq!(
            outcome(137, true, false),
            Outcome::failed("out of memory (OOM): the container needed more than its limit of 16.0 MiB")
                .with_exit_code(137)
                .with_signal(9)
        );
        assert_eq!(
            outcome(139, false, false),
            Outcome::failed("exit status 139 (killed by signal 11, SIGSEGV)")
                .with_exit_code(139)
                .with_signal(11)
        );
        assert_eq!(
            outcome(129, false, false),
            Outcome::failed("exit status 129").with_exit_code(129),
            "git says so when it is used wrongly"
        );
        let lost = "the container engine went away and the container ended with it (exit status 137)";
        assert_eq!(
            outcome(137, false, true),
            Outcome::system_failure(lost).with_exit_code(137)
        );
        assert_eq!(
            outcome(3, false, true),
            Outcome::failed("exit status 3").with_exit_code(3),
            "its own doing"
        );
    }
}
