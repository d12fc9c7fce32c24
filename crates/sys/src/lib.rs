//! What several crates need of the file system, in one place: files that appear whole or not at all, and folders in which
//! somebody else may put links.

mod draft;
pub mod folder;

pub use draft::{Draft, is_draft, sync_folder};
pub use folder::{Access, Folder};
