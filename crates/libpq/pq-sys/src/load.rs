//! Finds and loads the library with libpq, once for the life of the process.
//!
//! It is looked for beside the program and where `cargo xtask install` puts it, and nowhere else: no variable of the
//! environment says which code a process with the database's password runs.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};

use crate::functions::{Functions, LAYOUT, LOADED};

/// Why there is no libpq.
#[derive(Debug)]
pub enum LoadError {
    /// It is at none of these places.
    Missing(Vec<PathBuf>),
    /// It is there and cannot be loaded.
    Broken(PathBuf, String),
    /// It belongs to another version of queuectl.
    Foreign(PathBuf),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Missing(places) => {
                let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
                write!(f, "there is no {}", places.join(" and no "))
            }
            LoadError::Broken(path, why) => write!(f, "{} cannot be loaded: {why}", path.display()),
            LoadError::Foreign(path) => write!(f, "{} belongs to another version of queuectl", path.display()),
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads libpq, unless it is loaded.
///
/// # Errors
/// It is not installed, or not the one of this version.
pub fn load() -> Result<(), LoadError> {
    if LOADED.get().is_some() {
        return Ok(());
    }
    let places = places();
    let Some(path) = places.iter().find(|path| path.exists()) else {
        return Err(LoadError::Missing(places));
    };
    let functions = open(path)?;
    LOADED.get_or_init(|| functions);
    Ok(())
}

/// Where the library may be: beside the program, in a build's folder for tests, and where it is installed.
fn places() -> Vec<PathBuf> {
    let file = format!("{DLL_PREFIX}queuectl_libpq{DLL_SUFFIX}");
    // A program that was replaced by a newer one meanwhile has no file any more, but still its folder.
    let program = env::current_exe().map(|path| path.canonicalize().unwrap_or(path));
    let folder = program.ok().and_then(|path| path.parent().map(Path::to_owned));
    let Some(folder) = folder else {
        return Vec::new();
    };
    let beside = folder.join(&file);
    let installed = folder.parent().map(|prefix| prefix.join("lib/queuectl").join(&file));
    [beside].into_iter().chain(installed).collect()
}

fn open(path: &Path) -> Result<&'static Functions, LoadError> {
    let broken = |error: libloading::Error| LoadError::Broken(path.to_owned(), error.to_string());
    // SAFETY: it was installed with this program; loading it runs no code of its own but OpenSSL's, which looks at the
    // processor.
    let library = unsafe { Library::new(path) }.map_err(broken)?;
    // SAFETY: the library exports it with this type, whatever its version.
    let functions = unsafe {
        let table: Symbol<'_, unsafe extern "C" fn() -> *const Functions> =
            library.get(c"queuectl_libpq").map_err(broken)?;
        table()
    };
    // Its connections are used until the process ends.
    std::mem::forget(library);
    // SAFETY: a table of any version begins with its layout; it lives as long as the library.
    if unsafe { (&raw const (*functions).layout).read() } != LAYOUT {
        return Err(LoadError::Foreign(path.to_owned()));
    }
    // SAFETY: it has this very layout, and lives as long as the library, which is never unloaded.
    Ok(unsafe { &*functions })
}
