//! The `queuectl` binary. Everything it does is in the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    queuectl_cli::main()
}
