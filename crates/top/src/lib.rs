//! `queuectl top`: the live terminal view of a queue.
//!
//! Three threads, and nothing shared but channels: the first draws and waits for events, another reads the store, a third
//! changes it. So drawing never waits for the store, and the store is asked only for what is on the screen.
//!
//! - `app`: what is shown and what a key does: pure, from an event to effects. `keys`: which key means what.
//! - `snapshot`: what the reader found. `reader`: the thread that looks. `tab`, `tabs/`: the tabs, and what each
//!   loads. `pages/`: texts about one
//!   thing, such as a job's details. `actor`: the thread that acts.
//! - `draw/`: puts the state on the screen. `terminal`: takes the terminal over and gives it back.
//!
//! It decides nothing about jobs, and shows nothing that a command does not print, too.

mod actor;
mod app;
mod draw;
mod history;
mod input;
mod keys;
mod pages;
mod palette;
mod reader;
mod run;
mod snapshot;
mod tab;
mod tabs;
mod terminal;
#[cfg(test)]
mod tests;

pub use run::{Options, TopError, run};
