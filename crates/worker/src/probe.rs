//! Asking a plugin questions without running anything: what it is, whether it could work, what it thinks of a request.
//!
//! A plugin's code may crash or hang, so it runs in a process of its own; here are both ends of the conversation, one
//! JSON document a line. Running jobs is not possible this way; see [`StandaloneWorker`](crate::StandaloneWorker).

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use queuectl_core::show_short;
use queuectl_executor::{Offline, PluginInfo, PluginSettings, inherit};
use serde::{Deserialize, Serialize};

use crate::os;

/// Longest that a plugin may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Serialize, Deserialize)]
enum Question {
    Fingerprint,
    Validate(Vec<String>),
}

/// What the helper process says. The first answer is about loading; the others are to the questions.
#[derive(Serialize, Deserialize)]
enum Answer {
    Loaded(Box<PluginInfo>),
    Yes,
    No(String),
    /// For each request, the plugin's reason if it would not start it.
    Validated(Vec<Option<String>>),
}

/// Why a plugin could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be loaded; the text names file, cause and what to do.
    #[error("{0}")]
    Unusable(String),
    /// It did not answer in time.
    #[error(
        "the plugin {path} hangs: no answer within {}; it was given up",
        show_short(ANSWER_TIMEOUT)
    )]
    Hangs {
        /// The plugin.
        path: String,
    },
    /// Its process ended.
    #[error("the plugin {path} crashed: {how}")]
    Crashed {
        /// The plugin.
        path: String,
        /// How the process ended.
        how: String,
    },
    /// The helper process could not be used.
    #[error("cannot start the helper process: {0}")]
    Io(#[from] io::Error),
}

/// A plugin in a helper process.
pub struct Probe {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Answer>,
    path: String,
    info: PluginInfo,
}

impl Probe {
    /// Starts the helper process, which is this program with these arguments and the plugin's path, and has it load
    /// the plugin.
    ///
    /// # Errors
    /// [`ProbeError`] names the file and the cause.
    pub fn start(args: &[OsString], path: &Path, settings: &PluginSettings) -> Result<Probe, ProbeError> {
        let mut command = os::own_program()?;
        command
            .args(args)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        inherit::isolate(&mut command);
        let mut child = command.spawn()?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the helper process has no streams").into());
        };
        let (sender, answers) = channel();
        std::thread::Builder::new()
            .name("from plugin".into())
            .spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                for answer in lines.map_while(|line| serde_json::from_str(&line).ok()) {
                    if sender.send(answer).is_err() {
                        return;
                    }
                }
            })?;
        // If it is gone already, the missing answer says so.
        let _ = say(&mut input, settings);
        let path = path.display().to_string();
        let info = PluginInfo::default();
        let mut probe = Probe {
            child,
            input,
            answers,
            path,
            info,
        };
        match probe.answer()? {
            Answer::Loaded(info) => {
                probe.info = *info;
                Ok(probe)
            }
            Answer::No(cause) => Err(ProbeError::Unusable(cause)),
            Answer::Yes | Answer::Validated(_) => Err(ProbeError::Unusable(format!(
                "the plugin {} gave no description",
                probe.path
            ))),
        }
    }

    /// What it says about itself.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// Whether jobs could run now: the plugin's reason, if not.
    ///
    /// # Errors
    /// [`ProbeError`]: it gave no answer.
    pub fn fingerprint(&mut self) -> Result<Result<(), String>, ProbeError> {
        self.ask(&Question::Fingerprint)
    }

    /// Whether it could start jobs with these stored payloads: for each the plugin's reason, if not.
    ///
    /// # Errors
    /// [`ProbeError`]: it gave no answer.
    pub fn validate(&mut self, payloads: Vec<String>) -> Result<Vec<Option<String>>, ProbeError> {
        let asked = payloads.len();
        let _ = say(&mut self.input, &Question::Validate(payloads));
        match self.answer()? {
            Answer::Validated(reasons) if reasons.len() == asked => Ok(reasons),
            _ => Err(io::Error::other("it answered something else").into()),
        }
    }

    fn ask(&mut self, question: &Question) -> Result<Result<(), String>, ProbeError> {
        let _ = say(&mut self.input, question);
        Ok(match self.answer()? {
            Answer::No(reason) => Err(reason),
            Answer::Yes | Answer::Loaded(_) | Answer::Validated(_) => Ok(()),
        })
    }

    fn answer(&mut self) -> Result<Answer, ProbeError> {
        match self.answers.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(ProbeError::Hangs {
                path: self.path.clone(),
            }),
            Err(RecvTimeoutError::Disconnected) => {
                let how = os::describe(self.child.wait()?);
                Err(ProbeError::Crashed {
                    path: self.path.clone(),
                    how,
                })
            }
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        os::kill_child_group(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(to: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(document)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// The helper process: loads the plugin and answers until its input ends.
///
/// # Errors
/// Its streams broke.
pub fn serve_probe(path: &Path) -> io::Result<()> {
    // What a plugin prints goes to standard error, not between the answers.
    let (input, mut output) = os::take_standard_streams()?;
    let mut lines = BufReader::new(input).lines();
    let settings = match lines.next() {
        Some(line) => serde_json::from_str::<PluginSettings>(&line?)?,
        None => return Ok(()),
    };
    let plugin = match Offline::open(path, &settings) {
        Ok(plugin) => plugin,
        Err(error) => return say(&mut output, &Answer::No(error.to_string())),
    };
    say(&mut output, &Answer::Loaded(Box::new(plugin.info().clone())))?;
    for line in lines {
        let answer = match serde_json::from_str(&line?)? {
            Question::Fingerprint => plugin.fingerprint().map_or_else(Answer::No, |()| Answer::Yes),
            Question::Validate(payloads) => Answer::Validated(
                payloads
                    .iter()
                    .map(|payload| plugin.validate(payload).err())
                    .collect(),
            ),
        };
        say(&mut output, &answer)?;
    }
    Ok(())
}
