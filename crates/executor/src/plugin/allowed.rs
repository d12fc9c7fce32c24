//! The list of plugins that may be loaded, by SHA-256: for those who do not want to rely on permissions alone.
//!
//! Without the environment variable there is no list and everything that is trusted may be loaded. On Linux the file
//! that was looked at is the one that is loaded, whatever its path names meanwhile; elsewhere a file that is exchanged
//! between the two would go unnoticed.
//!
//! The loader remembers a library by the path it was opened with, here by the number of a descriptor. A number that
//! came to mean another file would give the next plugin the code of the first one. So the descriptor of a file that was
//! loaded stays open as long as the process: libraries are not reliably unloaded before.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::PluginError;

/// Names a file as `sha256sum` writes it.
const VARIABLE: &str = "QUEUECTL_PLUGIN_SHA256";

/// A plugin that may be loaded.
pub(super) struct Allowed {
    /// What to load.
    pub(super) path: PathBuf,
    /// Keeps that path what it is, until [`Allowed::loaded`].
    file: Option<Arc<File>>,
}

/// Every listed file that was loaded, for the rest of the process. One per file, so a plugin that is refused and tried
/// again and again adds nothing.
static LOADED: Mutex<Vec<Arc<File>>> = Mutex::new(Vec::new());

impl Allowed {
    /// The file was given to the loader: its descriptor is never closed.
    pub(super) fn loaded(self) {
        let Some(file) = self.file else { return };
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if !loaded.iter().any(|known| Arc::ptr_eq(known, &file)) {
            loaded.push(file);
        }
    }
}

/// Whether the plugin may be loaded.
pub(super) fn check(plugin: &Path) -> Result<Allowed, PluginError> {
    let Some(list) = std::env::var_os(VARIABLE).filter(|list| !list.is_empty()) else {
        return Ok(Allowed {
            path: plugin.to_owned(),
            file: None,
        });
    };
    check_against(plugin, Path::new(&list))
}

fn check_against(plugin: &Path, list: &Path) -> Result<Allowed, PluginError> {
    let refuse = |cause: String, fix: String| PluginError::Untrusted {
        path: plugin.to_owned(),
        cause,
        fix,
    };
    let shown = list.display();
    let lines = std::fs::read_to_string(list).map_err(|error| {
        refuse(
            format!("the list {shown} of allowed plugins cannot be read: {error}"),
            format!("fix the file, or unset {VARIABLE}"),
        )
    })?;
    let (file, sum) = open(plugin).map_err(|error| {
        refuse(
            format!("it cannot be read: {error}"),
            "check that it exists and may be read".to_owned(),
        )
    })?;
    if !names(&lines, &sum) {
        return Err(refuse(
            format!("its SHA-256 {sum} is not in the list {shown}"),
            format!(
                "if it is as it should be, add it with `sha256sum {} >> {shown}`",
                plugin.display()
            ),
        ));
    }
    let file = known(&file).unwrap_or_else(|| Arc::new(file));
    Ok(Allowed {
        path: same_file(&file).unwrap_or_else(|| plugin.to_owned()),
        file: Some(file),
    })
}

/// Whether a list has that sum: the first word of a line.
fn names(list: &str, sum: &str) -> bool {
    let mut sums = list.lines().filter_map(|line| line.split_whitespace().next());
    // A name with odd characters in it makes sha256sum begin the line with a backslash.
    sums.any(|listed| listed.trim_start_matches('\\').eq_ignore_ascii_case(sum))
}

fn open(plugin: &Path) -> io::Result<(File, String)> {
    let mut file = File::open(plugin)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let sum = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((file, sum))
}

/// The descriptor by which that very file was loaded before.
#[cfg(target_os = "linux")]
fn known(file: &File) -> Option<Arc<File>> {
    use std::os::unix::fs::MetadataExt;
    let identity = |file: &File| file.metadata().ok().map(|found| (found.dev(), found.ino()));
    let wanted = identity(file)?;
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.iter().find(|file| identity(file) == Some(wanted)).cloned()
}

#[cfg(not(target_os = "linux"))]
fn known(_: &File) -> Option<Arc<File>> {
    None
}

/// A path that means that very file.
#[cfg(target_os = "linux")]
fn same_file(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
fn same_file(_: &File) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn only_what_is_listed_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let (plugin, list) = (folder.path().join("plugin"), folder.path().join("list"));
        std::fs::write(&plugin, "abc").unwrap();
        let refusal = |lines: &str| {
            std::fs::write(&list, lines).unwrap();
            check_against(&plugin, &list).err().map(|error| error.to_string())
        };
        assert_eq!(
            refusal(&format!("{}  other\n{SUM}  plugin\n", "0".repeat(64))),
            None
        );
        assert_eq!(refusal(&format!("\\{} *a\\nb", SUM.to_uppercase())), None);
        for lines in ["", "\n", &SUM[1..], &format!("plugin  {SUM}")] {
            let text = refusal(lines).unwrap();
            assert!(text.contains(SUM) && text.contains("sha256sum"), "{text}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_allows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("plugin");
        std::fs::write(&plugin, "abc").unwrap();
        let error = check_against(&plugin, &folder.path().join("none")).err().unwrap();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_exchanged_is_not_what_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let (plugin, list) = (folder.path().join("plugin"), folder.path().join("list"));
        std::fs::write(&plugin, "abc").unwrap();
        std::fs::write(&list, SUM).unwrap();
        let allowed = check_against(&plugin, &list).unwrap();
        std::fs::rename(&list, &plugin).unwrap();
        assert_eq!(std::fs::read_to_string(&allowed.path).unwrap(), "abc");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_name_of_what_was_loaded_never_means_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (list, first, second) = (
            folder.path().join("list"),
            folder.path().join("first"),
            folder.path().join("second"),
        );
        std::fs::write(&first, "abc").unwrap();
        std::fs::write(&second, "abc").unwrap();
        std::fs::write(&list, SUM).unwrap();
        let loaded = |plugin: &Path| {
            let allowed = check_against(plugin, &list).unwrap();
            let path = allowed.path.clone();
            allowed.loaded();
            path
        };
        let name = loaded(&first);
        assert_ne!(loaded(&second), name);
        assert_eq!(loaded(&first), name, "one descriptor for one file");
        std::fs::remove_file(&first).unwrap();
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "abc");
    }
}
