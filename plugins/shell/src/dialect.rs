//! What is known about shells, by the names of their files: how each is told to run a line, and to stop at a failure.

/// A kind of shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Takes `-e`, and perhaps `-o pipefail`.
    Posix {
        pipefail: bool,
    },
    /// The one of Windows, with quoting rules of its own.
    Cmd,
    PowerShell,
    /// Anything else: other shells, and interpreters of scripts.
    Other,
}

impl Dialect {
    pub fn of(shell: &str) -> Dialect {
        let file = shell
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or(shell)
            .to_ascii_lowercase();
        match file.strip_suffix(".exe").unwrap_or(&file) {
            "cmd" if cfg!(windows) => Dialect::Cmd,
            "powershell" | "pwsh" => Dialect::PowerShell,
            "bash" | "rbash" | "ksh" | "ksh93" | "mksh" | "zsh" => Dialect::Posix { pipefail: true },
            // Which shell `sh` is, its name does not say; the older ones know no pipefail.
            "sh" | "dash" | "ash" | "yash" => Dialect::Posix { pipefail: false },
            _ => Dialect::Other,
        }
    }

    /// The flags before a line.
    pub fn line_flags(self) -> &'static [&'static str] {
        match self {
            // With /S, cmd takes away exactly the outer quotes and leaves the line as it is; /D skips AutoRun commands.
            Dialect::Cmd => &["/D", "/S", "/C"],
            Dialect::PowerShell => &["-NoProfile", "-NonInteractive", "-Command"],
            // A line may begin with `-` or `+`. What is not known to end its options takes the next word for the line.
            Dialect::Posix { .. } => &["-c", "--"],
            Dialect::Other => &["-c"],
        }
    }

    /// The flags that have it end at the first command that fails; none if it has no such flags.
    pub fn errexit_flags(self) -> Option<&'static [&'static str]> {
        match self {
            Dialect::Posix { pipefail: true } => Some(&["-e", "-o", "pipefail"]),
            Dialect::Posix { pipefail: false } => Some(&["-e"]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_its_own_flags() {
        let line = |shell| Dialect::of(shell).line_flags();
        assert_eq!([line("sh"), line("/bin/bash")], [["-c", "--"]; 2]);
        assert_eq!(line("fish"), ["-c"]);
        assert_eq!(
            line(r"C:\Program Files\PowerShell\7\pwsh.exe").last(),
            Some(&"-Command")
        );
        assert_eq!(Dialect::of("cmd.exe") == Dialect::Cmd, cfg!(windows));
    }

    #[test]
    fn a_failure_in_a_pipe_counts_where_the_shell_can_tell() {
        let errexit = |shell| Dialect::of(shell).errexit_flags();
        assert_eq!(errexit("/usr/bin/bash"), Some(&["-e", "-o", "pipefail"][..]));
        assert_eq!(errexit("sh"), Some(&["-e"][..]));
        assert_eq!([errexit("fish"), errexit("python3"), errexit("pwsh")], [None; 3]);
    }
}
