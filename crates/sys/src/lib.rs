//! What several crates need of the file system, in one place: files that appear whole or not at all.

mod draft;

pub use draft::{Draft, is_draft, sync_folder};
