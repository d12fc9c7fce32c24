//! `completions`: prints the script that completes command lines in a shell.
//!
//! A script knows nothing of commands and options: it asks the `queuectl` of the command line, so it never grows old. The
//! scripts are in `completion/scripts/`.

use std::io::{self, Write};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Print the script that completes command lines in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Commands, options, and the names of jobs, queues, nodes and settings are completed, at most 200 at a time. The queue is only \
read, never made, and asked for at most 50 ms; QUEUECTL_COMPLETION_TIMEOUT=500ms gives a server that is far away more time.

For the current session:
  bash:        source <(queuectl completions bash)
  zsh:         source <(queuectl completions zsh)
  fish:        queuectl completions fish | source
  PowerShell:  queuectl completions powershell | Out-String | Invoke-Expression

For good, put that line into ~/.bashrc, ~/.zshrc (after compinit), ~/.config/fish/config.fish or $PROFILE, or the script \
itself to where the shell looks for it: ~/.local/share/bash-completion/completions/queuectl, a folder of $fpath as \
_queuectl, ~/.config/fish/completions/queuectl.fish, or for Nushell ~/.config/nushell/autoload/queuectl.nu. `cargo xtask install` does so below its prefix.")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// A shell with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(alias = "nu")]
    Nushell,
    #[value(alias = "pwsh")]
    Powershell,
}

impl Run for CompletionsArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        let script = match self.shell {
            Shell::Bash => include_str!("../completion/scripts/queuectl.bash"),
            Shell::Zsh => include_str!("../completion/scripts/queuectl.zsh"),
            Shell::Fish => include_str!("../completion/scripts/queuectl.fish"),
            Shell::Nushell => include_str!("../completion/scripts/queuectl.nu"),
            Shell::Powershell => include_str!("../completion/scripts/queuectl.ps1"),
        };
        io::stdout().write_all(script.as_bytes())?;
        Ok(Exit::OK)
    }
}
