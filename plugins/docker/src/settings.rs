//! What the operator set for this executor: which engine, and what jobs may ask of it.
//!
//! Everything that gives a job power over the host is refused until it is allowed here.

use queuectl_plugin_api::{Error, Settings};
use serde::Deserialize;

use crate::engine::Engine;

/// JSON Schema of the settings.
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "host": {
      "type": "string",
      "description": "the engine: unix:///PATH or tcp://HOST:PORT; default: $DOCKER_HOST, else unix:///var/run/docker.sock"
    },
    "allow_mounts": {
      "type": ["string", "boolean"],
      "default": "none",
      "description": "what jobs may mount: none, all, or a list of host folders and volume names separated by commas"
    },
    "allow_privileged": {
      "type": "boolean",
      "default": false,
      "description": "whether jobs may be privileged, add capabilities, or use the network of the host or of another container"
    }
  }
}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    host: Option<String>,
    #[serde(default)]
    allow_mounts: Allowed,
    #[serde(default)]
    allow_privileged: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Allowed {
    Flag(bool),
    Text(String),
}

impl Default for Allowed {
    fn default() -> Self {
        Allowed::Flag(false)
    }
}

/// What jobs may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What they may mount.
    pub mounts: Mounts,
    /// Whether they may have power over the host beyond that.
    pub privileged: bool,
}

/// What jobs may mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mounts {
    /// Nothing.
    #[default]
    None,
    /// Anything.
    All,
    /// These folders and what is below them, and these volumes.
    Listed(Vec<String>),
}

impl Mounts {
    fn parse(text: &str) -> Result<Mounts, Error> {
        match text.trim() {
            "none" | "" => Ok(Mounts::None),
            "all" => Ok(Mounts::All),
            list => {
                let entries: Vec<String> = list
                    .split(',')
                    .map(|entry| match entry.trim() {
                        "/" => "/",
                        entry => entry.trim_end_matches('/'),
                    })
                    .filter(|entry| !entry.is_empty())
                    .map(str::to_owned)
                    .collect();
                match entries.iter().find(|entry| !is_source(entry)) {
                    Some(bad) => Err(Error::new(format!(
                        "docker.allow_mounts: '{bad}' is neither an absolute folder without '..' nor a volume's name; \
                         it takes none, all, or a list of these with commas"
                    ))),
                    None => Ok(Mounts::Listed(entries)),
                }
            }
        }
    }

    /// Whether a job may mount `source`, which is a path of the host or a volume's name.
    pub fn allow(&self, source: &str) -> bool {
        match self {
            Mounts::None => false,
            Mounts::All => true,
            Mounts::Listed(entries) => entries.iter().any(|entry| {
                let below = |rest: &str| rest.is_empty() || rest.starts_with('/') || entry == "/";
                let is_folder = entry.starts_with('/');
                entry == source || (is_folder && source.strip_prefix(entry.as_str()).is_some_and(below))
            }),
        }
    }
}

/// Whether something can be mounted at all: an absolute path that leads nowhere else, or a volume's name.
pub fn is_source(source: &str) -> bool {
    if let Some(path) = source.strip_prefix('/') {
        return !path.contains('\0') && path.split('/').all(|part| part != "..");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    source.starts_with(|c: char| c.is_ascii_alphanumeric()) && source.chars().all(plain)
}

/// Reads the settings.
///
/// # Errors
/// What is wrong with which.
pub fn read(settings: &Settings) -> Result<(Engine, Policy), Error> {
    let raw: Raw = settings.typed()?;
    let mounts = match raw.allow_mounts {
        Allowed::Flag(false) => Mounts::None,
        Allowed::Flag(true) => Mounts::All,
        Allowed::Text(text) => Mounts::parse(&text)?,
    };
    let policy = Policy {
        mounts,
        privileged: raw.allow_privileged,
    };
    Ok((Engine::new(raw.host)?, policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(settings: &str) -> Result<Policy, String> {
        let settings = Settings::from_json(&format!(r#"{{"settings":{settings}}}"#)).unwrap();
        read(&settings)
            .map(|(_, policy)| policy)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_allowed_that_was_not_allowed() {
        assert_eq!(policy("{}"), Ok(Policy::default()));
        assert!(!Mounts::None.allow("/data"));
        let all = policy(r#"{"allow_mounts":"all","allow_privileged":"true"}"#).unwrap();
        assert!(all.privileged && all.mounts.allow("/") && all.mounts.allow("volume"));
        assert_eq!(policy(r#"{"allow_mounts":"true"}"#).unwrap().mounts, Mounts::All);
    }

    #[test]
    fn mounts_are_allowed_below_a_folder_and_by_name() {
        let mounts = policy(r#"{"allow_mounts":"/data/jobs/, cache"}"#).unwrap().mounts;
        for good in ["/data/jobs", "/data/jobs/a/b", "cache"] {
            assert!(mounts.allow(good), "{good}");
        }
        for bad in ["/data", "/data/jobs2", "/", "cache2", "data", "/cache"] {
            assert!(!mounts.allow(bad), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_a_source_is_none() {
        for bad in ["", "..", "/a/../b", "relative/path", "./a", "-x", "/a/.."] {
            assert!(!is_source(bad), "{bad}");
        }
        for good in ["/", "/a/b.c", "volume-1"] {
            assert!(is_source(good), "{good}");
        }
    }

    #[test]
    fn odd_settings_are_named() {
        assert!(policy(r#"{"hosts":"x"}"#).unwrap_err().contains("hosts"));
        assert!(policy(r#"{"allow_mounts":"a/b"}"#).unwrap_err().contains("'a/b'"));
        assert!(
            policy(r#"{"host":"ssh://somewhere"}"#)
                .unwrap_err()
                .contains("ssh://somewhere")
        );
    }
}
