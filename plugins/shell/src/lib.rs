//! The `shell` executor: a command line runs in a shell, an argument vector runs as it is.
//!
//! It only turns the request into a process description. Starting, capturing, limiting and stopping the process is the
//! host's work.

use queuectl_plugin_api::{
    Command, Description, Error, Executor, Host, Run, Spawn, StartError, export_executor,
};
use serde::Deserialize;

/// The part of the settings that matters here.
#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    shell: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            shell: if cfg!(windows) { "cmd" } else { "sh" }.to_owned(),
        }
    }
}

struct Shell {
    shell: String,
}

/// How a shell is told to run a line: its flags, and whether the line goes onto its command line unquoted.
fn dialect(shell: &str) -> (&'static [&'static str], bool) {
    let file = shell
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(shell)
        .to_ascii_lowercase();
    match file.strip_suffix(".exe").unwrap_or(&file) {
        // With /S, cmd takes away exactly the outer quotes and leaves the line as it is; /D skips AutoRun commands.
        "cmd" if cfg!(windows) => (&["/D", "/S", "/C"], true),
        "powershell" | "pwsh" => (&["-NoProfile", "-NonInteractive", "-Command"], false),
        _ => (&["-c"], false),
    }
}

impl Executor for Shell {
    const DESCRIPTION: Description = Description {
        name: "shell",
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &["command", "argv", "env", "cwd", "stdin"],
    };

    fn create(_host: Host, settings: &str) -> Result<Self, Error> {
        let Settings { shell } = serde_json::from_str(settings)?;
        Ok(Shell { shell })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let spawn = match run.command() {
            Some(Command::Argv(argv)) => Spawn::argv(argv),
            Some(Command::Line(line)) => {
                let (flags, raw) = dialect(&self.shell);
                let line = if raw { format!("\"{line}\"") } else { line.clone() };
                let words = [self.shell.as_str()]
                    .into_iter()
                    .chain(flags.iter().copied())
                    .chain([line.as_str()]);
                if raw {
                    Spawn::argv(words).raw_last()
                } else {
                    Spawn::argv(words)
                }
            }
            None => {
                return Err(StartError::Invalid(
                    "the job has no command for the shell executor".to_owned(),
                ));
            }
        };
        run.spawn(&spawn.envs(run.env()).cwd(run.cwd()).stdin(run.stdin()))?;
        Ok(())
    }
}

export_executor!(Shell);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_its_own_flag() {
        assert_eq!(dialect("sh"), (["-c"].as_slice(), false));
        assert_eq!(dialect("/bin/bash"), (["-c"].as_slice(), false));
        assert_eq!(
            dialect(r"C:\Program Files\PowerShell\7\pwsh.exe").0.last(),
            Some(&"-Command")
        );
        assert_eq!(dialect("cmd.exe").1, cfg!(windows));
    }

    #[test]
    fn the_shell_has_a_default() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert!(!settings.shell.is_empty());
    }
}
