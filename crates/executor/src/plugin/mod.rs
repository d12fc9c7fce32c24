//! Executor plugins: where they are ([`SearchPath`]), whether they may be loaded, and how they are called.

mod allowed;
mod callbacks;
#[cfg(target_os = "linux")]
mod elf;
mod instance;
mod load;
mod loader;
mod offline;
mod search;
mod state_guard;
mod watchdog;

pub(crate) use instance::{Exited, Instance, Started};
pub use load::{PluginInfo, Slots, inspect, open};
pub(crate) use loader::Loader;
pub use loader::settings_of;
pub use offline::Offline;
pub use search::{PluginFile, SearchPath};
pub use watchdog::{CALL_LIMIT, HANGING_STATUS};
