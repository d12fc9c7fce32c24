//! `queuectl serve`: the queue over HTTP, for programs and for those who watch it.
//!
//! - `listen`: where it listens, and what it refuses to listen on. `connections`, `patient`: taking and ending connections.
//! - `guard`, `hosts`: which requests are not let in, whatever they ask for. `routes`: what can be asked for, and what that needs.
//! - `access`, `caller`: who asks, and whether they may. `tokens`, `guesses`: right tokens and wrong ones.
//! - `tls`: certificates.
//! - `stores`: threads that read and change the store for requests. `intake`: storing jobs, many requests in one commit.
//! - `watcher`: one look for changes for all who wait. `follow`: what a job prints, as it comes.
//! - `pages/`: the dashboard. `glance`: what all who look at it share. `runner`: changes of many jobs that it began.
//! - `api/`: the answers. `bulk`: many jobs in one request, which `incoming` reads as they come. `problem`: what is said when something
//!   cannot be done.
//!
//! It reads and asks through `Store` like any other client, and decides nothing about jobs. What it says is made of `queuectl_views`,
//! so that it says the same as the command line.

mod access;
mod api;
mod bulk;
mod caller;
mod connections;
mod follow;
mod glance;
mod guard;
mod guesses;
mod hosts;
mod incoming;
mod intake;
mod listen;
mod pages;
mod patient;
mod problem;
mod route;
mod routes;
mod runner;
mod state;
mod stores;
mod stream;
mod tls;
mod tokens;
mod watcher;

use std::io;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use queuectl_core::{JobSpec, Role, Timestamp, ValidJob};
use queuectl_storage::{Location, OpenMode, Store, StoreError};
use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::tls::Tls;

pub use self::listen::{Listen, ListenError};
pub use self::tls::{TlsError, TlsFiles};

/// How long requests have to end after the server was asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What is served, and where.
pub struct Options<'a> {
    /// The queue. It is created if it does not exist.
    pub location: Location,
    /// Where to listen: at least one place.
    pub listen: Vec<Listen>,
    /// Names by which it is known, besides those of this machine itself.
    pub hosts: Vec<String>,
    /// Whether nothing may be changed.
    pub readonly: bool,
    /// The certificate for TLS on ports.
    pub tls: Option<TlsFiles>,
    /// Whether to listen without TLS where other machines can reach it.
    pub insecure: bool,
    /// Who is said to have made the changes.
    pub operator: String,
    /// Checks jobs, also with their executors.
    pub checker: Box<dyn Check + 'a>,
}

/// Says which jobs cannot be stored.
pub trait Check: Send {
    /// Fills in what a job needs that it does not say, such as its folder, and checks it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn complete(&mut self, spec: JobSpec, now: Timestamp) -> Result<ValidJob, String>;

    /// Returns the jobs that their executors would not run, by their place, with the reasons.
    fn refused(&mut self, jobs: &[ValidJob]) -> Vec<(usize, String)>;
}

/// Returns every route: its method, its path, and the role that it needs.
pub fn routes() -> impl Iterator<Item = (String, &'static str, Option<Role>)> {
    routes::all().map(|route| {
        let role = match route.needs {
            caller::Needs::Nothing => None,
            caller::Needs::Role(role) => Some(role),
        };
        (route.method.to_string(), route.path, role)
    })
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The queue cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot listen there.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something of the system is not there.
    #[error("the server cannot start: {0}")]
    Io(#[from] io::Error),
}

/// Has a server stop.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Stop {
        Stop(watch::Sender::new(false))
    }
}

impl Stop {
    /// Has it stop. Returns whether it was told so before.
    pub fn stop(&self) -> bool {
        self.0.send_replace(true)
    }
}

/// Serves until it is told to stop. `ready` is told each place where it listens, and whether a token is needed there.
///
/// # Errors
/// [`ServeError`], before it listens.
pub fn serve(options: Options<'_>, stop: &Stop, mut ready: impl FnMut(&str, bool)) -> Result<(), ServeError> {
    // What is wrong with the queue is said now, and not to the first who asks.
    let has_tokens = look(&options)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("serve")
        .enable_all()
        .build()?;
    thread::scope(|scope| {
        let served = runtime.block_on(take(options, stop, scope, |place, is_own| {
            ready(place, has_tokens && !is_own)
        }));
        // With what still runs goes what it holds, for which threads of this scope wait.
        runtime.shutdown_timeout(Duration::ZERO);
        served
    })
}

/// Looks whether the queue can be used, and may be where it is to be served. Returns whether there are tokens.
fn look(options: &Options<'_>) -> Result<bool, ServeError> {
    let mut store = Store::open(&options.location, OpenMode::Create)?;
    let tokens = store.tokens()?;
    let now = store.now()?;
    for address in options.listen.iter().filter_map(Listen::open_to_others) {
        if options.tls.is_none() && !options.insecure {
            return Err(ListenError::Open(address).into());
        }
        if !tokens.iter().any(|token| token.is_good(now)) {
            return Err(ListenError::NoToken(address).into());
        }
    }
    Ok(!tokens.is_empty())
}

/// Listens and answers, until it is told to stop and the requests that it has are answered, or have had their time.
async fn take<'scope>(
    options: Options<'scope>,
    stop: &Stop,
    scope: &'scope Scope<'scope, '_>,
    mut ready: impl FnMut(&str, bool),
) -> Result<(), ServeError> {
    let tls = options.tls.map(Tls::load).transpose()?.map(Arc::new);
    let mut listeners = Vec::new();
    for place in &options.listen {
        listeners.push(place.open()?);
    }
    let stores = stores::Stores::start(&options.location, &options.operator)?;
    let intake = intake::Intake::start(
        scope,
        &options.location,
        &options.operator,
        options.checker,
        stop.0.subscribe(),
    )?;
    let server = Arc::new(state::Server {
        stores,
        watcher: watcher::Watcher::start(&options.location, &options.operator)?,
        runner: runner::Runner::start(&options.location)?,
        shared: glance::Shared::default(),
        place: options.location.to_string(),
        intake,
        hosts: hosts::Hosts::new(&options.listen, &options.hosts),
        room: stream::Room::new(),
        tokens: tokens::Tokens::default(),
        guesses: guesses::Guesses::default(),
        readonly: options.readonly,
        stopped: stop.0.subscribe(),
    });
    let router = routes::router(&server);
    let mut serving = JoinSet::new();
    for listener in listeners {
        let is_owners = listener.is_owners();
        let tls = tls.clone().filter(|_| !is_owners);
        let place = match tls {
            Some(_) => listener.place().replace("http://", "https://"),
            None => listener.place(),
        };
        ready(&place, is_owners);
        serving.spawn(connections::take(
            listener,
            tls,
            router.clone(),
            stop.0.subscribe(),
        ));
    }
    let following = tls.map(|tls| tokio::spawn(tls.follow()));
    connections::told(&mut stop.0.subscribe()).await;
    let all = async { while serving.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_WITHIN, all).await;
    if let Some(following) = following {
        following.abort();
    }
    Ok(())
}
