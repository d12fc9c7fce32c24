//! `serve`: the queue over HTTP, which is in a crate of its own.

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::{JobSpec, Timestamp, ValidJob};
use queuectl_server::{Check, Listen, ListenError, Options, ServeError, Stop, serve};
use queuectl_worker::processes::on_stop_signal;

use super::enqueue::validate::Validator;
use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::input::validate;
use crate::operator;
use crate::output::diagnostics;
use crate::registry::Run;

/// Serve the queue over HTTP to programs on this machine
#[derive(Debug, Args)]
#[command(after_help = "\
Without --listen it listens on the Unix socket api.sock in the queue's folder (queue.db.d), which only this user may use; on \
Windows, on 127.0.0.1:8765. Other machines cannot be served: nothing asks who they are. docs/api.md has what can be asked for.

A job that names no folder runs in the one in which the server was started. Ctrl-C or SIGTERM ends the server when the requests \
it has are answered, after at most 10 s.

Examples:
  queuectl serve &
  curl --unix-socket ~/.local/share/queuectl/queue.db.d/api.sock http://localhost/api/v1/status
  queuectl serve --listen 127.0.0.1:8765
  curl --json '\"echo hello\"' http://127.0.0.1:8765/api/v1/jobs")]
pub struct ServeArgs {
    /// Listen here: 127.0.0.1:PORT, [::1]:PORT or unix:PATH; may be given several times
    #[arg(long, value_name = "PLACE")]
    listen: Vec<Listen>,
    /// Also answer requests for this host name, as a proxy on this machine passes them on
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Only show the queue: nothing can be stored or changed
    #[arg(long)]
    readonly: bool,
}

impl Run for ServeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let listen = match self.listen {
            none if none.is_empty() => vec![usual(context)],
            listen => listen,
        };
        let checker: Box<dyn Check> = Box::new(Checker(Validator::new(context)));
        let options = Options {
            location: context.location.clone(),
            listen,
            hosts: self.host,
            readonly: self.readonly,
            operator: operator::name(),
            checker,
        };
        let ready = |place: &str| diagnostics::note(&format!("listening on {place}"));
        let stop = Stop::default();
        let told = stop.clone();
        on_stop_signal(move || {
            if told.stop() {
                // Asked twice: it is not to wait for requests.
                std::process::exit(Exit::NEGATIVE.0.into());
            }
        })
        .context("cannot listen for signals")?;
        match serve(options, &stop, ready) {
            Ok(()) => Ok(Exit::OK),
            Err(ServeError::Store(error)) => Err(error.into()),
            Err(ServeError::Listen(error @ (ListenError::Open(_) | ListenError::Unclear(_)))) => {
                Err(Usage::new(error.to_string()).into())
            }
            Err(error) => Err(Ended {
                message: error.to_string(),
                exit: Exit::NEGATIVE,
            }
            .into()),
        }
    }
}

/// Where a server listens that was not told.
#[cfg(unix)]
fn usual(context: &Context) -> Listen {
    Listen::Unix(context.location.state_dir().join("api.sock"))
}

/// Where a server listens that was not told.
#[cfg(not(unix))]
fn usual(_: &Context) -> Listen {
    Listen::Tcp(([127, 0, 0, 1], 8765).into())
}

/// Checks jobs as `enqueue` does.
struct Checker<'a>(Validator<'a>);

impl Check for Checker<'_> {
    fn complete(&mut self, spec: JobSpec, now: Timestamp) -> Result<ValidJob, String> {
        validate(spec, now)
    }

    fn refused(&mut self, jobs: &[ValidJob]) -> Vec<(usize, String)> {
        self.0.check_all(jobs)
    }
}
