//! What cargo knows about this workspace, and how to call cargo again.
//!
//! Everything comes from `cargo metadata`; no path is built into the program.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The folder of the library that is loaded for queues on PostgreSQL.
pub const LIBPQ: &str = "crates/libpq";
/// What the folders of the plugins begin with.
pub const PLUGINS: &str = "plugins/";

/// The workspace that the task was called in.
pub struct Workspace {
    /// What `cargo metadata` reports, resolved for this platform.
    pub metadata: Metadata,
}

impl Workspace {
    /// Asks cargo.
    pub fn load() -> anyhow::Result<Self> {
        // Without the filter, cargo would download the dependencies of every other platform just to describe them.
        let for_this_platform = ["--filter-platform", "host-tuple"].map(str::to_owned);
        let metadata = MetadataCommand::new()
            .other_options(for_this_platform)
            .exec()
            .context("cannot read the workspace with 'cargo metadata'")?;
        Ok(Workspace { metadata })
    }

    /// The folder of the root manifest.
    pub fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// A package's folder below the root, with `/` on every platform: `crates/core`.
    pub fn folder(&self, package: &Package) -> String {
        let manifest = &package.manifest_path;
        let folder = manifest.parent().unwrap_or(manifest);
        let below_root = folder
            .strip_prefix(&self.metadata.workspace_root)
            .unwrap_or(folder);
        below_root.as_str().replace('\\', "/")
    }

    /// The packages that make up what users get: the binary's, the one of the library for PostgreSQL, and the plugins'.
    pub fn shipped(&self) -> Vec<&Package> {
        let is_shipped =
            |folder: &str| ["crates/cli", LIBPQ].contains(&folder) || folder.starts_with(PLUGINS);
        self.metadata
            .workspace_packages()
            .into_iter()
            .filter(|package| is_shipped(&self.folder(package)))
            .collect()
    }

    /// The names of the executors that there are plugins for.
    pub fn executors(&self) -> Vec<String> {
        let folders = self.shipped().into_iter().map(|package| self.folder(package));
        let mut names: Vec<String> = folders
            .filter_map(|folder| Some(folder.strip_prefix(PLUGINS)?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Runs the program of a package with these arguments to its end.
    pub fn run(&self, package: &str, arguments: &[String]) -> anyhow::Result<()> {
        let mut cargo = self.cargo(["run", "--quiet", "--package", package, "--"]);
        let status = cargo.args(arguments).status().context("cannot start cargo")?;
        ensure!(status.success(), "{package}: {status}");
        Ok(())
    }

    /// A command for the cargo that started this task, running in the root folder.
    pub fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(self.root()).args(arguments);
        command
    }
}
