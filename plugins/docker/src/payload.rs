//! A job's own payload: what the container is like.
//!
//! Only its form is checked here; what a job may ask for is checked where the container is described.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use serde::Deserialize;

/// JSON Schema of the payload.
pub const SCHEMA: &str = include_str!("payload.json");

/// What a job says about its container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub mounts: Vec<Mount>,
    pub network: Option<String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub memory: Option<Memory>,
    pub cpus: Option<Cpus>,
    pub pids: Option<u32>,
    #[serde(default)]
    pub read_only: bool,
    pub init: Option<bool>,
    #[serde(default)]
    pub cap_add: Vec<String>,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub privileged: bool,
    #[serde(default = "missing")]
    pub pull: Vec<Pull>,
    pub auth: Option<String>,
}

fn missing() -> Vec<Pull> {
    vec![Pull::Missing]
}

/// Something of the host, or a volume, in the container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    pub source: String,
    pub target: String,
    #[serde(default)]
    pub read_only: bool,
}

/// How to come by an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// Take the one that is there, else pull it.
    Missing,
    /// Pull it, whatever is there.
    Always,
    /// Take the one that is there.
    Never,
}

impl Pull {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Pull::Missing => "missing",
            Pull::Always => "always",
            Pull::Never => "never",
        }
    }
}

/// A number, or a text that stands for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(u64),
    Decimal(f64),
    Text(String),
}

/// A memory limit in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub struct Memory(pub i64);

impl TryFrom<Scalar> for Memory {
    type Error = String;

    fn try_from(value: Scalar) -> Result<Self, String> {
        let (bytes, text) = match value {
            Scalar::Whole(bytes) => (Some(bytes), bytes.to_string()),
            Scalar::Decimal(number) => (None, number.to_string()),
            Scalar::Text(text) => (text.parse::<ByteSize>().ok().map(|size| size.as_u64()), text),
        };
        bytes
            .and_then(|bytes| i64::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0)
            .map(Memory)
            .ok_or_else(|| {
                format!(
                    "invalid value '{text}' for memory: expected a number of bytes or a size such as 512MiB"
                )
            })
    }
}

/// A limit of processor time, in billionths of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub struct Cpus(pub i64);

impl TryFrom<Scalar> for Cpus {
    type Error = String;

    fn try_from(value: Scalar) -> Result<Self, String> {
        let (cpus, text) = match value {
            Scalar::Whole(cpus) => (Some(cpus as f64), cpus.to_string()),
            Scalar::Decimal(cpus) => (Some(cpus), cpus.to_string()),
            Scalar::Text(text) => (text.trim().parse::<f64>().ok(), text),
        };
        cpus.filter(|cpus| (0.001..=100_000.0).contains(cpus))
            .map(|cpus| Cpus((cpus * 1e9).round() as i64))
            .ok_or_else(|| {
                format!(
                    "invalid value '{text}' for cpus: expected a decimal number of processors such as 0.5"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Payload, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_and_shares_have_two_forms() {
        let with = |memory: &str, cpus: &str| {
            let payload = read(&format!(r#"{{"image":"a","memory":{memory},"cpus":{cpus}}}"#)).unwrap();
            (payload.memory.unwrap().0, payload.cpus.unwrap().0)
        };
        assert_eq!(with("1024", "2"), (1024, 2_000_000_000));
        assert_eq!(with(r#""512MiB""#, r#""0.5""#), (512 << 20, 500_000_000));
        assert_eq!(with(r#""1 GB""#, "1.25"), (1_000_000_000, 1_250_000_000));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (json, says) in [
            ("{}", "image"),
            (r#"{"image":"a","imagee":"b"}"#, "imagee"),
            (
                r#"{"image":"a","memory":"much"}"#,
                "invalid value 'much' for memory",
            ),
            (r#"{"image":"a","memory":0}"#, "invalid value '0' for memory"),
            (r#"{"image":"a","cpus":-1}"#, "invalid value '-1' for cpus"),
            (r#"{"image":"a","cpus":"x"}"#, "invalid value 'x' for cpus"),
            (r#"{"image":"a","pull":["sometimes"]}"#, "sometimes"),
            (r#"{"image":"a","mounts":[{"source":"/a"}]}"#, "target"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
        }
    }

    #[test]
    fn the_schema_names_every_field_and_no_other() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let error = read(r#"{"image":"a","?":1}"#).unwrap_err();
        // The message lists what is expected: `image`, `entrypoint`, ...
        let fields: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        let mut named: Vec<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut known = fields.clone();
        known.sort_unstable();
        named.sort_unstable();
        assert_eq!(known, named);
    }
}
