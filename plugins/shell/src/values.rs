//! The single values of payload and settings: how they are written, and which make sense.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytesize::ByteSize;
use queuectl_plugin_api::{Resource, Rlimit};
use serde::Deserialize;

/// A number, or a text that stands for one.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a limit is a number that is not negative, a size such as 64MiB, or unlimited"
)]
pub enum Scalar {
    Whole(u64),
    Text(String),
}

impl Scalar {
    /// A size or a count; none stands for no limit.
    fn value(&self, name: &str, bytes: bool) -> Result<Option<u64>, String> {
        let text = match self {
            Scalar::Whole(value) => return Ok(Some(*value)),
            Scalar::Text(text) if text == "unlimited" => return Ok(None),
            Scalar::Text(text) => text,
        };
        let value = if bytes {
            text.parse::<ByteSize>().ok().map(|size| size.as_u64())
        } else {
            text.parse().ok()
        };
        value.map(Some).ok_or_else(|| {
            let takes = if bytes {
                "a number of bytes, a size such as 64MiB"
            } else {
                "a number"
            };
            format!("invalid value '{text}' for {name}: expected {takes}, or unlimited")
        })
    }
}

/// A limit for all processes of the job together. `unlimited` lifts one that the settings put on.
pub fn total(name: &str, scalar: &Scalar) -> Result<Option<u64>, String> {
    match scalar.value(name, name == "memory")? {
        Some(0) => Err(format!("{name} of 0 lets nothing run")),
        value => Ok(value),
    }
}

/// Which variables of the node a job inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Names")]
pub enum Inherit {
    #[default]
    All,
    Only(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "env is inherit, clear, or a list of names")]
enum Names {
    Word(String),
    List(Vec<String>),
}

impl TryFrom<Names> for Inherit {
    type Error = String;

    fn try_from(names: Names) -> Result<Self, String> {
        match names {
            Names::Word(word) if word == "inherit" => Ok(Inherit::All),
            Names::Word(word) if word == "clear" => Ok(Inherit::Only(Vec::new())),
            Names::Word(word) => Err(format!(
                "invalid value '{word}' for env: expected inherit, clear, or a list of names"
            )),
            Names::List(names) => {
                let stem = |name: &String| name.strip_suffix('*').unwrap_or(name).to_owned();
                let bad = |name: &&String| name.is_empty() || stem(name).contains(['=', '*', '\0']);
                match names.iter().find(bad) {
                    Some(name) => Err(format!(
                        "'{name}' is not the name of a variable; a * is allowed only at its end"
                    )),
                    None => Ok(Inherit::Only(names)),
                }
            }
        }
    }
}

impl FromStr for Inherit {
    type Err = String;

    /// As a setting: `inherit`, `clear`, or names with commas.
    fn from_str(text: &str) -> Result<Self, String> {
        Inherit::try_from(match text.trim() {
            word @ ("inherit" | "clear") => Names::Word(word.to_owned()),
            list => Names::List(list.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }
}

/// A file mode creation mask. A text, for JSON knows no octal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Umask(pub u32);

impl TryFrom<String> for Umask {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Umask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mask| digits && *mask <= 0o777)
            .map(Umask)
            .ok_or_else(|| format!("'{text}' is not a umask; write octal digits such as 027, up to 777"))
    }
}

/// A niceness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Nice(pub i32);

impl TryFrom<i64> for Nice {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        i32::try_from(value)
            .ok()
            .filter(|nice| (-20..=19).contains(nice))
            .map(Nice)
            .ok_or_else(|| format!("nice is {value}, which is out of range; use -20 (first) to 19 (last)"))
    }
}

/// Limits of the operating system, by resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Pair>")]
pub struct Rlimits(pub BTreeMap<Resource, Rlimit>);

/// One value for both, or each by its name.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an rlimit is a number that is not negative, a size such as 64MiB, unlimited, or an object with soft and hard"
)]
enum Pair {
    Both(Scalar),
    Each(Named),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    soft: Option<Scalar>,
    hard: Option<Scalar>,
}

