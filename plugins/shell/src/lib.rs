//! The `shell` executor: a command line runs in a shell, an argument vector runs as it is, a script by its interpreter.
//!
//! It only turns the request into a process description. Starting, capturing, limiting and stopping the process is the
//! host's work.

mod builtin;
mod dialect;
mod payload;
mod values;
mod which;

use std::borrow::Cow;

use queuectl_plugin_api::{
    Command, Description, Error, Executor, Host, Request, Run, Settings, Spawn, StartError, export_executor,
};

use dialect::Dialect;
use payload::{Chosen, Limits, Payload};
use values::Inherit;

struct Shell {
    host: Host,
    chosen: Chosen,
}

/// What a job comes to: a process, and whether it asks for more than a host of ABI 1.0 can do.
struct Plan {
    spawn: Spawn,
    limits: Limits,
    confined: bool,
}

impl Plan {
    fn new(request: &Request, chosen: &Chosen) -> Result<Plan, Error> {
        let payload = Payload::read(request)?;
        let words = words(request, &payload, chosen)?;
        let limits = chosen.limits.with(&payload)?;
        let confined = limits != Limits::default() || payload.script.is_some();
        let mut spawn = words
            .envs(request.env())
            .cwd(request.cwd())
            .stdin(request.stdin());
        if let Inherit::Only(names) = &limits.env {
            spawn = spawn.inherit_only(names);
        }
        if let Some(umask) = limits.umask {
            spawn = spawn.umask(umask.0);
        }
        if let Some(nice) = limits.nice {
            spawn = spawn.nice(nice.0);
        }
        for (resource, limit) in &limits.rlimits.0 {
            spawn = spawn.rlimit(*resource, *limit);
        }
        if let Some(bytes) = limits.memory {
            spawn = spawn.memory(bytes);
        }
        if let Some(most) = limits.pids {
            spawn = spawn.pids(most);
        }
        if let Some(user) = &limits.user {
            spawn = spawn.user(user);
        }
        if let Some(script) = payload.script {
            spawn = spawn.file(script);
        }
        Ok(Plan {
            spawn,
            limits,
            confined,
        })
    }
}

/// The program and its arguments.
fn words(request: &Request, payload: &Payload, chosen: &Chosen) -> Result<Spawn, Error> {
    let refuse = |why: &str| Err(Error::new(why));
    if payload.args.is_some() && payload.script.is_none() {
        return refuse("payload: args are those of a script, and there is none");
    }
    match (request.command(), &payload.script) {
        (Some(_), Some(_)) => refuse("the job has both a command and a script; it can have one of them"),
        (None, None) => refuse("the job has no command for the shell executor"),
        (Some(Command::Argv(argv)), None) => {
            if payload.shell.is_some() || payload.errexit.is_some() {
                return refuse(
                    "payload: shell and errexit mean nothing to a command that is a list: no shell runs it",
                );
            }
            if cfg!(windows)
                && let Some(line) = builtin::line(argv.iter().map(String::as_str))
            {
                return Ok(by_line("cmd", &[], &line.map_err(Error::new)?));
            }
            Ok(Spawn::argv(argv))
        }
        (Some(Command::Line(line)), None) => {
            let shell = &shell(request, payload, chosen);
            Ok(by_line(shell, errexit(shell, payload, chosen)?, line))
        }
        (None, Some(script)) => {
            let shell = shell(request, payload, chosen);
            let (interpreter, flag) = match (&payload.shell, shebang(script)) {
                (None, Some(named)) => named,
                _ => (&*shell, None),
            };
            let args = payload.args.iter().flatten().map(String::as_str);
            let words = [interpreter]
                .into_iter()
                .chain(flag)
                .chain(errexit(interpreter, payload, chosen)?.iter().copied())
                .chain([Spawn::FILE_PATH])
                .chain(args);
            Ok(Spawn::argv(words))
        }
    }
}

/// The shell that runs the job. The operator's is looked for in the node's PATH and not in the job's, which is meant for what
/// the line calls; the job's own in both.
fn shell<'a>(request: &Request, payload: &'a Payload, chosen: &'a Chosen) -> Cow<'a, str> {
    let path = which::path_of(request.env());
    match (&payload.shell, path) {
        (Some(shell), Some(own)) if which::find(shell, own.as_ref()).is_none() => which::in_node(shell),
        (Some(shell), _) => shell.into(),
        (None, Some(_)) => which::in_node(&chosen.shell),
        (None, None) => chosen.shell.as_str().into(),
    }
}

/// A line as a shell runs it. `cmd` reads its command line itself, so there the line stands in it as it is.
fn by_line(shell: &str, flags: &[&str], line: &str) -> Spawn {
    let dialect = Dialect::of(shell);
    let quoted = format!("\"{line}\"");
    let raw = dialect == Dialect::Cmd;
    let words = [shell]
        .into_iter()
        .chain(flags.iter().copied())
        .chain(dialect.line_flags().iter().copied())
        .chain([if raw { quoted.as_str() } else { line }]);
    let spawn = Spawn::argv(words);
    if raw { spawn.raw_last() } else { spawn }
}

