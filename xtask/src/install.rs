//! `install`: a release build, copied into `bin` and `lib/queuectl/plugins` below a prefix.
//!
//! Each file appears whole or not at all, also while an older `queuectl` is running. Nothing is removed: plugins
//! that somebody else put beside ours stay.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use queuectl_devkit::Profile;
use queuectl_sys::Draft;

use crate::build::{self, Built, Scope};
use crate::workspace::Workspace;

/// Where a prefix keeps the binary.
const BINARIES: &str = "bin";
/// Where a prefix keeps the plugins; the binary finds them by this path relative to itself.
const PLUGINS: &str = "lib/queuectl/plugins";

/// Builds, installs and says what went where.
pub fn run(workspace: &Workspace, prefix: Option<PathBuf>) -> anyhow::Result<()> {
    let prefix = match prefix {
        Some(prefix) => {
            std::path::absolute(&prefix).with_context(|| format!("bad prefix {}", prefix.display()))?
        }
        None => env::home_dir()
            .context("cannot tell your home folder; use --prefix")?
            .join(".local"),
    };
    let built = build::build(workspace, Profile::Release, Scope::Everything)?;
    for file in place(&built, &prefix)? {
        println!("installed {}", file.display());
    }
    let binaries = prefix.join(BINARIES);
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder == binaries) {
        println!("{} is on your PATH: try 'queuectl --help'", binaries.display());
    } else {
        println!(
            "{} is not on your PATH; add it, or call the binary by its full path",
            binaries.display()
        );
    }
    Ok(())
}

/// Copies a build below a prefix and returns the new files, the binary first.
pub fn place(built: &Built, prefix: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let binaries = prefix.join(BINARIES);
    let plugins = prefix.join(PLUGINS);
    for folder in [&binaries, &plugins] {
        make_folder(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    // A plugin folder that others may write to is refused by queuectl, whatever the umask was.
    make_executable(&plugins).with_context(|| format!("cannot set the mode of {}", plugins.display()))?;
    // Plugins first: a new binary never meets older plugins, should the installation be cut short.
    let mut placed = Vec::new();
    for plugin in &built.plugins {
        placed.push(copy(plugin, &plugins)?);
    }
    placed.insert(0, copy(&built.binary, &binaries)?);
    Ok(placed)
}

/// Copies a file into a folder, where it appears when it is complete.
fn copy(file: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let name = file.file_name().context("a built file has no name")?;
    let target = folder.join(name);
    let into = || format!("cannot install {}", target.display());
    let draft = Draft::beside(&target).with_context(into)?;
    let mut source = fs::File::open(file).with_context(into)?;
    io::copy(&mut source, &mut draft.file()).with_context(into)?;
    make_executable(draft.path()).with_context(into)?;
    draft.replace().with_context(into)?;
    Ok(target)
}

/// Makes a folder and its parents; others may read new ones but not write to them.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.recursive(true).create(folder)
}

/// Everybody may read and execute, only the owner may write.
#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Windows has no such modes: files inherit the folder's access list.
#[cfg(not(unix))]
fn make_executable(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(folder: &Path, binary_text: &str) -> Built {
        let (binary, plugin) = (folder.join("queuectl"), folder.join("libqueuectl_plugin_one.so"));
        fs::write(&binary, binary_text).unwrap();
        fs::write(&plugin, "plugin").unwrap();
        Built {
            binary,
            plugins: vec![plugin],
        }
    }

    #[test]
    fn files_are_placed_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("prefix");
        place(&built(folder.path(), "old"), &prefix).unwrap();
        let placed = place(&built(folder.path(), "new"), &prefix).unwrap();

        let binary = prefix.join("bin/queuectl");
        let plugin = prefix.join("lib/queuectl/plugins/libqueuectl_plugin_one.so");
        assert_eq!(placed, [binary.clone(), plugin]);
        assert_eq!(fs::read_to_string(&binary).unwrap(), "new");
        for folder in [BINARIES, PLUGINS] {
            assert_eq!(fs::read_dir(prefix.join(folder)).unwrap().count(), 1, "{folder}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_write() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("prefix");
        let mut paths = place(&built(folder.path(), ""), &prefix).unwrap();
        paths.push(prefix.join(PLUGINS));
        for path in paths {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{}", path.display());
        }
    }

    #[test]
    fn a_missing_file_is_named_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let gone = Built {
            binary: folder.path().join("queuectl"),
            plugins: vec![],
        };
        let prefix = folder.path().join("prefix");
        let message = format!("{:#}", place(&gone, &prefix).unwrap_err());
        assert!(
            message.contains("bin") && message.contains("queuectl"),
            "{message}"
        );
        assert_eq!(fs::read_dir(prefix.join(BINARIES)).unwrap().count(), 0);
    }
}
