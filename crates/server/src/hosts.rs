//! The names that requests may be for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::listen::{Listen, without_port};

/// The names that requests may be for.
pub struct Hosts {
    names: BTreeSet<String>,
    /// Whether it is listened on all addresses: then each is a name. No page on the web has an address as its name that is not its
    /// own machine's.
    addresses: bool,
}

impl Hosts {
    /// Those of this machine, of the places that are listened on, and others.
    pub fn new(listen: &[Listen], also: &[String]) -> Hosts {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let listened = listen.iter().flat_map(Listen::hosts);
        let also = also.iter().map(|host| without_port(host));
        let is_any = |place: &Listen| {
            place
                .open_to_others()
                .is_some_and(|address| address.ip().is_unspecified())
        };
        Hosts {
            names: own.into_iter().chain(listened).chain(also).collect(),
            addresses: listen.iter().any(is_any),
        }
    }

    /// Whether a request may be for that host, with a port or without.
    pub fn has(&self, host: &str) -> bool {
        let host = without_port(host);
        let address = || {
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<IpAddr>()
        };
        self.names.contains(&host) || self.addresses && address().is_ok()
    }
}
