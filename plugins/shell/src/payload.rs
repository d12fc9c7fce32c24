//! A job's own payload, and what the operator set for jobs that do not say.
//!
//! Only whether the parts fit together is decided here; what a single value may be is in `values`.

use queuectl_plugin_api::{Error, Request, Settings};
use serde::Deserialize;

use crate::values::{Inherit, Nice, Rlimits, Scalar, Umask, total};

/// JSON Schema of the payload.
pub const SCHEMA: &str = include_str!("payload.json");
/// JSON Schema of the settings.
pub const SETTINGS_SCHEMA: &str = include_str!("settings.json");

/// What a job says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub script: Option<String>,
    pub args: Option<Vec<String>>,
    pub shell: Option<String>,
    pub errexit: Option<bool>,
    env: Option<Inherit>,
    umask: Option<Umask>,
    nice: Option<Nice>,
    rlimits: Option<Rlimits>,
    memory: Option<Scalar>,
    pids: Option<Scalar>,
    user: Option<String>,
}

impl Payload {
    pub fn read(request: &Request) -> Result<Payload, Error> {
        let payload: Payload = request.payload()?;
        let empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if empty(&payload.shell) || empty(&payload.user) || empty(&payload.script) {
            return Err(Error::new("payload: shell, user and script cannot be empty"));
        }
        Ok(payload)
    }
}

/// What holds for a process, from settings and payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    pub env: Inherit,
    pub umask: Option<Umask>,
    pub nice: Option<Nice>,
    pub rlimits: Rlimits,
    pub memory: Option<u64>,
    pub pids: Option<u64>,
    pub user: Option<String>,
}

impl Limits {
    /// What a job says, and where it says nothing, this. Rlimits are joined by name.
    pub fn with(&self, job: &Payload) -> Result<Limits, Error> {
        let own = |name, scalar: &Option<Scalar>, default| match scalar {
            Some(scalar) => total(name, scalar).map_err(|why| Error::new(format!("payload: {why}"))),
            None => Ok(default),
        };
        let mut limits = Limits {
            env: job.env.clone().unwrap_or_else(|| self.env.clone()),
            umask: job.umask.or(self.umask),
            nice: job.nice.or(self.nice),
            rlimits: self.rlimits.clone(),
            memory: own("memory", &job.memory, self.memory)?,
            pids: own("pids", &job.pids, self.pids)?,
            user: job.user.clone().or_else(|| self.user.clone()),
        };
        if let Some(Rlimits(own)) = &job.rlimits {
            limits.rlimits.0.extend(own);
        }
        Ok(limits)
    }
}

/// What the operator chose.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub shell: String,
    pub errexit: bool,
    pub limits: Limits,
}

impl Chosen {
    /// # Errors
    /// What is wrong with which setting.
    pub fn read(settings: &Settings) -> Result<Chosen, Error> {
        let default = if cfg!(windows) { "cmd" } else { "sh" };
        let shell = Some(settings.shell.as_str()).filter(|shell| !shell.is_empty());
        let mut chosen = Chosen {
            shell: shell.unwrap_or(default).to_owned(),
            ..Chosen::default()
        };
        let all: std::collections::BTreeMap<String, serde::de::IgnoredAny> = settings.typed()?;
        for key in all.keys() {
            let text = settings.get(key).unwrap_or_default();
            chosen
                .set(key, text)
                .map_err(|why| Error::new(format!("the setting shell.{key}: {why}")))?;
        }
        Ok(chosen)
    }

    fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let limits = &mut self.limits;
        let scalar = || Scalar::Text(text.to_owned());
        match key {
            "errexit" => {
                self.errexit = text
                    .parse()
                    .map_err(|_| format!("'{text}' is neither true nor false"))?;
            }
            "env" => limits.env = text.parse()?,
            "umask" => limits.umask = Some(text.parse()?),
            "nice" => {
                let number: i64 = text
                    .parse()
                    .map_err(|_| format!("'{text}' is not a whole number"))?;
                limits.nice = Some(number.try_into()?);
            }
            "rlimits" => limits.rlimits = text.parse()?,
            "memory" => limits.memory = total("memory", &scalar())?,
            "pids" => limits.pids = total("pids", &scalar())?,
            "user" => limits.user = Some(text.to_owned()).filter(|user| !user.is_empty()),
            _ => {
                return Err("there is no such setting; there are errexit, env, umask, nice, rlimits, memory, pids and \
                            user"
                    .to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(settings: &str) -> Result<Chosen, String> {
        let text = format!(r#"{{"shell":"bash","settings":{settings}}}"#);
        Chosen::read(&Settings::from_json(&text).unwrap()).map_err(|error| error.to_string())
    }

    fn payload(json: &str) -> Result<Payload, String> {
        let request: Request =
            serde_json::from_str(&format!(r#"{{"command":"x","payload":{json}}}"#)).unwrap();
        Payload::read(&request).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_hold_where_the_job_says_nothing() {
        let set = r#"{"errexit":"true","env":"PATH,LC_*","umask":"027","nice":"5","rlimits":"core=0,nofile=9",
            "memory":"64MiB","pids":"7","user":"nobody"}"#;
        let chosen = chosen(set).unwrap();
        assert!(chosen.errexit && chosen.shell == "bash");
        assert_eq!(chosen.limits.with(&Payload::default()), Ok(chosen.limits.clone()));
        let job = payload(
            r#"{"env":"inherit","umask":"0","nice":0,"rlimits":{"nofile":10},"memory":"unlimited","pids":8,"user":"root"}"#,
        );
        let both = chosen.limits.with(&job.unwrap()).unwrap();
        assert_eq!(
            (both.env.clone(), both.umask, both.nice),
            (Inherit::All, Some(Umask(0)), Some(Nice(0)))
        );
        assert_eq!(
            (both.memory, both.pids, both.user.as_deref()),
            (None, Some(8), Some("root"))
        );
        assert_eq!(both.rlimits.0.len(), 2);
        let core = |limits: &Limits| {
            limits
                .rlimits
                .0
                .get(&queuectl_plugin_api::Resource::Core)
                .copied()
        };
        assert!(core(&both).is_some() && core(&both) == core(&chosen.limits));
    }

    #[test]
    fn odd_settings_are_named() {
        for (set, wanted) in [
            (r#"{"umasks":"1"}"#, "shell.umasks"),
            (r#"{"umask":"9"}"#, "shell.umask"),
            (r#"{"nice":"x"}"#, "shell.nice"),
            (r#"{"nice":"20"}"#, "-20"),
            (r#"{"errexit":"yes"}"#, "neither true nor false"),
            (r#"{"memory":"much"}"#, "'much'"),
            (r#"{"rlimits":"core"}"#, "NAME=VALUE"),
        ] {
            let said = chosen(set).unwrap_err();
            assert!(said.contains(wanted), "{set}: {said}");
        }
        assert_eq!(
            chosen(r#"{"umask":"22"}"#).unwrap().limits.umask,
            Some(Umask(0o22))
        );
    }

    #[test]
    fn odd_payloads_are_named() {
        for (json, wanted) in [
            (r#"{"umaks":"022"}"#, "umaks"),
            (r#"{"umask":"888"}"#, "'888'"),
            (r#"{"nice":100}"#, "out of range"),
            (r#"{"user":""}"#, "empty"),
            (r#"{"script":""}"#, "empty"),
        ] {
            let said = payload(json).unwrap_err();
            assert!(said.contains(wanted), "{json}: {said}");
        }
        let zero = payload(r#"{"memory":0}"#).unwrap();
        assert!(
            Limits::default()
                .with(&zero)
                .unwrap_err()
                .to_string()
                .contains("memory of 0")
        );
    }

    #[test]
    fn the_schemas_name_what_there_is() {
        let names = |schema: &str| -> Vec<String> {
            let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
            schema["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        for name in names(SCHEMA) {
            let said = payload(&format!(r#"{{"{name}":{{"wrong":[]}}}}"#)).unwrap_err();
            assert!(!said.contains("unknown field"), "{said}");
        }
        for name in names(SETTINGS_SCHEMA) {
            let said = chosen(&format!(r#"{{"{name}":"=?"}}"#)).err().unwrap_or_default();
            assert!(!said.contains("no such setting"), "{said}");
        }
        let unknown = payload(r#"{"x":1}"#).unwrap_err();
        let listed = unknown
            .split("expected one of")
            .nth(1)
            .unwrap()
            .matches('`')
            .count()
            / 2;
        assert_eq!(listed, names(SCHEMA).len(), "{unknown}");
    }
}
