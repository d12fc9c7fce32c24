//! Why a database could not do what it was asked, in words that say what to do.

/// Why the database could not do what it was asked. These can pass: the caller may try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No space left for the database or its log.
    DiskFull,
    /// The file or its file system cannot be written.
    ReadOnly,
    /// This process or the machine has too few descriptors of files.
    Descriptors,
    /// A file has the largest size that files of this process may have.
    FileLimit,
    /// Reading or writing failed.
    Io,
    /// Another program kept the database locked for longer than the busy timeout.
    Busy,
    /// The file's content is damaged.
    Corrupt,
    /// The database server cannot be reached, or went away.
    Unreachable,
    /// The database server does not let this user in, or do that.
    Denied,
    /// The database server takes no changes, as a standby does.
    Standby,
    /// The database server is short of memory or connections.
    Overloaded,
    /// The database, or a table of the queue, is not on the server.
    Gone,
    /// The database does not take a value: what it is, or how large it is.
    Refused,
    /// A pooler gives the server's sessions to several clients at a time.
    Pooled,
    /// Anything else the database said.
    Other,
}

impl Problem {
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Problem::DiskFull => "the disk is full; free some space and try again",
            Problem::ReadOnly => {
                "the database cannot be written; check the permissions of the file and its folder"
            }
            Problem::Descriptors => "too many files are open; raise the limit (`ulimit -n`) and try again",
            Problem::FileLimit => {
                "a file may not grow any more; raise the limit of the size of files (`ulimit -f`) and try again"
            }
            Problem::Io => "the disk reported an error; check it before you go on",
            Problem::Busy => "another program keeps the database locked; try again when it is done",
            Problem::Corrupt => {
                "the database is damaged; stop all nodes, keep a copy, then restore a backup (or try `sqlite3 FILE .recover` on a file)"
            }
            Problem::Unreachable => "the database server cannot be reached; try again when it is there",
            Problem::Denied => "the database server does not allow it; check user, password and rights",
            Problem::Standby => {
                "the database server takes no changes, as a standby does; name the primary, or several hosts with target_session_attrs=read-write"
            }
            Problem::Overloaded => {
                "the database server is short of memory or connections; try again when it has some"
            }
            Problem::Gone => {
                "the database or a table of the queue is missing on the server; name another, or make it (`createdb`, `queuectl db:migrate`)"
            }
            Problem::Refused => "the database does not take this value",
            Problem::Pooled => {
                "a pooler hands sessions of the database server around; it must give each connection its own (pool_mode = session)"
            }
            Problem::Other => "the database refused",
        }
    }

    /// What SQLite says, and libpq of a connection that broke. A server's words are in its language: its errors are told by
    /// their SQLSTATE.
    pub(crate) fn from_message(message: &str) -> Problem {
        let known = [
            ("database or disk is full", Problem::DiskFull),
            ("readonly database", Problem::ReadOnly),
            ("disk I/O error", Problem::Io),
            ("unable to open database file", Problem::Io),
            ("is locked", Problem::Busy),
            ("malformed", Problem::Corrupt),
            ("file is not a database", Problem::Corrupt),
            ("string or blob too big", Problem::Refused),
            ("server closed the connection", Problem::Unreachable),
            ("no connection to the server", Problem::Unreachable),
            ("could not receive data from server", Problem::Unreachable),
            ("could not send data to server", Problem::Unreachable),
            ("SSL connection has been closed", Problem::Unreachable),
            ("SSL SYSCALL error", Problem::Unreachable),
            ("SSL error: unexpected eof", Problem::Unreachable),
        ];
        known
            .iter()
            .find(|(text, _)| message.contains(text))
            .map_or(Problem::Other, |(_, problem)| *problem)
    }
}
