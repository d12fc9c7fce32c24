//! `install`: a release build, copied into `bin` and `lib/queuectl` below a prefix.
//!
//! Of the plugins it takes the default executor's, those that are asked for, and those that are there already, which
//! would be of another version otherwise. Each file appears whole or not at all, also while an older `queuectl` is running. Nothing is removed: plugins
//! that somebody else put beside ours stay.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use queuectl_devkit::Profile;
use queuectl_sys::Draft;

use crate::build::{self, Built, DEFAULT_EXECUTOR, Scope};
use crate::workspace::Workspace;

/// Where a prefix keeps the binary.
const BINARIES: &str = "bin";
/// Where a prefix keeps the library for PostgreSQL, and below it the plugins; the binary finds them by these paths
/// relative to itself.
const LIBRARIES: &str = "lib/queuectl";
const PLUGINS: &str = "lib/queuectl/plugins";
/// Where shells look for completions below a prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/queuectl"),
    ("zsh", "share/zsh/site-functions/_queuectl"),
    ("fish", "share/fish/vendor_completions.d/queuectl.fish"),
];
/// Where `man` looks for pages.
const MANUAL: &str = "share/man/man1";
/// Stands for every executor.
pub const ALL: &str = "all";

/// Builds, installs and says what went where.
pub fn run(
    workspace: &Workspace,
    profile: Profile,
    prefix: Option<PathBuf>,
    executors: &[String],
) -> anyhow::Result<()> {
    let prefix = match prefix {
        Some(prefix) => {
            std::path::absolute(&prefix).with_context(|| format!("bad prefix {}", prefix.display()))?
        }
        None => env::home_dir()
            .context("cannot tell your home folder; use --prefix")?
            .join(".local"),
    };
    let known = workspace.executors();
    let mut wanted = chosen(executors, &known)?;
    wanted.extend(known.iter().filter(|name| is_installed(name, &prefix)).cloned());
    let built = build::build(workspace, profile, Scope::Executors(&wanted))?;
    for file in place(&built, &prefix)? {
        println!("installed {}", file.display());
    }
    if cfg!(unix) {
        for line in place_texts(&prefix)? {
            println!("{line}");
        }
    }
    let left_out: Vec<&str> = known
        .iter()
        .filter(|name| !wanted.contains(name))
        .map(String::as_str)
        .collect();
    if !left_out.is_empty() {
        println!(
            "not installed: the executors {0}; 'cargo xtask install --executors {0}' adds them",
            left_out.join(",")
        );
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

/// The executors that are asked for, and the default one.
fn chosen(asked: &[String], known: &[String]) -> anyhow::Result<Vec<String>> {
    if asked.iter().any(|name| name == ALL) {
        return Ok(known.to_vec());
    }
    if let Some(unknown) = asked.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no executor '{unknown}'; choose from {} and {ALL}",
            known.join(", ")
        );
    }
    Ok([&[DEFAULT_EXECUTOR.to_owned()], asked].concat())
}

/// Whether an earlier installation has the executor.
fn is_installed(executor: &str, prefix: &Path) -> bool {
    let file = format!("{DLL_PREFIX}queuectl_plugin_{executor}{DLL_SUFFIX}");
    prefix.join(PLUGINS).join(file).exists()
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
    // Libraries first: a new binary never meets older ones, should the installation be cut short.
    let mut placed = Vec::new();
    if let Some(libpq) = &built.libpq {
        placed.push(copy(libpq, &prefix.join(LIBRARIES))?);
    }
    for plugin in &built.plugins {
        placed.push(copy(plugin, &plugins)?);
    }
    placed.insert(0, copy(&built.binary, &binaries)?);
    Ok(placed)
}

