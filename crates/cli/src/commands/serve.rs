//! `serve`: the queue over HTTP, which is in a crate of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::{JobSpec, Timestamp, ValidJob};
use queuectl_server::{Check, Listen, ListenError, Options, ServeError, Stop, TlsFiles, serve};
use queuectl_worker::processes::on_stop_signal;

use super::enqueue::validate::Validator;
use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::input::validate;
use crate::operator;
use crate::output::diagnostics;
use crate::registry::Run;

/// Serve the queue over HTTP to programs
#[derive(Debug, Args)]
#[command(after_help = "\
Without --listen it listens on the Unix socket api.sock in the queue's folder (queue.db.d), which only this user may use. A port of \
127.0.0.1 can be used by every user of this machine, who can then have commands run as you, until there is a token (`queuectl \
token:add`); from then on, every port needs one. On Windows there are only ports, so name one. An address that other machines can \
reach needs a token, and --tls-cert or --insecure-plain. docs/api.md describes the requests.

A job that names no folder runs in the one in which the server was started. Ctrl-C or SIGTERM ends the server when the requests \
it has are answered, after at most 10 s.

Examples:
  queuectl serve &
  curl --unix-socket ~/.local/share/queuectl/queue.db.d/api.sock http://localhost/api/v1/status
  queuectl serve --listen 127.0.0.1:8765
  queuectl token:add shop --role enqueue --queue mail
  queuectl serve --listen 0.0.0.0:8765 --tls-cert cert.pem --tls-key key.pem
  curl --json '\"echo hello\"' http://127.0.0.1:8765/api/v1/jobs")]
pub struct ServeArgs {
    /// Listen on ADDRESS:PORT, such as 127.0.0.1:8765, or on unix:PATH; may be given several times
    #[arg(long, value_name = "PLACE")]
    listen: Vec<Listen>,
    /// Also answer requests for this host name, as clients or a proxy send it
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Only show the queue: nothing can be stored or changed
    #[arg(long)]
    readonly: bool,
    /// Use TLS on ports, with this certificate (PEM, with those that lead to its authority); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let only clients connect that have a certificate of one of these authorities (PEM); they need tokens, too
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Send everything as it is, tokens too, where other machines can listen: for a proxy that adds TLS
    #[arg(long)]
    insecure_plain: bool,
}

impl Run for ServeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let listen = match self.listen {
            none if none.is_empty() => vec![usual(context)?],
            listen => listen,
        };
        let tls = self.tls_cert.zip(self.tls_key).map(|(cert, key)| TlsFiles {
            cert,
            key,
            client_ca: self.client_ca,
        });
        let checker: Box<dyn Check> = Box::new(Checker {
            validator: Validator::new(context),
            forgot: Instant::now(),
        });
        let options = Options {
            location: context.location.clone(),
            listen,
            hosts: self.host,
            readonly: self.readonly,
            tls,
            insecure: self.insecure_plain,
            operator: operator::name(),
            checker,
        };
        let ready = |place: &str, needs_token: bool| {
            diagnostics::note(&format!("listening on {place}"));
            if !place.starts_with("unix:") && !needs_token {
                let what = match self.readonly {
                    true => "see the queue",
                    false => "use it, and have commands run as you",
                };
                diagnostics::note(&format!(
                    "every user of this machine can {what}, because there is no token; `queuectl token:add` makes one"
                ));
            }
        };
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
            Err(ServeError::Listen(
                error @ (ListenError::Open(_) | ListenError::NoToken(_) | ListenError::Unclear(_)),
            )) => Err(Usage::new(error.to_string()).into()),
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
fn usual(context: &Context) -> Result<Listen> {
    let folder = context.open_or_create()?.make_folder()?;
    Ok(Listen::Unix(folder.join("api.sock")))
}

/// Where a server listens that was not told: nowhere, since all users of the machine could use it.
#[cfg(not(unix))]
fn usual(_: &Context) -> Result<Listen> {
    Err(Usage::new("say where to listen; every user of this machine can use the queue there, and have commands run as you")
        .hint("for example --listen 127.0.0.1:8765")
        .into())
}

/// How long an executor that could not be asked is not asked again.
const UNASKED: Duration = Duration::from_secs(10);

/// Checks jobs as `enqueue` does.
struct Checker<'a> {
    validator: Validator<'a>,
    /// When executors that could not be asked were last forgotten.
    forgot: Instant,
}

impl Check for Checker<'_> {
    fn complete(&mut self, spec: JobSpec, now: Timestamp) -> Result<ValidJob, String> {
        validate(spec, now)
    }

    fn refused(&mut self, jobs: &[ValidJob]) -> Vec<(usize, String)> {
        // A plugin may be installed, or mended, while the server runs.
        if self.forgot.elapsed() >= UNASKED {
            self.validator.forget_unasked();
            self.forgot = Instant::now();
        }
        self.validator.check_all(jobs)
    }
}
