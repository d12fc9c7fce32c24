//! Runs one campaign. `cargo xtask torture` starts it.

use std::process::ExitCode;

/// Faults by the thousand against the real binary, and a verdict over what is left
#[cfg(target_os = "linux")]
#[derive(clap::Parser)]
#[command(name = "cargo xtask torture", bin_name = "cargo xtask torture")]
struct Arguments {
    #[command(subcommand)]
    campaign: queuectl_torture::Campaign,
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments = <Arguments as clap::Parser>::parse();
    queuectl_devkit::report(queuectl_torture::run(&arguments.campaign))
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    queuectl_devkit::report(Err(anyhow::anyhow!("the campaigns use what only Linux has")))
}