/// Has the installed binary write what shells and `man` read. Returns lines about it.
fn place_texts(prefix: &Path) -> anyhow::Result<Vec<String>> {
    let binary = prefix.join(BINARIES).join("queuectl");
    let mut said = Vec::new();
    for (shell, file) in COMPLETIONS {
        let target = prefix.join(file);
        let script = output(&binary, &["completions", shell])?;
        make_folder(target.parent().context("a file is in no folder")?)?;
        let into = || format!("cannot install {}", target.display());
        let draft = Draft::beside(&target).with_context(into)?;
        io::Write::write_all(&mut draft.file(), &script).with_context(into)?;
        make_readable(draft.path()).with_context(into)?;
        draft.replace().with_context(into)?;
        said.push(format!("installed {}", target.display()));
    }
    let manual = prefix.join(MANUAL);
    make_folder(&manual)?;
    output(
        &binary,
        &[
            "manual",
            manual.to_str().context("the prefix is not valid UTF-8")?,
        ],
    )?;
    said.push(format!("installed the manual pages in {}", manual.display()));
    Ok(said)
}

/// What the binary prints.
fn output(binary: &Path, words: &[&str]) -> anyhow::Result<Vec<u8>> {
    let done = Command::new(binary).args(words).stderr(Stdio::inherit()).output();
    let done = done.with_context(|| format!("cannot run {}", binary.display()))?;
    if !done.status.success() {
        bail!("{} {} failed: {}", binary.display(), words.join(" "), done.status);
    }
    Ok(done.stdout)
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

/// Everybody may read, only the owner may write.
#[cfg(unix)]
fn make_readable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_path: &Path) -> io::Result<()> {
    Ok(())
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
            libpq: None,
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

    #[test]
    fn executors_are_chosen_by_name_and_the_default_is_always_there() {
        let known = ["docker", "http", "shell"].map(str::to_owned);
        let chosen = |names: &[&str]| {
            let asked: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::chosen(&asked, &known)
        };
        assert_eq!(chosen(&[]).unwrap(), ["shell"]);
        assert_eq!(chosen(&["http"]).unwrap(), ["shell", "http"]);
        assert_eq!(chosen(&["http", "all"]).unwrap(), known);
        let error = chosen(&["http", "htpp"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no executor 'htpp'; choose from docker, http, shell and all"
        );
    }

    #[test]
    fn what_is_installed_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed("one", folder.path()));
        let plugin = format!("{DLL_PREFIX}queuectl_plugin_one{DLL_SUFFIX}");
        fs::create_dir_all(folder.path().join(PLUGINS)).unwrap();
        fs::write(folder.path().join(PLUGINS).join(plugin), "plugin").unwrap();
        assert!(is_installed("one", folder.path()));
        assert!(!is_installed("two", folder.path()));
    }

    #[test]
    fn the_library_for_postgres_is_placed_above_the_plugins() {
        let folder = tempfile::tempdir().unwrap();
        let libpq = folder.path().join("libqueuectl_libpq.so");
        fs::write(&libpq, "libpq").unwrap();
        let mut built = built(folder.path(), "");
        built.libpq = Some(libpq);
        let prefix = folder.path().join("prefix");
        let placed = place(&built, &prefix).unwrap();
        assert_eq!(placed[1], prefix.join("lib/queuectl/libqueuectl_libpq.so"));
    }

    #[cfg(unix)]
    #[test]
    fn the_binary_writes_what_shells_and_man_read() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("prefix");
        let program = "#!/bin/sh\ncase $1 in completions) echo \"for $2\";; manual) echo page > \"$2/queuectl.1\";; esac\n";
        place(&built(folder.path(), program), &prefix).unwrap();
        let said = place_texts(&prefix).unwrap();
        assert_eq!(said.len(), 4);
        let read = |file: &str| fs::read_to_string(prefix.join(file)).unwrap();
        assert_eq!(read("share/zsh/site-functions/_queuectl"), "for zsh\n");
        assert_eq!(read("share/bash-completion/completions/queuectl"), "for bash\n");
        assert_eq!(read("share/man/man1/queuectl.1"), "page\n");
        fs::write(prefix.join("bin/queuectl"), "#!/bin/sh\nexit 3\n").unwrap();
        assert!(
            place_texts(&prefix)
                .unwrap_err()
                .to_string()
                .contains("completions bash failed")
        );
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
            libpq: None,
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
