//! The real binary and its plugins: built by cargo, and laid out as an installation.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// Names the folder with the binary and the plugins that tests drive.
pub const BIN_DIR: &str = "QUEUECTL_TEST_BIN_DIR";

/// Which cargo profile to build with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// Optimised.
    Release,
    /// Optimised across crates, too, which takes twice as long to build.
    Dist,
}

impl Profile {
    /// The profile that a `--release` flag asks for.
    pub fn from_release_flag(release: bool) -> Self {
        if release { Profile::Release } else { Profile::Dev }
    }

    /// The option that makes cargo build with it.
    pub fn option(self) -> &'static str {
        match self {
            Profile::Dev => "--profile=dev",
            Profile::Release => "--profile=release",
            Profile::Dist => "--profile=dist",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
            Profile::Dist => "dist",
        }
    }
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).unwrap_or(Path::new("."))
}

/// A call of the cargo that started this program, in the root folder.
pub fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments);
    cargo
}

/// The binary, and plugins by their short names, such as `shell`.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    plugins: Vec<String>,
    profile: Profile,
}

impl Binaries {
    /// Builds the binary, the library for PostgreSQL and these plugins.
    pub fn build(profile: Profile, plugins: &[&str]) -> anyhow::Result<Binaries> {
        let mut cargo = cargo([
            "build",
            "--package",
            "queuectl-cli",
            "--package",
            "queuectl-libpq",
        ]);
        for plugin in plugins {
            cargo.arg("--package").arg(format!("queuectl-plugin-{plugin}"));
        }
        let status = cargo
            .arg(profile.option())
            .status()
            .context("cannot start cargo")?;
        ensure!(status.success(), "the build failed");
        Ok(Binaries {
            folder: target()?.join(profile.folder()),
            plugins: plugins.iter().map(|name| (*name).to_owned()).collect(),
            profile,
        })
    }

    /// The development build of the binary and these plugins that is already there, for tests.
    pub fn find(plugins: &[&str]) -> anyhow::Result<Binaries> {
        let folder = match env::var_os(BIN_DIR) {
            Some(folder) => PathBuf::from(folder),
            None => target()?.join(Profile::Dev.folder()),
        };
        let binaries = Binaries {
            folder,
            plugins: plugins.iter().map(|name| (*name).to_owned()).collect(),
            profile: Profile::Dev,
        };
        let binary = binaries.folder.join(format!("queuectl{EXE_SUFFIX}"));
        ensure!(binary.exists(), "build it first: cargo xtask build");
        Ok(binaries)
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How they were built.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Copies them into `bin`, `lib/queuectl` and `lib/queuectl/plugins` below a new prefix, where the binary finds what it
    /// loads; the path of the binary.
    pub fn lay_out(&self, prefix: &Path) -> anyhow::Result<PathBuf> {
        let (bin, plugins) = (prefix.join("bin"), prefix.join("lib/queuectl/plugins"));
        for folder in [&bin, &plugins] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            // A folder that others may write to is refused, whatever the umask is.
            #[cfg(unix)]
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        for plugin in &self.plugins {
            let file = format!("{DLL_PREFIX}queuectl_plugin_{plugin}{DLL_SUFFIX}");
            put(&self.folder.join(&file), &plugins.join(&file))?;
        }
        let libpq = format!("{DLL_PREFIX}queuectl_libpq{DLL_SUFFIX}");
        if self.folder.join(&libpq).exists() {
            put(
                &self.folder.join(&libpq),
                &prefix.join("lib/queuectl").join(&libpq),
            )?;
        }
        let binary = format!("queuectl{EXE_SUFFIX}");
        put(&self.folder.join(&binary), &bin.join(&binary))?;
        Ok(bin.join(binary))
    }
}

/// Links a file, or copies it where that is not possible. A copy could not be executed for a moment: another thread that
/// starts a process while it is written has that process keep it open for writing ("Text file busy").
fn put(from: &Path, to: &Path) -> anyhow::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    #[cfg(unix)]
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

/// The target folder, in which this program is, too.
pub fn target() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program")?;
    let profile = program.ancestors().find(|folder| {
        let name = folder.file_name().and_then(|name| name.to_str());
        matches!(name, Some("debug" | "release" | "dist"))
    });
    let target = profile.and_then(Path::parent);
    Ok(target
        .context("this program is not in a target folder")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_has_the_binary_and_its_plugins() {
        let built = tempfile::tempdir().unwrap();
        let plugin = format!("{DLL_PREFIX}queuectl_plugin_shell{DLL_SUFFIX}");
        let binary = format!("queuectl{EXE_SUFFIX}");
        for file in [&plugin, &binary] {
            fs::write(built.path().join(file), file).unwrap();
        }
        let binaries = Binaries {
            folder: built.path().to_owned(),
            plugins: vec!["shell".to_owned()],
            profile: Profile::Dev,
        };
        let prefix = tempfile::tempdir().unwrap();
        let placed = binaries.lay_out(prefix.path()).unwrap();
        assert_eq!(placed, prefix.path().join("bin").join(&binary));
        assert_eq!(fs::read_to_string(placed).unwrap(), binary);
        let placed = prefix.path().join("lib/queuectl/plugins").join(&plugin);
        assert_eq!(fs::read_to_string(placed).unwrap(), plugin);
        fs::remove_file(built.path().join(&plugin)).unwrap();
        assert!(binaries.lay_out(prefix.path()).is_err());
    }

    #[test]
    fn the_root_and_the_target_folder_are_found() {
        assert!(root().join("Cargo.lock").exists());
        assert!(target().unwrap().is_dir());
    }
}
