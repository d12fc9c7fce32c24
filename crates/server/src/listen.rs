//! Where the server listens. A place that other machines can reach has to be asked for in plain words, and needs tokens.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

/// A place to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket, which only its owner may connect to.
    Unix(PathBuf),
    /// An address of this machine.
    Tcp(SocketAddr),
}

/// Why it cannot listen there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no address.
    #[error("'{0}' is not an address to listen on; give HOST:PORT, such as 127.0.0.1:8765, or unix:PATH")]
    Unclear(String),
    /// Others could reach it.
    #[error(
        "other machines could reach {0}, and everything would be sent to them as it is, tokens too; give a certificate (--tls-cert \
         and --tls-key), listen on 127.0.0.1, or give --insecure-plain if only a proxy that adds TLS can reach it"
    )]
    Open(SocketAddr),
    /// Others could reach it, and there is no token.
    #[error(
        "other machines could reach {0}, and there is no token yet that they would need; make one first: `queuectl \
         token:add NAME --role read`"
    )]
    NoToken(SocketAddr),
    /// It is taken.
    #[error("another server listens on {}", .0.display())]
    Taken(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {place}: {source}")]
    Refused {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// There are none.
    #[error("this system has no Unix sockets for this; listen on 127.0.0.1:PORT")]
    NoUnix,
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Listen, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(ListenError::Unclear(text.to_owned())),
                false => Ok(Listen::Unix(path.into())),
            };
        }
        let unclear = || ListenError::Unclear(text.to_owned());
        let address = match text.strip_prefix("localhost:") {
            Some(port) => SocketAddr::from(([127, 0, 0, 1], port.parse().map_err(|_| unclear())?)),
            None => text.parse().map_err(|_| unclear())?,
        };
        Ok(Listen::Tcp(address))
    }
}

impl Listen {
    /// Returns the address, if other machines can reach it.
    pub fn open_to_others(&self) -> Option<SocketAddr> {
        match self {
            Listen::Tcp(address) if !address.ip().is_loopback() => Some(*address),
            _ => None,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// An open place.
pub enum Listener {
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
}

impl Listen {
    /// Begins to listen.
    pub fn open(&self) -> Result<Listener, ListenError> {
        let refused = |source| ListenError::Refused {
            place: self.to_string(),
            source,
        };
        match self {
            Listen::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address).map_err(refused)?;
                listener.set_nonblocking(true).map_err(refused)?;
                TcpListener::from_std(listener)
                    .map(Listener::Tcp)
                    .map_err(refused)
            }
            #[cfg(unix)]
            Listen::Unix(path) => {
                use std::os::unix::fs::PermissionsExt as _;

                let file = SocketFile::take(path)?;
                let listener = UnixListener::bind(path).map_err(refused)?;
                // Until then, `connections` looks at who connects.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(refused)?;
                Ok(Listener::Unix(listener, file))
            }
            #[cfg(not(unix))]
            Listen::Unix(_) => Err(ListenError::NoUnix),
        }
    }
}

impl Listener {
    /// Whether only the user who started the server can connect to it, and root.
    pub fn is_owners(&self) -> bool {
        match self {
            #[cfg(unix)]
            Listener::Unix(..) => true,
            Listener::Tcp(_) => false,
        }
    }

    /// Returns the place, with the port that was chosen if any would do.
    pub fn place(&self) -> String {
        match self {
            #[cfg(unix)]
            Listener::Unix(_, file) => Listen::Unix(file.path.clone()).to_string(),
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => Listen::Tcp(address).to_string(),
                Err(error) => error.to_string(),
            },
        }
    }
}

/// The file of a socket. It goes with the server, which has locked another file beside it meanwhile.
#[cfg(unix)]
pub struct SocketFile {
    path: PathBuf,
    _lock: std::fs::File,
}

#[cfg(unix)]
impl SocketFile {
    /// Takes the place of a socket, and removes what a server left there that was killed.
    fn take(path: &std::path::Path) -> Result<SocketFile, ListenError> {
        use std::os::unix::fs::FileTypeExt as _;

        let refused = |source| ListenError::Refused {
            place: path.display().to_string(),
            source,
        };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside)
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(ListenError::Taken(path.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => return Err(refused(error)),
        }
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path).map_err(refused)?;
        }
        Ok(SocketFile {
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns a host and port without the port, in small letters.
pub fn without_port(host: &str) -> String {
    let end = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => colon,
        _ => host.len(),
    };
    host[..end].to_ascii_lowercase()
}

impl Listen {
    /// Returns the hosts that clients name in their requests to it.
    pub fn hosts(&self) -> Vec<String> {
        match self {
            Listen::Unix(_) => Vec::new(),
            Listen::Tcp(address) => (*address)
                .to_socket_addrs()
                .map(|all| all.map(|one| without_port(&one.to_string())).collect())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_others_can_reach_are_told_from_those_of_this_machine() {
        let read = |text: &str| text.parse::<Listen>();
        assert_eq!(
            read("unix:/run/q.sock").unwrap(),
            Listen::Unix("/run/q.sock".into())
        );
        assert_eq!(read("127.0.0.1:80").unwrap().to_string(), "http://127.0.0.1:80");
        assert_eq!(read("[::1]:80").unwrap().to_string(), "http://[::1]:80");
        assert_eq!(read("localhost:8765").unwrap(), read("127.0.0.1:8765").unwrap());
        for open in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "8.8.8.8:1"] {
            assert!(read(open).unwrap().open_to_others().is_some(), "{open}");
        }
        for own in ["unix:/run/q.sock", "127.0.0.1:80", "[::1]:80", "localhost:80"] {
            assert_eq!(read(own).unwrap().open_to_others(), None, "{own}");
        }
        for unclear in ["", "unix:", "80", "localhost", "localhost:x", "example.com:80"] {
            assert!(matches!(read(unclear), Err(ListenError::Unclear(_))), "{unclear}");
        }
    }

    #[test]
    fn a_host_is_compared_without_its_port() {
        for (host, name) in [
            ("LocalHost:80", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:0", "127.0.0.1"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
