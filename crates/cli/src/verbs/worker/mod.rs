//! `worker:start`, `worker:stop`, `worker:list`, and the hidden `worker:run` that worker processes are started with.

mod detach;
pub mod list;
pub mod run;
pub mod start;
pub mod stop;
