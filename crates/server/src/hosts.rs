//! The names that requests may be for.

use std::collections::BTreeSet;

use crate::listen::{Listen, without_port};

/// The names that requests may be for.
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// Those of this machine, of the places that are listened on, and others.
    pub fn new(listen: &[Listen], also: &[String]) -> Hosts {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let listened = listen.iter().flat_map(Listen::hosts);
        let also = also.iter().map(|host| without_port(host));
        Hosts(own.into_iter().chain(listened).chain(also).collect())
    }

    /// Whether a request may be for that host, with a port or without.
    pub fn has(&self, host: &str) -> bool {
        self.0.contains(&without_port(host))
    }
}
