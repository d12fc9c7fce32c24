//! `db:check`, `db:backup`, `db:copy`, `db:migrate`, `db:path`, `db:compact`: the queue as a file or a database.

pub mod backup;
pub mod check;
pub mod compact;
pub mod copy;
pub mod migrate;
pub mod path;
