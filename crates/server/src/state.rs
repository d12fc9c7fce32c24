//! What all requests share.

use tokio::sync::watch;

use crate::glance::Shared;
use crate::guesses::Guesses;
use crate::hosts::Hosts;
use crate::intake::Intake;
use crate::runner::Runner;
use crate::stores::Stores;
use crate::stream::Room;
use crate::tokens::Tokens;
use crate::watcher::Watcher;

/// What all requests share.
pub struct Server {
    pub stores: Stores,
    pub watcher: Watcher,
    pub runner: Runner,
    pub shared: Shared,
    /// Where the queue is, in words.
    pub place: String,
    pub intake: Intake,
    pub hosts: Hosts,
    pub room: Room,
    /// Who may do what.
    pub tokens: Tokens,
    pub guesses: Guesses,
    /// Whether nothing may be changed.
    pub readonly: bool,
    /// Becomes true when the server is to stop.
    pub stopped: watch::Receiver<bool>,
}
