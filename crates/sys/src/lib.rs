//! What several crates need of the file system, in one place: files that appear whole or not at all, folders in which
//! somebody else may put links, and what a file system is kept on.

mod draft;
pub mod folder;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod math;
pub mod volume;

pub use draft::{Draft, is_draft, sync_folder};
pub use folder::{Access, Folder};
pub use volume::{Medium, Volume};
