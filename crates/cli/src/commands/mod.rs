//! The commands, one file per command or family of commands. Each has its `*Args`, as they are typed, and a function that
//! resolves them, does the work through the store and prints.

pub mod batch;
pub mod cancel;
pub mod config;
pub mod db;
pub mod dlq;
pub mod enqueue;
pub mod init;
pub mod list;
pub mod logs;
pub mod plugin;
pub mod purge;
pub mod retry;
pub mod show;
pub mod status;
pub mod wait;
pub mod worker;
