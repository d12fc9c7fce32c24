//! What can be done with a store, one operation a file. Each adds methods to [`crate::Store`].

pub mod cancel;
pub mod change;
pub mod control_requests;
pub mod copy;
mod copy_limits;
pub mod cycle;
pub mod edges;
pub mod enqueue;
pub mod events;
pub mod explain;
#[cfg(test)]
mod flat;
pub mod heed_clock;
pub mod hold;
pub mod limits;
pub mod list;
pub mod listing;
pub mod maintenance;
pub mod migrate;
pub mod nodes;
pub mod only;
pub mod outputs;
pub mod pause;
pub mod purge;
pub mod queue_settings;
pub mod retry;
pub mod schedules;
pub mod settings;
pub mod show;
pub mod status;
pub mod unique;
pub mod verify;
