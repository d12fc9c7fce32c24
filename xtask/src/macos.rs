//! `test --macos`: everything but three plugins is type-checked for macOS, tests included, with Debian's packages.
//!
//! Nothing is linked and nothing is run: there is neither a linker nor a system for that here.

use std::path::Path;

use anyhow::ensure;

use crate::windows::LIBPQ;
use crate::windows::toolchain::Toolchain;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-apple-darwin";
/// Their libraries (wasmtime, TLS, HTTP) take longer than all the rest, and their own code knows no systems; the simulator
/// and the tasks are for developers' machines.
const LEFT_OUT: &[&str] = &[
    LIBPQ,
    "queuectl-plugin-docker",
    "queuectl-plugin-http",
    "queuectl-plugin-wasm",
    "queuectl-bench",
    "queuectl-fuzz",
    "queuectl-sim",
    "queuectl-testkit",
    "queuectl-torture",
    "xtask",
];

/// Checks all packages.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    queuectl_devkit::heading("check for macOS");
    let mut cargo = toolchain.cargo(workspace, "check", TARGET);
    cargo.args(["--workspace", "--all-targets"]);
    cargo.args(LEFT_OUT.iter().flat_map(|package| ["--exclude", package]));
    // Build scripts compile C for it; who only checks needs none of that.
    let name = TARGET.replace('-', "_");
    for tool in ["CC", "CXX", "AR"] {
        cargo.env(format!("{tool}_{name}"), "true");
    }
    // Where that C would find its headers; asking for it needs a program of Apple's.
    cargo.env("SDKROOT", Path::new("/"));
    let status = cargo.status()?;
    ensure!(status.success(), "the check for {TARGET} failed");
    Ok(())
}
