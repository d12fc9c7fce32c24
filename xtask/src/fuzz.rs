//! `fuzz`: libFuzzer on the targets of `fuzz/`, with the stable compiler.
//!
//! `cargo fuzz` wants a nightly one for the address sanitizer, which tells little about safe code. The instrumentation by
//! which libFuzzer sees what an input reaches is an option of any compiler; the flags are those of cargo-fuzz.

use std::fs;

use anyhow::{Context, bail, ensure};

use crate::workspace::Workspace;
use queuectl_devkit::heading;

/// The targets.
pub const TARGETS: &[&str] = &[
    "cron",
    "frames",
    "job_json",
    "json_lines",
    "plugin_describe",
    "selectors",
    "settings",
    "times",
];

const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

/// Fuzzes these targets, or all, one after the other. An error if an input breaks one; libFuzzer says where it is.
pub fn run(workspace: &Workspace, names: &[String], seconds: u32) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        bail!(
            "there is no target '{unknown}'; there are: {}",
            TARGETS.join(", ")
        );
    }
    let folder = workspace.root().join("fuzz");
    // Everything in here is built with the fuzzer's instrumentation.
    let built = workspace.metadata.target_directory.as_std_path().join("fuzz");
    heading("Building");
    let host = host()?;
    // With a target platform, what runs at build time is built without.
    let mut cargo = workspace.cargo(["build", "--package", "queuectl-fuzz", "--features", "libfuzzer"]);
    cargo
        .args(["--release", "--target", &host])
        .arg("--target-dir")
        .arg(&built)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "1");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    ensure!(
        cargo.status()?.success(),
        "the build failed; it wants a C++ compiler, too"
    );
    let mut broken = Vec::new();
    for name in TARGETS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        heading(name);
        // What it finds is kept here; the corpus in the repository is only read.
        let (found, artifacts) = (
            built.join("corpus").join(name),
            built.join("artifacts").join(name),
        );
        fs::create_dir_all(&found).context("cannot make a folder")?;
        fs::create_dir_all(&artifacts).context("cannot make a folder")?;
        let program = built.join(&host).join("release").join(name);
        let mut fuzzer = std::process::Command::new(&program);
        fuzzer
            .arg(format!("-max_total_time={seconds}"))
            .args(["-max_len=4096", "-print_final_stats=1", "-verbosity=0"])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(&found)
            .arg(folder.join("corpus").join(name));
        let status = fuzzer
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            broken.push(*name);
        }
    }
    ensure!(broken.is_empty(), "broken: {}", broken.join(", "));
    Ok(())
}

/// The platform of the compiler.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc).arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc does not name its host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let workspace = Workspace::load().unwrap();
        let fuzz = workspace.root().join("fuzz");
        let names = |folder: &str| {
            let entries = fs::read_dir(fuzz.join(folder)).unwrap();
            let stem = |entry: std::io::Result<fs::DirEntry>| {
                let path = entry.unwrap().path();
                path.file_stem().unwrap().to_string_lossy().into_owned()
            };
            let mut names: Vec<String> = entries.map(stem).collect();
            names.sort();
            names
        };
        assert_eq!(names("fuzz_targets"), TARGETS);
        assert_eq!(names("corpus"), TARGETS);
    }
}
