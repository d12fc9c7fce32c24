//! Calls the binary, and shows each call as it would be typed.
//!
//! Knows how to call and show; which calls there are is the story's business.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anstyle::AnsiColor;
use anyhow::{Context, bail, ensure};

/// A binary, and a folder with a queue for it.
pub struct Shell {
    binary: PathBuf,
    folder: PathBuf,
}

impl Shell {
    /// The folder's queue is the binary's queue.
    pub fn new(binary: &Path, folder: &Path) -> Self {
        Shell {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
        }
    }

    /// The folder, for messages.
    pub fn folder(&self) -> impl std::fmt::Display + '_ {
        self.folder.display()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The queue.
    pub fn database(&self) -> PathBuf {
        self.path("queue.db")
    }

    /// Shows how the queue is chosen.
    pub fn show_environment(&self) {
        echo(&format!("export QUEUECTL_DB={}", self.database().display()));
    }

    /// Runs a call that has to succeed.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.run_expecting(0, arguments)
    }

    /// Runs a call that has to end with this exit status.
    pub fn run_expecting(&self, expected: i32, arguments: &[&str]) -> anyhow::Result<()> {
        echo(&typed(arguments));
        let status = self
            .command(arguments)
            .status()
            .context("cannot start queuectl")?;
        ensure!(
            status.code() == Some(expected),
            "'{}' ended with {status}, expected was {expected}",
            typed(arguments)
        );
        Ok(())
    }

    /// Runs a call, shows what it prints and returns it without the line end.
    pub fn capture(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let text = self.capture_quietly(arguments)?;
        println!("{text}");
        Ok(text)
    }

    /// Runs a call and returns what it prints.
    pub fn capture_quietly(&self, arguments: &[&str]) -> anyhow::Result<String> {
        echo(&typed(arguments));
        let mut command = self.command(arguments);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start queuectl")?;
        if !output.status.success() {
            bail!("'{}' ended with {}", typed(arguments), output.status);
        }
        let text = String::from_utf8(output.stdout).context("queuectl printed something that is not text")?;
        Ok(text.trim_end().to_owned())
    }

    /// The user's own choices of queue and plugins are left out.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QUEUECTL_")) {
            command.env_remove(name);
        }
        command
            .env("QUEUECTL_DB", self.database())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .args(arguments);
        command
    }
}

fn echo(line: &str) {
    let (dim, bold) = (AnsiColor::Green.on_default(), anstyle::Style::new().bold());
    anstream::println!("{dim}$ {dim:#}{bold}{line}{bold:#}");
}

/// A call as it would be typed.
fn typed(arguments: &[&str]) -> String {
    let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
    format!("queuectl {}", quoted.join(" "))
}

/// Quotes an argument for a shell if it needs that.
fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_:./=,+@%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in argument.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_shown_as_they_would_be_typed() {
        assert_eq!(
            typed(&["enqueue", "echo", "Hello Queue"]),
            "queuectl enqueue echo \"Hello Queue\""
        );
        assert_eq!(
            typed(&["config:set", "backoff_cap", "200ms"]),
            "queuectl config:set backoff_cap 200ms"
        );
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote(r#"a "b" $c"#), r#""a \"b\" \$c""#);
    }
}
