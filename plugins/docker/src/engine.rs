//! Reaching the engine: where it is, how long an answer may take, and what its errors mean.
//!
//! What is asked of it is up to the other modules.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::{API_DEFAULT_VERSION, Docker};
use queuectl_plugin_api::Error;
use tokio::sync::OnceCell;

/// Where an engine is unless something else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Longest that one answer may take. Starting a container on a busy machine is the slowest.
const CALL: Duration = Duration::from_secs(60);
/// Longest that the first answer may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The first and the longest pause before something is tried again.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Why the engine did not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It could not be reached, or gave no answer.
    Away(String),
    /// It said no, with an HTTP status.
    Refused(u16, String),
    /// Anything else.
    Other(String),
}

impl Problem {
    /// Whether the engine says that it lacks the program which it puts into a container as process 1. Docker's is
    /// called docker-init; Podman speaks of a container-init, or names the one that it has.
    pub fn is_without_init(&self) -> bool {
        let names = ["docker-init", "container-init", "catatonit"];
        matches!(self, Problem::Refused(_, why) if names.iter().any(|name| why.contains(name)))
    }

    /// Whether it said that there is no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Problem::Refused(404, _))
    }
}

impl From<bollard::errors::Error> for Problem {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        match error {
            E::DockerResponseServerError { status_code, message } => {
                Problem::Refused(status_code, message.trim().to_owned())
            }
            E::DockerStreamError { error } => Problem::Other(error),
            E::SocketNotFoundError(_) => Problem::Away("there is no such socket".to_owned()),
            E::RequestTimeoutError => Problem::Away("it gave no answer in time".to_owned()),
            E::IOError { .. } | E::HyperResponseError { .. } | E::HyperLegacyError { .. } => {
                Problem::Away(innermost(&error))
            }
            other => Problem::Other(other.to_string()),
        }
    }
}

/// What is at the bottom of an error: "connection refused" rather than that a client had an error.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An engine, which may or may not be there.
#[derive(Debug, Clone)]
pub struct Engine {
    host: Arc<str>,
    /// Whether it has the log driver [`LOCAL`]; asked for once.
    local_logs: Arc<OnceCell<bool>>,
}

/// The log driver that keeps output byte for byte, and not without end.
pub const LOCAL: &str = "local";

impl Engine {
    /// The engine at `host`, else at `$DOCKER_HOST`, else at the usual socket. It is not contacted.
    ///
    /// # Errors
    /// The address has a form that cannot be used.
    pub fn new(host: Option<String>) -> Result<Engine, Error> {
        let present = |host: &String| !host.is_empty();
        let env = || std::env::var("DOCKER_HOST").ok();
        let host = host
            .filter(present)
            .or_else(env)
            .filter(present)
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let plain_tcp = host.starts_with("tcp://") || host.starts_with("http://");
        let known = plain_tcp || host.starts_with(if cfg!(windows) { "npipe://" } else { "unix:///" });
        if !known {
            return Err(Error::new(format!(
                "the container engine's address '{host}' cannot be used; give unix:///PATH or tcp://HOST:PORT with \
                 `queuectl config:set docker.host`"
            )));
        }
        if plain_tcp && std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|set| !set.is_empty()) {
            return Err(Error::new(format!(
                "DOCKER_TLS_VERIFY is set, but the engine at {host} would be spoken to without TLS, which this \
                 executor does not have; use a socket, for example one that ssh forwards"
            )));
        }
        Ok(Engine {
            host: host.into(),
            local_logs: Arc::default(),
        })
    }

    /// A client that speaks the newest version that both sides know.
    ///
    /// # Errors
    /// Mostly [`Problem::Away`].
    pub async fn connect(&self) -> Result<Docker, Problem> {
        let host = &*self.host;
        let seconds = CALL.as_secs();
        let docker = if host.starts_with("tcp://") || host.starts_with("http://") {
            Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION)
        } else {
            #[cfg(unix)]
            let docker = Docker::connect_with_unix(host, seconds, API_DEFAULT_VERSION);
            #[cfg(windows)]
            let docker = Docker::connect_with_named_pipe(host, seconds, API_DEFAULT_VERSION);
            docker
        };
        within(CONNECT, docker?.negotiate_version()).await
    }

    /// Whether it has the log driver [`LOCAL`]. Podman has not; what it has instead keeps every byte, too.
    ///
    /// # Errors
    /// It gave no answer.
    pub async fn has_local_logs(&self, docker: &Docker) -> Result<bool, Problem> {
        let ask = || async {
            let drivers = call(docker.info()).await?.plugins.and_then(|plugins| plugins.log);
            Ok(drivers.is_some_and(|names| names.iter().any(|name| name == LOCAL)))
        };
        self.local_logs.get_or_try_init(ask).await.copied()
    }

    /// A problem in words, with what to do about it.
    pub fn explain(&self, problem: &Problem) -> String {
        let host = &self.host;
        match problem {
            Problem::Away(cause) if cause.contains("ermission denied") => format!(
                "may not use the container engine at {host}: {cause}; run the node as a user who may (a member of the \
                 group 'docker', say)"
            ),
            Problem::Away(cause) => format!(
                "cannot reach the container engine at {host}: {cause}; start it, or name another with `queuectl \
                 config:set docker.host` (Podman's socket is unix:///run/podman/podman.sock)"
            ),
            Problem::Refused(status, message) => {
                format!("the container engine at {host} refused (status {status}): {message}")
            }
            Problem::Other(cause) => cause.clone(),
        }
    }
}

/// An answer of the engine, or that it gave none in time.
pub async fn call<T>(work: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<T, Problem> {
    within(CALL, work).await
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(_) => Err(Problem::Away(format!(
            "it gave no answer within {} s",
            limit.as_secs()
        ))),
    }
}

/// How often and how long something is tried again: with growing pauses, up to a limit in all.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// A deadline after this time.
    pub fn new(limit: Duration) -> Patience {
        Patience {
            limit,
            since: None,
            pause: PAUSE_FIRST,
        }
    }

    /// It worked: the next trouble is a new one.
    pub fn renew(&mut self) {
        *self = Patience::new(self.limit);
    }

    /// Waits before another try. False: that was enough.
    pub async fn wait(&mut self) -> bool {
        if self.since.get_or_insert_with(Instant::now).elapsed() >= self.limit {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MOST);
        true
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_are_refused() {
        for bad in ["ssh://host", "/var/run/docker.sock", "https://host:2376", "fd://"] {
            let error = Engine::new(Some(bad.to_owned())).unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("docker.host"), "{error}");
        }
        for good in ["unix:///run/podman/podman.sock", "tcp://127.0.0.1:2375"] {
            assert_eq!(&*Engine::new(Some(good.to_owned())).unwrap().host, good);
        }
    }

    #[test]
    fn problems_say_where_and_what_to_do() {
        let engine = Engine::new(Some("unix:///nowhere.sock".to_owned())).unwrap();
        let text = engine.explain(&Problem::Away("connection refused".to_owned()));
        assert!(
            text.contains("unix:///nowhere.sock") && text.contains("docker.host"),
            "{text}"
        );
        let text = engine.explain(&Problem::Away("Permission denied (os error 13)".to_owned()));
        assert!(text.contains("group"), "{text}");
        assert!(Problem::Refused(404, String::new()).is_missing());
    }
}
