//! `worker:start`, `worker:stop`, `worker:list`, and the hidden `worker:run`, which is a worker process.

mod detach;
pub mod list;
mod log_file;
pub mod run;
pub mod start;
pub mod stop;
pub mod trust;
