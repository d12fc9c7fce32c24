//! The executor's own settings: `config:set wasm.KEY VALUE`.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use queuectl_plugin_api::Error;

use crate::size::Size;

/// JSON Schema of the settings.
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "cache_dir": {"type": "string", "description": "Folder for compiled modules, an absolute path; none for no such folder"},
    "max_memory": {"type": ["string", "integer"], "default": "4GiB", "description": "Most memory that a job may ask for"},
    "allow_dirs": {"type": "boolean", "default": true, "description": "Whether jobs may ask for folders"}
  }
}"#;

/// What was set.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chosen {
    /// Where compiled code is kept; see [`Chosen::cache_folder`].
    pub cache_dir: Option<String>,
    /// Most memory that a job may ask for.
    pub max_memory: Size,
    /// Whether jobs may ask for folders.
    pub allow_dirs: bool,
}

impl Default for Chosen {
    fn default() -> Self {
        Chosen {
            cache_dir: None,
            max_memory: Size(4 << 30),
            allow_dirs: true,
        }
    }
}

impl Chosen {
    /// Where compiled modules are kept on disk: what was set, else below the user's cache folder; none for nowhere.
    pub fn cache_folder(&self) -> Result<Option<PathBuf>, Error> {
        match self.cache_dir.as_deref() {
            Some("none") => Ok(None),
            Some(folder) if PathBuf::from(folder).is_absolute() => Ok(Some(folder.into())),
            Some(folder) => Err(Error::new(format!(
                "settings: wasm.cache_dir '{folder}' is not an absolute path; give one, or `none` to keep no code"
            ))),
            // Without a home there is no cache folder either, and the executor works all the same.
            None => Ok(etcetera::choose_base_strategy()
                .ok()
                .map(|base| base.cache_dir().join("queuectl").join("wasm"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use queuectl_plugin_api::Settings;

    use super::*;

    fn chosen(settings: &str) -> Result<Chosen, Error> {
        Settings::from_json(&format!(r#"{{"settings":{settings}}}"#))
            .unwrap()
            .typed()
    }

    #[test]
    fn settings_are_read_as_texts() {
        let set = chosen(r#"{"cache_dir":"/c","max_memory":"1GiB","allow_dirs":"false"}"#).unwrap();
        assert_eq!(set.cache_folder().unwrap(), Some(PathBuf::from("/c")));
        assert_eq!((set.max_memory, set.allow_dirs), (Size(1 << 30), false));
        assert_eq!(
            chosen(r#"{"cache_dir":"none"}"#).unwrap().cache_folder().unwrap(),
            None
        );
        assert!(chosen(r#"{"cache_dir":"c"}"#).unwrap().cache_folder().is_err());
        assert!(
            chosen(r#"{"cash_dir":"c"}"#)
                .unwrap_err()
                .to_string()
                .contains("cash_dir")
        );
        let defaults = chosen("{}").unwrap();
        assert!(defaults.allow_dirs && defaults.max_memory == Size(4 << 30));
    }

    #[test]
    fn the_schema_has_the_settings_that_are_read() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["allow_dirs", "cache_dir", "max_memory"]);
    }
}
