//! One case in a helper process: both ends of it, one JSON document a line.
//!
//! The helper says what it is about to do before it does it. So a plugin that crashes or hangs fails its case with the
//! name of the call it did so in.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use crate::abi::{self, Case, CaseInput, Verdict};
use queuectl_core::show_short;
use queuectl_executor::{PluginInfo, inherit};
use serde::{Deserialize, Serialize};

use super::{Options, shown};
use queuectl_worker::processes as os;

/// What the helper process says.
#[derive(Serialize, Deserialize)]
enum HelperMessage {
    /// It is about to do this.
    Step(String),
    /// It is done.
    Ended(Box<CaseReport>),
}

/// How a case ended.
#[derive(Serialize, Deserialize)]
pub(super) struct CaseReport {
    pub(super) verdict: Verdict,
    /// What the plugin says about itself, with the case that asks for that.
    pub(super) info: Option<PluginInfo>,
}

/// Ends with its process.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        os::kill_child_group(self.0.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries a case in a process of its own.
pub(super) fn try_case(options: &Options, case: &Case, case_input: &CaseInput) -> io::Result<CaseReport> {
    let mut command = os::own_program()?;
    command
        .args(&options.helper)
        .arg(&options.file)
        .arg(case.name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if options.silent {
        command.stderr(Stdio::null());
    }
    inherit::isolate(&mut command);
    let mut helper = Helper(command.spawn()?);
    let (Some(mut input), Some(output)) = (helper.0.stdin.take(), helper.0.stdout.take()) else {
        return Err(io::Error::other("the helper process has no streams"));
    };
    let (sender, said) = channel();
    std::thread::Builder::new()
        .name("from plugin".into())
        .spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for said in lines.map_while(|line| serde_json::from_str(&line).ok()) {
                if sender.send(said).is_err() {
                    return;
                }
            }
        })?;
    // If it is gone already, its silence says so.
    let _ = say(&mut input, case_input);
    await_verdict(&mut helper, &said, options, case)
}

fn await_verdict(
    helper: &mut Helper,
    said: &Receiver<HelperMessage>,
    options: &Options,
    case: &Case,
) -> io::Result<CaseReport> {
    let limit = options.limit * case.patience;
    let deadline = Instant::now() + limit;
    let mut doing = "start of the helper process".to_owned();
    let failed = |what: String| CaseReport {
        verdict: Verdict::Failed(what),
        info: None,
    };
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(HelperMessage::Step(step)) => doing = step,
            Ok(HelperMessage::Ended(told)) => return Ok(*told),
            Err(RecvTimeoutError::Timeout) => {
                return Ok(failed(format!(
                    "it hangs: no end after {} in: {doing}",
                    show_short(limit)
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let how = os::describe(helper.0.wait()?);
                return Ok(failed(format!(
                    "the plugin {} ended its process ({how}) in: {doing}",
                    shown(&options.file)
                )));
            }
        }
    }
}

fn say(to: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(document)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// The helper process: reads its case_input, tries the case and says how that went.
///
/// # Errors
/// Its streams broke.
pub fn serve_case(file: &Path, case: &str) -> io::Result<()> {
    // What a plugin prints goes to standard error, not between the lines.
    let (input, output) = os::take_standard_streams()?;
    let mut line = String::new();
    BufReader::new(input).read_line(&mut line)?;
    let case_input: CaseInput = serde_json::from_str(&line)?;
    let step = |what: &str| {
        // Without a listener, this process is about to be killed.
        let _ = say(&mut &output, &HelperMessage::Step(what.to_owned()));
    };
    let verdict = abi::run_case(file, case, &case_input, &step);
    let info = if case == abi::DESCRIBE && verdict == Verdict::Ok {
        abi::about(file)
    } else {
        None
    };
    say(
        &mut &output,
        &HelperMessage::Ended(Box::new(CaseReport { verdict, info })),
    )
}
