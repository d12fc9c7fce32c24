//! The user's configuration file: what options are by default on this machine, and profiles of `worker:start`.
//!
//! It says how queuectl is called and deliberately nothing about jobs: those settings are in the queue (`config:set`), so that
//! every machine has the same. An option and a variable of the environment count before the file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Command, ValueEnum};
use etcetera::BaseStrategy;
use serde::Deserialize;
use toml::Value;

use crate::exit::Usage;
use crate::global::{ColorWhen, Global, LogFormat};
use crate::output::format::{Format, Layout};

/// The variable that names another file; empty for none.
const VARIABLE: &str = "QUEUECTL_CONFIG";
/// The variable with the format of results, if no option says it.
const OUTPUT: &str = "QUEUECTL_OUTPUT";
/// The largest file that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// What the file says. Everything is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// As `--db`; `~/` stands for the home folder.
    pub db: Option<String>,
    /// As `--format`.
    pub format: Option<Format>,
    /// As `--color`.
    pub color: Option<ColorWhen>,
    /// As `--log-format`.
    pub log_format: Option<LogFormat>,
    /// As `--plugin-dir`, each, after those that are given.
    #[serde(default)]
    pub plugin_dirs: Vec<String>,
    /// Options of `worker:start`, by the name of the profile.
    #[serde(default)]
    profile: BTreeMap<String, BTreeMap<String, Value>>,
}

impl ConfigFile {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or says what queuectl does not know. A file that is named by the variable must exist.
    pub fn load() -> Result<ConfigFile, Usage> {
        let Some(path) = path() else {
            return Ok(ConfigFile::default());
        };
        let is_named = std::env::var_os(VARIABLE).is_some();
        let text = match read(&path) {
            Ok(text) => text,
            // Also in a home folder that is another user's, as `sudo` may leave it.
            Err(error) if is_out_of_reach(&error) && !is_named => {
                return Ok(ConfigFile::default());
            }
            Err(error) => {
                let message = format!(
                    "the configuration file {} cannot be read: {error}",
                    path.display()
                );
                return Err(Usage::new(message));
            }
        };
        let wrong = |why: &dyn std::fmt::Display| {
            Usage::new(format!("the configuration file {}: {why}", path.display()))
        };
        let mut file: ConfigFile = toml::from_str(&text).map_err(|error| wrong(&in_line(&error, &text)))?;
        let home = etcetera::home_dir().ok();
        for place in file.db.iter_mut().chain(&mut file.plugin_dirs) {
            *place = absolute(place, home.as_deref()).map_err(|why| wrong(&why))?;
        }
        Ok(file)
    }

    /// Sets the options that are not given, from the environment and the file. The location is not among them: its variable
    /// counts before the file.
    ///
    /// # Errors
    /// The variable names no format.
    pub fn complete(&self, global: &mut Global) -> Result<(), Usage> {
        if global.format.is_none() && !global.json {
            global.format = match std::env::var(OUTPUT) {
                Ok(name) if !name.is_empty() => Some(Format::from_str(&name, true).map_err(|_| {
                    Usage::new(format!("{OUTPUT}: '{name}' is not table, json, jsonl or csv"))
                })?),
                _ => self.format,
            }
            .map(Layout::Format);
        }
        global.color = global.color.or(self.color);
        global.log_format = global.log_format.or(self.log_format);
        Ok(())
    }

    /// Returns the options of a profile as words, without those that the command line has already.
    ///
    /// # Errors
    /// There is no such profile, or it has an option that the command has not.
    pub fn profile(
        &self,
        name: &str,
        grammar: &Command,
        given: &[OsString],
    ) -> Result<Vec<OsString>, String> {
        let Some(profile) = self.profile.get(name) else {
            let known: Vec<&str> = self.profile.keys().map(String::as_str).collect();
            return Err(match known.is_empty() {
                true => format!("there is no profile '{name}': the configuration file has none"),
                false => format!("there is no profile '{name}'; there are: {}", known.join(", ")),
            });
        };
        let mut words = Vec::new();
        for (key, value) in profile {
            let option = key.replace('_', "-");
            let arg = grammar
                .get_arguments()
                .find(|arg| {
                    arg.get_long() == Some(option.as_str()) && !arg.is_hide_set() && option != "profile"
                })
                .ok_or_else(|| format!("profile '{name}': '{key}' is not an option of worker:start"))?;
            if is_given(given, &option, arg.get_short()) {
                continue;
            }
            let takes_value = !matches!(arg.get_action(), ArgAction::SetTrue);
            let wrong = || match takes_value {
                true => format!("profile '{name}': {key} takes text, a whole number, or a list of them"),
                false => format!("profile '{name}': {key} takes true or false"),
            };
            match (value, takes_value) {
                (Value::Boolean(true), false) => words.push(format!("--{option}").into()),
                (Value::Boolean(false), false) => {}
                (Value::Array(values), true) => {
                    for value in values {
                        words.push(with_value(&option, value).ok_or_else(wrong)?);
                    }
                }
                (value, true) => words.push(with_value(&option, value).ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
        }
        Ok(words)
    }
}

/// Returns where the file is, if there is one; none if the variable is empty or the user has no home folder.
pub fn path() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return (!named.is_empty()).then(|| PathBuf::from(named));
    }
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("queuectl").join("config.toml"))
}

