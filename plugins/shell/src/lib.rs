//! The `shell` executor: a command line runs in a shell, an argument vector runs as it is.
//!
//! It only turns the request into a process description. Starting, capturing, limiting and stopping the process is the
//! host's work.

use queuectl_plugin_api::{
    Command, Description, Error, Executor, Host, Run, Settings, Spawn, StartError, export_executor,
};

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
        ..Description::EMPTY
    };

    fn create(_host: Host, settings: &Settings) -> Result<Self, Error> {
        let default = if cfg!(windows) { "cmd" } else { "sh" };
        let shell = Some(settings.shell.as_str()).filter(|shell| !shell.is_empty());
        Ok(Shell {
            shell: shell.unwrap_or(default).to_owned(),
        })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let request = run.request();
        let spawn = match request.command() {
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
        run.spawn(
            &spawn
                .envs(request.env())
                .cwd(request.cwd())
                .stdin(request.stdin()),
        )?;
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
}
