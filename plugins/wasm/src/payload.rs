//! What a job may ask for: its `payload` object, read and checked into a [`Plan`].
//!
//! Nothing here looks at files: a job is often stored on one machine's disk and run from another's, so whether a module
//! or a folder exists is found out by the run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use queuectl_plugin_api::{Error, Request};
use serde::de::{self, Deserialize, Deserializer};

use crate::settings::Chosen;
use crate::size::Size;

/// JSON Schema of the payload. A test holds it to [`Payload`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["module"],
  "additionalProperties": false,
  "properties": {
    "module": {"type": "string", "minLength": 1, "description": "The .wasm or .wat file: absolute, or below the job's cwd"},
    "args": {"type": "array", "items": {"type": "string"}, "maxItems": 4096, "description": "Arguments after the program's name"},
    "env": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Environment variables, over the job's own"},
    "dirs": {
      "type": "array",
      "maxItems": 64,
      "description": "Folders that the program may use",
      "items": {
        "type": "object",
        "required": ["host", "guest"],
        "additionalProperties": false,
        "properties": {
          "host": {"type": "string", "minLength": 1, "description": "The folder: absolute, or below the job's cwd"},
          "guest": {"type": "string", "minLength": 1, "description": "Its name for the program"},
          "read_only": {"type": "boolean", "default": true}
        }
      }
    },
    "fuel": {"type": "integer", "minimum": 1, "description": "Most units of work, about one per instruction"},
    "deadline": {"type": ["string", "number"], "description": "Longest the program may run: seconds, or a text such as 500ms or 1m 30s"},
    "memory": {"type": ["string", "integer"], "default": "256MiB", "description": "Most memory: bytes, or with a unit such as 64MiB"}
  }
}"#;

const DEFAULT_MEMORY: Size = Size(256 << 20);
/// One page of WebAssembly; less would let nothing run.
const LEAST_MEMORY: u64 = 64 << 10;
const MOST_DIRS: usize = 64;
const MOST_WORDS: usize = 4096;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    module: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    dirs: Vec<DirWanted>,
    fuel: Option<u64>,
    deadline: Option<Span>,
    memory: Option<Size>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DirWanted {
    host: String,
    guest: String,
    #[serde(default = "yes")]
    read_only: bool,
}

fn yes() -> bool {
    true
}

/// A folder that the program may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Where it is.
    pub host: PathBuf,
    /// What the program calls it.
    pub guest: String,
    /// Whether it may not be changed.
    pub read_only: bool,
}

/// A job that was checked: what to run, with what, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The file with the module.
    pub module: PathBuf,
    /// The program's name and its arguments.
    pub argv: Vec<String>,
    /// The whole environment, but for what the run itself adds.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: String,
    /// Folders.
    pub dirs: Vec<Dir>,
    /// Most units of work.
    pub fuel: Option<u64>,
    /// Longest run.
    pub deadline: Option<Duration>,
    /// Most memory, in bytes.
    pub memory: u64,
}

impl Plan {
    /// Checks everything that can be checked without looking at a file.
    pub fn new(request: &Request, chosen: &Chosen) -> Result<Plan, Error> {
        if request.command().is_some() {
            return Err(Error::new(
                "the wasm executor takes no command; name the file as payload.module and its arguments as payload.args",
            ));
        }
        let payload: Payload = request.payload()?;
        let mut env = request.env().clone();
        env.extend(payload.env);
        let plan = Plan {
            module: below(request.cwd(), &payload.module, "module")?,
            argv: [payload.module].into_iter().chain(payload.args).collect(),
            env: env.into_iter().collect(),
            stdin: request.stdin().unwrap_or_default().to_owned(),
            dirs: dirs(payload.dirs, request.cwd(), chosen)?,
            fuel: payload.fuel,
            deadline: payload.deadline.map(|span| span.0),
            memory: payload.memory.unwrap_or(DEFAULT_MEMORY.min(chosen.max_memory)).0,
        };
        plan.check(chosen)?;
        Ok(plan)
    }

