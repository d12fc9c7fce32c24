//! `config:list`, `config:get`, `config:set`, `config:unset`: the settings of a queue.

pub mod get;
pub mod list;
pub mod set;
mod setting;
pub mod unset;
