//! What can be done with a store, one verb a file. Each adds methods to [`crate::Store`].

pub mod altered;
pub mod asked;
pub mod cancel;
pub mod copy;
pub mod enqueue;
pub mod heed_clock;
pub mod list;
pub mod maintenance;
pub mod migrate;
pub mod nodes;
pub mod number;
pub mod only;
pub mod purge;
pub mod retry;
pub mod settings;
pub mod show;
pub mod status;
pub mod turn;
