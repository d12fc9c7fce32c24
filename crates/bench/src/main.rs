//! Takes the measurements that are asked for. `cargo xtask bench` starts it.

use std::process::ExitCode;

/// Measure the release build: figures with their spread, against peers in the same run
#[cfg(target_os = "linux")]
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    #[command(flatten)]
    options: queuectl_bench::Options,
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments = <Arguments as clap::Parser>::parse();
    queuectl_devkit::report(queuectl_bench::run(&arguments.options))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    queuectl_devkit::report(Err(anyhow::anyhow!(
        "the measurements read /proc, which only Linux has"
    )))
}
