//! `worker:start`, `worker:stop`, `worker:list`, and the hidden `worker:run` that worker processes are started with.

mod detach;
pub mod list;
mod log_file;
pub mod run;
pub mod start;
pub mod stop;
mod trust;
