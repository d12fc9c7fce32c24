//! `group:create`, `group:close`, `group:list`, `group:show`, `group:graph`, `group:wait`, `group:cancel`, `group:retry`, `group:remove`: jobs
//! that are looked at together, and what runs when all of them have ended.

pub mod cancel;
pub mod close;
pub mod create;
pub mod graph;
pub mod list;
mod options;
pub mod remove;
pub mod retry;
pub mod show;
pub mod wait;
