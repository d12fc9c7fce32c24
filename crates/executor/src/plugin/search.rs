//! Where plugins are looked for.
//!
//! Only absolute folders are searched: a plugin is code, and must not come from wherever a command happens to be
//! called. Nothing is loaded here.

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use queuectl_core::ExecutorName;

use crate::trust::{self, Distrust, Writers};
use crate::{PluginError, os};

const STEM: &str = "queuectl_plugin_";

/// The folders that are searched for plugins, in order. The first file found counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
}

/// A plugin file that the search path has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFile {
    /// The executor's name, as its file says it (with `_` where the name may have `-`).
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Why the file would not be loaded, if it is already clear from the outside.
    pub refused: Option<PluginError>,
}

impl SearchPath {
    /// The usual folders: `extra` (from `--plugin-dir`), those in `QUEUECTL_PLUGIN_PATH`, the folder of the program
    /// itself, `../lib/queuectl/plugins` beside it, and the user's data folder. Relative ones are dropped with a warning.
    pub fn standard(extra: &[PathBuf]) -> SearchPath {
        let mut folders = extra.to_vec();
        if let Some(list) = std::env::var_os("QUEUECTL_PLUGIN_PATH") {
            folders.extend(std::env::split_paths(&list).filter(|folder| !folder.as_os_str().is_empty()));
        }
        if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            folders.push(folder.to_owned());
            if let Some(prefix) = folder.parent() {
                folders.push(prefix.join("lib").join("queuectl").join("plugins"));
            }
        }
        if let Some(data) = os::data_folder() {
            folders.push(data.join("queuectl").join("plugins"));
        }
        SearchPath::new(folders)
    }

    /// Exactly these folders, without relative ones and repetitions.
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> SearchPath {
        let mut kept: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if !folder.is_absolute() {
                tracing::warn!(folder = %folder.display(), "a relative plugin folder is ignored; give it in full");
            } else if !kept.contains(&folder) {
                kept.push(folder);
            }
        }
        SearchPath { folders: kept }
    }

    /// The folders, in search order.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The plugin file of an executor, checked from the outside.
    ///
    /// # Errors
    /// [`PluginError::NotFound`], or [`PluginError::Untrusted`] for the first file found: a refused file is not
    /// passed over in favour of a later one.
    pub fn find(&self, name: &ExecutorName) -> Result<PathBuf, PluginError> {
        let file = file_name(name);
        match self
            .folders
            .iter()
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file())
        {
            Some(path) => check_trust(&path).map(|()| path),
            None => {
                let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
                let folders = if folders.is_empty() {
                    "(none)".to_owned()
                } else {
                    folders.join(", ")
                };
                Err(PluginError::NotFound {
                    executor: name.to_string(),
                    file,
                    folders,
                })
            }
        }
    }

    /// Every plugin file there is, one per name, in alphabetical order.
    pub fn list(&self) -> Vec<PluginFile> {
        let mut found = BTreeMap::new();
        for entry in self
            .folders
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten()
        {
            let (path, file) = (entry.path(), entry.file_name());
            let name = file.to_str().and_then(executor_of);
            if let Some(name) = name.filter(|_| path.is_file()) {
                found.entry(name.to_owned()).or_insert(path);
            }
        }
        let refused = |path: &Path| check_trust(path).err();
        found
            .into_iter()
            .map(|(name, path)| PluginFile {
                refused: refused(&path),
                name,
                path,
            })
            .collect()
    }
}

/// Whether only root and the user could have put code into a plugin.
pub(super) fn check_trust(path: &Path) -> Result<(), PluginError> {
    trust::check(path, Writers::User).map_err(|Distrust { cause, fix }| PluginError::Untrusted {
        path: path.to_owned(),
        cause,
        fix,
    })
}

fn file_name(name: &ExecutorName) -> String {
    format!("{DLL_PREFIX}{STEM}{}{DLL_SUFFIX}", file_form(name.as_str()))
}

/// An executor's name as a plugin's file says it, which cannot tell `-` from `_`.
pub(super) fn file_form(name: &str) -> String {
    name.replace('-', "_")
}

/// The executor that a plugin's file is named for; none if it is not named like a plugin.
pub(super) fn executor_of_file(path: &Path) -> Option<String> {
    path.file_name()?.to_str().and_then(executor_of).map(file_form)
}

fn executor_of(file: &str) -> Option<&str> {
    let name = file
        .strip_prefix(DLL_PREFIX)?
        .strip_prefix(STEM)?
        .strip_suffix(DLL_SUFFIX)?;
    name.parse::<ExecutorName>().is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_folders_and_repetitions_are_dropped() {
        let root = std::env::temp_dir();
        let path = SearchPath::new([root.clone(), "plugins".into(), ".".into(), root.clone()]);
        assert_eq!(path.folders(), [root]);
    }

    #[test]
    fn file_names_and_executor_names_match() {
        let name: ExecutorName = "my-thing".parse().unwrap();
        assert_eq!(executor_of(&file_name(&name)), Some("my_thing"));
        assert_eq!(executor_of("libc.so.6"), None);
    }

    #[test]
    fn a_missing_plugin_names_file_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = SearchPath::new([folder.path().to_owned()]);
        let text = path.find(&"nope".parse().unwrap()).unwrap_err().to_string();
        assert!(text.contains("queuectl_plugin_nope"), "{text}");
        assert!(text.contains(&folder.path().display().to_string()), "{text}");
        assert_eq!(path.list(), []);
    }
}
