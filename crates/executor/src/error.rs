//! What can go wrong before a job runs. Every text names the file and says what to do about it.

use std::path::PathBuf;

/// Why a plugin cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// No folder has the file.
    #[error(
        "no plugin for the executor '{executor}': {file} is in none of the folders {folders}; put it into one of them, \
         or name its folder with --plugin-dir or QUEUECTL_PLUGIN_PATH"
    )]
    NotFound {
        /// The executor that was asked for.
        executor: String,
        /// The file that was looked for.
        file: String,
        /// The folders that were searched.
        folders: String,
    },
    /// Somebody else could have put code into it.
    #[error("the plugin {path} is refused: {cause}; {fix}", path = path.display())]
    Untrusted {
        /// The plugin.
        path: PathBuf,
        /// What is wrong.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// The operating system cannot load it.
    #[error("the plugin {path} cannot be loaded: {cause}; rebuild or reinstall it", path = path.display())]
    NotLoadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: String,
    },
    /// It is a library, but no queuectl plugin.
    #[error("{path} is not a queuectl plugin: {cause}; remove it or install the right file", path = path.display())]
    NoPlugin {
        /// The file.
        path: PathBuf,
        /// What is missing.
        cause: String,
    },
    /// Its file has the name of an executor that it is not.
    #[error(
        "the plugin {path} is not the executor '{executor}': it describes itself as '{name}'; give the file that name, or \
         install the right plugin", path = path.display()
    )]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The executor that the file is named for.
        executor: String,
        /// The name in the plugin's own description.
        name: String,
    },
    /// It was made for another version of queuectl.
    #[error("the plugin {path} {cause}", path = path.display())]
    Incompatible {
        /// The file.
        path: PathBuf,
        /// Which versions do not fit, and what to do.
        cause: String,
    },
    /// It refused to make an instance.
    #[error("the plugin {path} cannot start: {cause}", path = path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The plugin's own text.
        cause: String,
    },
}

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A process has one host: it owns every child of the process.
    #[error("this process already has a host for jobs")]
    Exists,
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
}