fn is_out_of_reach(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};

    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MOST {
        true => Err(io::Error::other(format!("it has more than {MOST} bytes"))),
        false => Ok(text),
    }
}

/// The message with the number of the line.
fn in_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().trim_end();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

/// Relative paths would mean something else in every folder.
fn absolute(place: &str, home: Option<&Path>) -> Result<String, String> {
    let relative = || format!("'{place}' has to be an absolute path, or to begin with ~/");
    if let Some(rest) = place.strip_prefix("~/") {
        let path = home.ok_or_else(relative)?.join(rest);
        return path.into_os_string().into_string().map_err(|_| relative());
    }
    let path = place.strip_prefix("sqlite:").unwrap_or(place);
    match Path::new(path).is_absolute() || path.contains("://") {
        true => Ok(place.to_owned()),
        false => Err(relative()),
    }
}

fn is_given(words: &[OsString], option: &str, short: Option<char>) -> bool {
    let long = format!("--{option}");
    let with_value = format!("{long}=");
    words.iter().filter_map(|word| word.to_str()).any(|word| {
        let is_short = || {
            let mut letters = word.chars();
            letters.next() == Some('-') && letters.next() == short && short.is_some()
        };
        word == long || word.starts_with(&with_value) || is_short()
    })
}

fn with_value(option: &str, value: &Value) -> Option<OsString> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        _ => return None,
    };
    let mut word = OsString::from(format!("--{option}="));
    word.push(OsStr::new(&text));
    Some(word)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, value_parser};

    use super::*;

    fn grammar() -> Command {
        Command::new("start")
            .arg(Arg::new("count").short('c').long("count"))
            .arg(
                Arg::new("queue")
                    .long("queue")
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(String)),
            )
            .arg(Arg::new("log").long("log-file"))
            .arg(Arg::new("drain").long("drain").action(ArgAction::SetTrue))
            .arg(Arg::new("inner").long("inner").hide(true))
    }

    fn words(file: &str, given: &[&str]) -> Result<Vec<String>, String> {
        let file: ConfigFile = toml::from_str(file).expect("it can be read");
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let words = file.profile("build", &grammar(), &given)?.into_iter();
        Ok(words
            .map(|word| word.into_string().expect("it is text"))
            .collect())
    }

    const BUILD: &str = "[profile.build]\ncount = 4\nqueue = ['a', 'b']\nlog_file = '/x y'\ndrain = true\n";

    #[test]
    fn a_profile_becomes_options_unless_they_are_given() {
        let all = [
            "--count=4",
            "--drain",
            "--log-file=/x y",
            "--queue=a",
            "--queue=b",
        ];
        assert_eq!(words(BUILD, &[]), Ok(all.map(str::to_owned).to_vec()));
        let rest = ["--drain", "--log-file=/x y"].map(str::to_owned).to_vec();
        for count in [&["--count", "2"][..], &["--count=2"], &["-c2"], &["-c", "2"]] {
            let given = [count, &["--queue=z"]].concat();
            assert_eq!(words(BUILD, &given), Ok(rest.clone()), "{given:?}");
        }
    }

    #[test]
    fn mistakes_in_a_profile_are_named() {
        for (file, why) in [
            ("", "there is no profile 'build': the configuration file has none"),
            ("[profile.other]", "there is no profile 'build'; there are: other"),
            (
                "[profile.build]\nspeed = 1",
                "profile 'build': 'speed' is not an option of worker:start",
            ),
            (
                "[profile.build]\ninner = 1",
                "profile 'build': 'inner' is not an option of worker:start",
            ),
            (
                "[profile.build]\ndrain = 1",
                "profile 'build': drain takes true or false",
            ),
            (
                "[profile.build]\ncount = true",
                "profile 'build': count takes text, a whole number, or a list of them",
            ),
        ] {
            assert_eq!(words(file, &[]), Err(why.to_owned()), "{file}");
        }
    }

    #[test]
    fn paths_are_absolute_or_below_the_home_folder() {
        let home = if cfg!(windows) {
            Path::new(r"C:\u")
        } else {
            Path::new("/u")
        };
        let found = absolute("~/q.db", Some(home));
        assert_eq!(found, Ok(home.join("q.db").display().to_string()));
        assert!(absolute("q.db", Some(home)).is_err() && absolute("~/q.db", None).is_err());
        assert!(absolute("sqlite:q.db", Some(home)).is_err());
        for whole in [
            home.join("q.db").display().to_string(),
            "postgres://host/db".to_owned(),
        ] {
            assert_eq!(absolute(&whole, None), Ok(whole.clone()));
        }
    }
}