/// Names, what they stand for, and whether they are bytes.
const RESOURCES: [(&str, Resource, bool); 9] = [
    ("cpu", Resource::Cpu, false),
    ("nofile", Resource::Nofile, false),
    ("core", Resource::Core, true),
    ("fsize", Resource::Fsize, true),
    ("as", Resource::As, true),
    ("nproc", Resource::Nproc, false),
    ("stack", Resource::Stack, true),
    ("data", Resource::Data, true),
    ("memlock", Resource::Memlock, true),
];

fn limit(name: &str, pair: &Pair) -> Result<(Resource, Rlimit), String> {
    let Some((_, resource, bytes)) = RESOURCES.iter().find(|(known, ..)| *known == name) else {
        let known: Vec<&str> = RESOURCES.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "there is no rlimit '{name}'; there are {}",
            known.join(", ")
        ));
    };
    let value = |scalar: &Scalar| Ok::<_, String>(scalar.value(name, *bytes)?.unwrap_or(Rlimit::UNLIMITED));
    let limit = match pair {
        Pair::Both(scalar) => {
            let soft = value(scalar)?;
            // At the hard limit there is a SIGKILL that explains nothing: let the SIGXCPU of the soft one come first.
            let hard = if *resource == Resource::Cpu {
                soft.saturating_add(1)
            } else {
                soft
            };
            Rlimit {
                soft: Some(soft),
                hard: Some(hard),
            }
        }
        Pair::Each(Named {
            soft: None,
            hard: None,
        }) => {
            return Err(format!("the rlimit {name} has neither soft nor hard"));
        }
        Pair::Each(Named { soft, hard }) => Rlimit {
            soft: soft.as_ref().map(value).transpose()?,
            hard: hard.as_ref().map(value).transpose()?,
        },
    };
    match (limit.soft, limit.hard) {
        (Some(soft), Some(hard)) if soft > hard => {
            Err(format!("the soft rlimit {name} is above the hard one"))
        }
        _ => Ok((*resource, limit)),
    }
}

impl TryFrom<BTreeMap<String, Pair>> for Rlimits {
    type Error = String;

    fn try_from(map: BTreeMap<String, Pair>) -> Result<Self, String> {
        map.iter()
            .map(|(name, pair)| limit(name, pair))
            .collect::<Result<_, _>>()
            .map(Rlimits)
    }
}

impl FromStr for Rlimits {
    type Err = String;

    /// As a setting: `core=0,nofile=256:1024`.
    fn from_str(text: &str) -> Result<Self, String> {
        let entry = |entry: &str| {
            let (name, value) = entry
                .split_once('=')
                .ok_or_else(|| format!("'{entry}' is not an rlimit; write NAME=VALUE or NAME=SOFT:HARD"))?;
            let scalar = |text: &str| Scalar::Text(text.trim().to_owned());
            let pair = match value.split_once(':') {
                Some((soft, hard)) => Pair::Each(Named {
                    soft: Some(scalar(soft)),
                    hard: Some(scalar(hard)),
                }),
                None => Pair::Both(scalar(value)),
            };
            limit(name.trim(), &pair)
        };
        text.split(',')
            .map(|part| entry(part.trim()))
            .collect::<Result<_, String>>()
            .map(Rlimits)
    }
}

/// Checks that there is such a user, with such a group, on this machine.
#[cfg(unix)]
pub fn check_user(text: &str) -> Result<(), String> {
    use nix::unistd::{Group, User};
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    // A directory that does not answer now may do so when the job runs.
    let absent = |found: nix::Result<bool>| matches!(found, Ok(false));
    if !is_number(user) && absent(User::from_name(user).map(|user| user.is_some())) {
        return Err(format!(
            "there is no user '{}' on this machine",
            user.escape_debug()
        ));
    }
    match group {
        Some(group) if !is_number(group) && absent(Group::from_name(group).map(|group| group.is_some())) => {
            Err(format!(
                "there is no group '{}' on this machine",
                group.escape_debug()
            ))
        }
        _ => Ok(()),
    }
}

