//! What all requests share.

use tokio::sync::watch;

use crate::hosts::Hosts;
use crate::intake::Intake;
use crate::stores::Stores;
use crate::stream::Room;
use crate::watcher::Watcher;

/// What all requests share.
pub struct Server {
    pub stores: Stores,
    pub watcher: Watcher,
    pub intake: Intake,
    pub hosts: Hosts,
    pub room: Room,
    /// Whether nothing may be changed.
    pub readonly: bool,
    /// Becomes true when the server is to stop.
    pub stopped: watch::Receiver<bool>,
}
