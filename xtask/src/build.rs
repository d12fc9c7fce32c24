//! `build`: the binary and every plugin, in one call of cargo.
//!
//! Where the files are is taken from what cargo reports, not guessed from the profile's name: a target folder or
//! platform chosen by the user's own cargo settings is followed.

use std::env::consts::DLL_SUFFIX;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use cargo_metadata::{CrateType, Message};
use queuectl_devkit::Profile;

use crate::workspace::{LIBPQ, PLUGINS, Workspace};

/// How much to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The binary, the library for PostgreSQL and every plugin.
    Everything,
    /// The same with the default executor and these, by their names.
    Executors(&'a [String]),
    /// The binary and the default executor: what somebody needs who wants to see it run, in a fraction of the time.
    Shell,
}

impl Scope<'_> {
    fn takes(self, folder: &str) -> bool {
        match (self, folder.strip_prefix(PLUGINS)) {
            (Scope::Everything, _) | (_, Some(DEFAULT_EXECUTOR)) => true,
            (Scope::Executors(names), Some(executor)) => names.iter().any(|name| name == executor),
            (Scope::Shell, Some(_)) => false,
            (Scope::Executors(_), None) => true,
            (Scope::Shell, None) => folder != LIBPQ,
        }
    }
}

/// The executor that every installation has.
pub const DEFAULT_EXECUTOR: &str = "shell";

/// What a build made.
pub struct Built {
    /// The `queuectl` binary.
    pub binary: PathBuf,
    /// The library for PostgreSQL, if it was asked for.
    pub libpq: Option<PathBuf>,
    /// The plugins' shared libraries.
    pub plugins: Vec<PathBuf>,
}

impl Built {
    /// The folder that the binary and the plugins are in.
    pub fn folder(&self) -> &Path {
        self.binary.parent().unwrap_or(&self.binary)
    }
}

/// Builds and says where the results are.
pub fn run(workspace: &Workspace, profile: Profile) -> anyhow::Result<()> {
    let built = build(workspace, profile, Scope::Everything)?;
    println!("{}", built.binary.display());
    for library in built.libpq.iter().chain(&built.plugins) {
        println!("{}", library.display());
    }
    Ok(())
}

/// Builds, with cargo's progress and diagnostics on standard error.
pub fn build(workspace: &Workspace, profile: Profile, scope: Scope<'_>) -> anyhow::Result<Built> {
    let mut cargo = workspace.cargo(["build"]);
    let wanted = workspace
        .shipped()
        .into_iter()
        .filter(|package| scope.takes(&workspace.folder(package)));
    for package in wanted {
        cargo.args(["--package", package.name.as_str()]);
    }
    cargo.arg(profile.option());
    finish(workspace, cargo)
}

/// Runs a `cargo build` that makes the binary and plugins, and says where they are.
pub fn finish(workspace: &Workspace, mut cargo: Command) -> anyhow::Result<Built> {
    let mut child = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let messages: Result<Vec<Message>, _> = Message::parse_stream(BufReader::new(output)).collect();
    if !child.wait()?.success() {
        bail!("the build failed");
    }
    collect(workspace, &messages.context("cannot read what cargo reported")?)
}

/// Picks the binary and the plugins out of everything that was compiled.
fn collect(workspace: &Workspace, messages: &[Message]) -> anyhow::Result<Built> {
    let shipped = workspace.shipped();
    let mut binary = None;
    let mut libpq = None;
    let mut plugins = Vec::new();
    for message in messages {
        let Message::CompilerArtifact(artifact) = message else {
            continue;
        };
        let Some(package) = shipped.iter().find(|package| package.id == artifact.package_id) else {
            continue;
        };
        if artifact.profile.test {
            continue;
        }
        if let Some(executable) = &artifact.executable {
            binary = Some(executable.as_std_path().to_owned());
        }
        if artifact.target.crate_types.contains(&CrateType::CDyLib) {
            let mut libraries = artifact
                .filenames
                .iter()
                .filter(|file| file.as_str().ends_with(DLL_SUFFIX))
                .map(|file| file.as_std_path().to_owned());
            if workspace.folder(package) == LIBPQ {
                libpq = libraries.next_back();
            } else {
                plugins.extend(libraries);
            }
        }
    }
    plugins.sort();
    let binary = binary.context("cargo reported no binary")?;
    Ok(Built {
        binary,
        libpq,
        plugins,
    })
}