/// The host refuses any.
#[cfg(not(unix))]
pub fn check_user(_text: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn umasks_are_octal() {
        assert_eq!(
            ["027", "0", "0777"].map(|text| text.parse::<Umask>().unwrap().0),
            [0o27, 0, 0o777]
        );
        for bad in ["", "8", "1777", "-1", "+7", "00000", "rwx"] {
            assert!(bad.parse::<Umask>().is_err(), "{bad}");
        }
        assert!(read::<Umask>("22").is_err(), "a decimal number would be misread");
    }

    #[test]
    fn environments_are_words_or_lists() {
        assert_eq!(read(r#""inherit""#), Ok(Inherit::All));
        assert_eq!(read(r#""clear""#), Ok(Inherit::Only(vec![])));
        let some = Inherit::Only(vec!["PATH".into(), "LC_*".into()]);
        assert_eq!(read(r#"["PATH","LC_*"]"#).as_ref(), Ok(&some));
        assert_eq!("PATH, LC_*".parse(), Ok(some));
        assert_eq!("clear".parse(), Ok(Inherit::Only(vec![])));
        for bad in [r#""all""#, r#"["A=B"]"#, r#"["*A"]"#, r#"[""]"#, "5"] {
            assert!(read::<Inherit>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rlimits_have_one_or_two_values() {
        let read = |json: &str| read::<Rlimits>(json).map(|limits| limits.0);
        let one = |resource, soft, hard| BTreeMap::from([(resource, Rlimit { soft, hard })]);
        let nofile = |soft, hard| one(Resource::Nofile, soft, hard);
        assert_eq!(read(r#"{"nofile":256}"#), Ok(nofile(Some(256), Some(256))));
        assert_eq!(read(r#"{"nofile":{"soft":256}}"#), Ok(nofile(Some(256), None)));
        assert_eq!(
            read(r#"{"as":"1GiB"}"#),
            Ok(one(Resource::As, Some(1 << 30), Some(1 << 30)))
        );
        assert_eq!(
            read(r#"{"core":"unlimited"}"#),
            Ok(one(Resource::Core, Some(u64::MAX), Some(u64::MAX)))
        );
        assert_eq!(
            read(r#"{"cpu":3}"#),
            Ok(one(Resource::Cpu, Some(3), Some(4))),
            "SIGXCPU comes before SIGKILL"
        );
        let setting = |text: &str| text.parse::<Rlimits>().map(|limits| limits.0);
        assert_eq!(setting("nofile=256:1024"), Ok(nofile(Some(256), Some(1024))));
        assert_eq!(setting("core=0, nofile=7").unwrap().len(), 2);
        for (bad, wanted) in [
            (r#"{"files":1}"#, "no rlimit 'files'"),
            (r#"{"nofile":-1}"#, "not negative"),
            (r#"{"nofile":"1MiB"}"#, "'1MiB'"),
            (r#"{"nofile":{}}"#, "neither"),
            (r#"{"nofile":{"soft":2,"hard":1}}"#, "above"),
            (r#"{"nofile":{"sof":2}}"#, "soft and hard"),
        ] {
            assert!(read(bad).unwrap_err().contains(wanted), "{bad}: {:?}", read(bad));
        }
        assert!(setting("nofile").is_err());
    }

    #[test]
    fn totals_are_sizes_or_numbers() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        assert_eq!(total("memory", &text("64MiB")), Ok(Some(64 << 20)));
        assert_eq!(total("memory", &text("unlimited")), Ok(None));
        assert_eq!(total("pids", &Scalar::Whole(5)), Ok(Some(5)));
        assert!(total("pids", &text("5MiB")).is_err());
        assert!(total("memory", &Scalar::Whole(0)).is_err());
    }
}