    fn check(&self, chosen: &Chosen) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(format!("payload: {text}")));
        if self.argv.len() > MOST_WORDS || self.env.len() > MOST_WORDS {
            return refuse(format!("args and env may have {MOST_WORDS} entries each"));
        }
        if self.argv.iter().any(|word| word.contains('\0')) {
            return refuse("an argument has a NUL character in it".to_owned());
        }
        let unusable = |(name, value): &&(String, String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        };
        if let Some((name, _)) = self.env.iter().find(unusable) {
            return refuse(format!(
                "'{}' cannot be set as an environment variable: no name is empty or has a =, and neither name nor value \
                 has a NUL character",
                name.escape_debug()
            ));
        }
        if self.fuel == Some(0) {
            return refuse("fuel 0 lets nothing run; it takes a whole number from 1".to_owned());
        }
        if self.deadline == Some(Duration::ZERO) {
            return refuse("a deadline of 0 lets nothing run; leave it out for none".to_owned());
        }
        let memory = ByteSize(self.memory);
        if self.memory < LEAST_MEMORY {
            return refuse(format!(
                "memory {memory} lets nothing run; it takes 64KiB or more"
            ));
        }
        if self.memory > chosen.max_memory.0 {
            return refuse(format!(
                "memory {memory} is more than the setting wasm.max_memory allows, which is {}",
                ByteSize(chosen.max_memory.0)
            ));
        }
        Ok(())
    }
}

fn dirs(wanted: Vec<DirWanted>, cwd: Option<&str>, chosen: &Chosen) -> Result<Vec<Dir>, Error> {
    if !wanted.is_empty() && !chosen.allow_dirs {
        return Err(Error::new(
            "payload: dirs are not allowed here; the setting wasm.allow_dirs is false",
        ));
    }
    if wanted.len() > MOST_DIRS {
        return Err(Error::new(format!("payload: dirs may have {MOST_DIRS} entries")));
    }
    let mut names = HashSet::new();
    let dir = |DirWanted {
                   host,
                   guest,
                   read_only,
               }| {
        if guest.is_empty() || guest.contains('\0') {
            return Err(Error::new(format!(
                "payload: the folder '{host}' needs a name in guest, such as /data"
            )));
        }
        if !names.insert(guest.clone()) {
            return Err(Error::new(format!(
                "payload: two dirs have the guest name '{guest}'"
            )));
        }
        Ok(Dir {
            host: below(cwd, &host, "dirs.host")?,
            guest,
            read_only,
        })
    };
    wanted.into_iter().map(dir).collect()
}

/// A path of the job, which may be relative to its folder.
fn below(cwd: Option<&str>, path: &str, field: &str) -> Result<PathBuf, Error> {
    let named = Path::new(path);
    if path.is_empty() || path.contains('\0') {
        return Err(Error::new(format!(
            "payload: {field} is not a path; give the path of a file or folder"
        )));
    }
    match cwd {
        _ if named.is_absolute() => Ok(named.to_owned()),
        Some(cwd) => Ok(Path::new(cwd).join(named)),
        None => Err(Error::new(format!(
            "payload: {field} '{path}' is relative and the job has no cwd; give an absolute path"
        ))),
    }
}

/// A length of time, as a number of seconds or as text with its unit.
#[derive(Debug)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => text.trim().to_owned(),
            serde_json::Value::Number(seconds) => seconds.to_string(),
            _ => String::new(),
        };
        // As queuectl reads it everywhere: a bare number is seconds.
        let span = match text.parse() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => humantime::parse_duration(&text).ok(),
        };
        span.map(Span).ok_or_else(|| {
            de::Error::custom(format!(
                "{value} is not a length of time: write a number of seconds, or a text such as \"500ms\" or \"1h 5m\""
            ))
        })
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
