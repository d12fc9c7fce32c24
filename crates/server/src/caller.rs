//! Who asks: over which connection, and with which token.
//!
//! The caller belongs to the task that answers a request, so that a change is made in the right name whatever code makes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use queuectl_core::{Role, Roles, Token, TokenScope};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The user who started the server, or root: over the Unix socket.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such socket"))]
    Owner,
    /// Some user of this machine: over a port that no other machine reaches.
    Machine(IpAddr),
    /// Anyone.
    Anyone(IpAddr),
}

impl Peer {
    /// Who is behind that address, of a listener with this one.
    pub fn of(listener: SocketAddr, peer: SocketAddr) -> Peer {
        match listener.ip().is_loopback() {
            true => Peer::Machine(peer.ip()),
            false => Peer::Anyone(peer.ip()),
        }
    }

    /// The address of one who has to guess tokens.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Peer::Owner => None,
            Peer::Machine(address) | Peer::Anyone(address) => Some(address),
        }
    }
}

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it says nothing about the queue.
    Nothing,
    /// A role.
    Role(Role),
}

/// Who asks, and what may be done.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// What may be done.
    pub roles: Roles,
    /// The token, if one was sent.
    pub token: Option<Token>,
}

impl Caller {
    /// One who may do everything, without a token.
    pub fn admin() -> Caller {
        Caller {
            roles: [Role::Admin].into_iter().collect(),
            token: None,
        }
    }

    /// One with this token.
    pub fn with(token: Token) -> Caller {
        Caller {
            roles: token.roles,
            token: Some(token),
        }
    }

    /// The name in the list of operations; none for that of the server.
    pub fn operator(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("token {}", token.name))
    }

    /// The jobs that may be stored.
    pub fn scope(&self) -> TokenScope {
        let limited = self.token.as_ref().filter(|_| !self.roles.allow(Role::Operate));
        limited.map(|token| token.scope.clone()).unwrap_or_default()
    }
}

tokio::task_local! {
    static CALLER: Arc<Caller>;
}

/// Does something in the name of a caller.
pub async fn act<F: Future>(caller: Arc<Caller>, act: F) -> F::Output {
    CALLER.scope(caller, act).await
}

/// Returns in whose name this task acts; none if it is the server's own.
pub fn current() -> Option<Arc<Caller>> {
    CALLER.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_goes_by_the_place_that_was_asked() {
        let peer = |listener: &str, peer: &str| Peer::of(listener.parse().unwrap(), peer.parse().unwrap());
        let near = "127.0.0.1".parse().unwrap();
        assert_eq!(peer("127.0.0.1:80", "127.0.0.1:9"), Peer::Machine(near));
        assert_eq!(peer("0.0.0.0:80", "127.0.0.1:9"), Peer::Anyone(near));
        assert!(matches!(peer("[::1]:80", "[::1]:9"), Peer::Machine(_)));
        assert!(matches!(peer("[::]:80", "192.0.2.1:9"), Peer::Anyone(_)));
    }
}
