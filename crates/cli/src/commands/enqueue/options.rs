//! The options that describe a job: one for each of core's [`FIELDS`].
//!
//! Not here: the options about storing it (`--from`, `--wait`), and the words of the command.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context as _, Result};
use clap::error::Result as ClapResult;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use jiff::ZonedDateTime;
use queuectl_core::limits::PAYLOAD_BYTES;
use queuectl_core::{FIELDS, Field, Form, JobSpec, Payload};
use queuectl_frontend::input::env_file;

use crate::exit::Usage;

/// The option that reads variables from a file.
const ENV_FILE: &str = "env_file";

/// Short options, by their fields. `-q` is the queue here; for less log it stands before the command.
const SHORT: [(&str, char); 7] = [
    ("queue", 'q'),
    ("priority", 'p'),
    ("delay", 'd'),
    ("timeout", 't'),
    ("group", 'g'),
    ("env", 'e'),
    ("labels", 'l'),
];

/// What the options say of a job.
#[derive(Debug, Default)]
pub struct JobOptions {
    spec: JobSpec,
}

impl JobOptions {
    /// Returns the job that the options describe; reads its input if that is standard input.
    ///
    /// # Errors
    /// Standard input cannot be read, or is too long, or is not UTF-8.
    pub fn into_spec(mut self) -> Result<JobSpec> {
        if self.takes_stdin() {
            self.spec.payload.stdin = Some(read_stdin()?);
        }
        Ok(self.spec)
    }

    /// Takes what was given of these fields. Variables of a file give way to those of `--env`.
    pub fn take(&mut self, fields: impl Iterator<Item = &'static Field<JobSpec>>, matches: &ArgMatches) {
        for field in fields {
            for part in matches.get_many::<JobSpec>(field.name).into_iter().flatten() {
                self.spec = part.clone().or(std::mem::take(&mut self.spec));
            }
        }
        for file in matches.get_many::<JobSpec>(ENV_FILE).into_iter().flatten().rev() {
            self.spec = std::mem::take(&mut self.spec).or(file.clone());
        }
    }

    /// Whether the job's input is the standard input of this command.
    pub fn takes_stdin(&self) -> bool {
        self.spec.payload.stdin.as_deref() == Some("-")
    }
}

