//! Small functions that differ between operating systems: files, folders, programs, libraries, limits.
//!
//! Children are in `process`, what they inherit is in `inherit`, and who may write to a file in `trust`.

mod text;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(crate) use text::error_text;
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub(crate) use platform::{
    check_program, continues, data_folder, exit_at_once, find_program, lacks_descriptors, open_files_limit,
    open_library, out_of_resources, set_open_files_limit, signal_name,
};