/// The flags by which a shell ends at the first command that fails, if the job or else the operator wants that.
fn errexit(shell: &str, payload: &Payload, chosen: &Chosen) -> Result<&'static [&'static str], Error> {
    let flags = Dialect::of(shell).errexit_flags();
    match payload.errexit {
        Some(true) => flags.ok_or_else(|| {
            Error::new(format!(
                "payload: errexit is for sh, dash, ash, bash, ksh, mksh, yash and zsh; of '{shell}' it is not known how \
                 to have it end at a failure"
            ))
        }),
        // A default is for those that can.
        None if chosen.errexit => Ok(flags.unwrap_or_default()),
        _ => Ok(&[]),
    }
}

/// The interpreter that a script's first line names, with the one argument that may follow: as the kernel reads it.
fn shebang(script: &str) -> Option<(&str, Option<&str>)> {
    let line = script.strip_prefix("#!")?.lines().next()?.trim();
    match line.split_once([' ', '\t']) {
        Some((program, rest)) => Some((program, Some(rest.trim()))),
        None if line.is_empty() => None,
        None => Some((line, None)),
    }
}

impl Executor for Shell {
    const DESCRIPTION: Description = Description {
        name: "shell",
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &["command", "argv", "env", "cwd", "stdin", "script", "limits"],
        schema: payload::SCHEMA,
        settings_schema: payload::SETTINGS_SCHEMA,
    };

    fn create(host: Host, settings: &Settings) -> Result<Self, Error> {
        Ok(Shell {
            host,
            chosen: Chosen::read(settings)?,
        })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let plan = Plan::new(run.request(), &self.chosen)?;
        if plan.confined && !self.host.limits_processes() {
            return Err(StartError::System(
                "this queuectl is too old to limit processes and to run scripts; update it".to_owned(),
            ));
        }
        run.spawn(&plan.spawn)?;
        Ok(())
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        let plan = Plan::new(request, &self.chosen)?;
        match &plan.limits.user {
            Some(user) => values::check_user(user).map_err(Error::new),
            None => Ok(()),
        }
    }
}

export_executor!(Shell);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(request: &str, chosen: &Chosen) -> Result<Spawn, String> {
        let request: Request = serde_json::from_str(request).unwrap();
        Plan::new(&request, chosen)
            .map(|plan| plan.spawn)
            .map_err(|error| error.to_string())
    }

    fn chosen(errexit: bool) -> Chosen {
        Chosen {
            shell: "sh".to_owned(),
            errexit,
            ..Chosen::default()
        }
    }

    fn argv(words: &[&str]) -> Spawn {
        Spawn::argv(words.iter().copied())
            .cwd(None::<String>)
            .stdin(None::<String>)
    }

    #[test]
    fn commands_become_words() {
        let plan = |request| plan(request, &chosen(false)).unwrap();
        assert_eq!(plan(r#"{"command":"a b"}"#), argv(&["sh", "-c", "--", "a b"]));
        assert_eq!(plan(r#"{"command":["a","b c"]}"#), argv(&["a", "b c"]));
        assert_eq!(
            plan(r#"{"command":"a","payload":{"shell":"bash","errexit":true}}"#),
            argv(&["bash", "-e", "-o", "pipefail", "-c", "--", "a"])
        );
    }

    #[test]
    fn scripts_are_read_from_a_file() {
        let file = Spawn::FILE_PATH;
        let script = |json: &str, text: &str, words: &[&str]| {
            let planned = plan(json, &chosen(true)).unwrap();
            assert_eq!(planned, argv(words).file(text), "{json}");
        };
        script(r#"{"payload":{"script":"a\nb"}}"#, "a\nb", &["sh", "-e", file]);
        let python = r##"{"payload":{"script":"#!/usr/bin/env  python3\nx","args":["1"]}}"##;
        script(
            python,
            "#!/usr/bin/env  python3\nx",
            &["/usr/bin/env", "python3", file, "1"],
        );
        let named = r##"{"payload":{"script":"#!/bin/x","shell":"zsh","errexit":false}}"##;
        script(named, "#!/bin/x", &["zsh", file]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (request, wanted) in [
            (r#"{}"#, "no command"),
            (r#"{"payload":{"args":[]}}"#, "args are those of a script"),
            (r#"{"command":"a","payload":{"script":"b"}}"#, "both"),
            (r#"{"command":["a"],"payload":{"errexit":true}}"#, "a list"),
            (
                r#"{"command":"a","payload":{"shell":"fish","errexit":true}}"#,
                "'fish'",
            ),
        ] {
            let said = plan(request, &chosen(false)).unwrap_err();
            assert!(said.contains(wanted), "{request}: {said}");
        }
        // Control: as a default it does no harm where it cannot be had.
        let fish = plan(r#"{"command":"a","payload":{"shell":"fish"}}"#, &chosen(true)).unwrap();
        assert_eq!(fish, argv(&["fish", "-c", "a"]));
    }

    #[test]
    fn a_first_line_names_the_interpreter() {
        assert_eq!(shebang("#!/bin/sh\n"), Some(("/bin/sh", None)));
        assert_eq!(
            shebang("#! /usr/bin/perl -w -T\n"),
            Some(("/usr/bin/perl", Some("-w -T")))
        );
        assert_eq!(
            [
                shebang("echo"),
                shebang("#!"),
                shebang("#!\n/bin/sh"),
                shebang("# !x")
            ],
            [None; 4]
        );
    }
}