impl Args for JobOptions {
    fn augment_args(command: Command) -> Command {
        let options = FIELDS.iter().flat_map(|field| {
            let short = SHORT.iter().find(|(name, _)| *name == field.name);
            let mut option = option(field, field.excludes.iter().copied());
            if let Some((_, short)) = short {
                option = option.short(*short);
            }
            std::iter::once(option).chain((field.name == "env").then(env_file))
        });
        let without_short = |arg: Arg| match arg.get_id() == "quiet" {
            true => arg.short(None),
            false => arg,
        };
        command.args(options).mut_args(without_short)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for JobOptions {
    fn from_arg_matches(matches: &ArgMatches) -> ClapResult<JobOptions> {
        let mut options = JobOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> ClapResult<()> {
        self.take(FIELDS.iter(), matches);
        Ok(())
    }
}

/// Returns the option of a field, which excludes those of other fields.
pub fn option(field: &'static Field<JobSpec>, excludes: impl Iterator<Item = &'static str>) -> Arg {
    // Names live as long as the process, which ends with its one command.
    let long = match field.name {
        // One at a time.
        "labels" => "label".to_owned(),
        name => name.replace('_', "-"),
    };
    let long = long.leak();
    let arg = Arg::new(field.name)
        .long(&*long)
        .value_name(field.value)
        .help(field.about)
        .conflicts_with_all(excludes)
        .value_parser(move |text: &str| part(field, text));
    match field.form {
        Form::Whole(..) | Form::Decimal(..) => arg.allow_negative_numbers(true),
        Form::Command(_) | Form::Text(_) | Form::Duration(_) | Form::Time(_) => arg.allow_hyphen_values(true),
        Form::Flag(_) => arg.action(ArgAction::SetTrue),
        Form::Words(_) | Form::Variables(_) | Form::Labels(_) => arg.action(ArgAction::Append),
        Form::Word(_) | Form::List(_) | Form::Object(_) => arg,
    }
}

/// Returns the option that reads variables from a file.
pub fn env_file() -> Arg {
    Arg::new(ENV_FILE)
        .long("env-file")
        .value_name("FILE")
        .help("Set the environment variables of a file for the job, a line NAME=VALUE each; repeatable. --env counts before it")
        .action(ArgAction::Append)
        .value_parser(|file: &str| {
            let text = read_file(file)?;
            let read = env_file::read(&text, inherited).map_err(|error| format!("{file}, {error}"))?;
            Ok::<_, String>(JobSpec {
                payload: Payload {
                    env: read.into_iter().collect(),
                    ..Payload::default()
                },
                ..JobSpec::default()
            })
        })
}

/// Returns the value that a variable has here.
fn inherited(name: &str) -> Result<String, String> {
    match std::env::var(name) {
        Ok(value) => Ok(value),
        Err(std::env::VarError::NotPresent) => Err(format!(
            "the variable {name} is not set here; set it, or write {name}=VALUE"
        )),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(format!("the value that {name} has here is not valid UTF-8"))
        }
    }
}

/// Reads the value of an option: a job of which nothing else is said. A flag that was not given comes here, too.
fn part(field: &Field<JobSpec>, text: &str) -> Result<JobSpec, String> {
    let mut spec = JobSpec::default();
    match (&field.form, text.strip_prefix('@')) {
        (Form::Flag(_), _) if text == "false" => {}
        (Form::Object(_), Some(file)) => field
            .take_text(&mut spec, &read_file(file)?, ZonedDateTime::now)
            .map_err(|error| format!("{file}: {error}"))?,
        (Form::Variables(set), _) if is_name(text) => set(&mut spec, text.to_owned(), inherited(text)?),
        _ => field.take_text(&mut spec, text, ZonedDateTime::now)?,
    }
    Ok(spec)
}

/// Whether a text can be the name of a variable, whose value is taken from here.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['=', '\0'])
}

fn read_file(file: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(PAYLOAD_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {file}: {error}"))?;
    if bytes.len() > PAYLOAD_BYTES {
        return Err(format!(
            "{file} is longer than the {PAYLOAD_BYTES} bytes that a job may have"
        ));
    }
    String::from_utf8(bytes).map_err(|_| format!("{file} is not valid UTF-8"))
}

fn read_stdin() -> Result<String> {
    let mut text = Vec::new();
    io::stdin()
        .lock()
        .take(PAYLOAD_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .context("cannot read standard input")?;
    if text.len() > PAYLOAD_BYTES {
        let message = format!("standard input is longer than the {PAYLOAD_BYTES} bytes that a job may have");
        return Err(Usage::new(message)
            .hint("put it into a file that the job reads")
            .into());
    }
    let utf8 = String::from_utf8(text).map_err(|_| {
        Usage::new("standard input is not valid UTF-8").hint("put it into a file that the job reads")
    })?;
    Ok(utf8)
}

/// Names the fields of a job in JSON, for the help.
pub fn fields() -> String {
    let named = |field: &Field<JobSpec>| match field.form {
        Form::Command(_) => format!("{} (text or an array of texts)", field.name),
        Form::Object(_) => format!("{} (an object for the executor)", field.name),
        _ => field.name.to_owned(),
    };
    let fields: Vec<String> = FIELDS.iter().map(named).collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> ClapResult<JobSpec> {
        let words = std::iter::once(&"enqueue").chain(words);
        let command = JobOptions::augment_args(Command::new("enqueue"));
        let matches = command.try_get_matches_from(words)?;
        Ok(JobOptions::from_arg_matches(&matches)?.spec)
    }

    #[test]
    fn every_field_is_an_option() {
        let spec = options(&[
            "--id=a",
            "--priority",
            "-3",
            "--env",
            "A=1",
            "--env=A=b=c",
            "--env=B=",
            "--max-retries=0",
            "--command",
            "-x",
            "--stdin",
            "-",
            r#"--payload={"x":1}"#,
        ])
        .unwrap();
        assert_eq!((spec.priority, spec.max_retries), (Some(-3), Some(0)));
        assert_eq!(spec.payload.env["A"], "b=c", "the last one counts");
        assert_eq!((spec.payload.env.len(), spec.queue), (2, None));
        assert_eq!(spec.payload.stdin.as_deref(), Some("-"));
    }

    #[test]
    fn variables_come_from_here_from_files_and_from_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        let (one, two) = (file("one", "A=1\nB=1\nC=1\n"), file("two", "B=2\nC=2\n"));
        // A name behind all others.
        let here = "PATH";
        let words = ["-e", here, "--env-file", &one, "--env=C=3", "--env-file", &two];
        let path = std::env::var(here).unwrap();
        let env = options(&words).unwrap().payload.env;
        let pairs: Vec<(&str, &str)> = env.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "2"), ("C", "3"), (here, path.as_str())]);
        let bad = file("bad", "A=1\nB C\n");
        let said = options(&["--env-file", &bad]).unwrap_err().to_string();
        assert!(said.contains("bad, line 2: write it as NAME=VALUE"), "{said}");
        let large = file("large", &"A=1\n".repeat(PAYLOAD_BYTES / 4 + 1));
        let said = options(&["--env-file", &large]).unwrap_err().to_string();
        assert!(said.contains("is longer than"), "{said}");
    }

    #[test]
    fn mistakes_are_named() {
        for (words, wanted) in [
            (
                &["--env", "QUEUECTL_NO_SUCH_VARIABLE"][..],
                "the variable QUEUECTL_NO_SUCH_VARIABLE is not set here; set it, or write",
            ),
            (&["--env-file", "/no/such/file"], "cannot read /no/such/file"),
            (&["--env", "=b"], "write it as NAME=VALUE"),
            (
                &["--priority", "high"],
                "expected a whole number from -1000000 to 1000000",
            ),
            (&["--backoff-base", "-1"], "expected a number from 1 to 3600"),
            (&["--delay", "-5"], "is not a length of time"),
            (&["--delay=5", "--run-at=18:00"], "cannot be used with"),
            (&["--payload", "[1]"], "not a JSON object"),
        ] {
            let said = options(words).unwrap_err().to_string();
            assert!(
                said.contains(wanted),
                "{words:?}\n  said: {said}\n  want: {wanted}"
            );
        }
    }
}
