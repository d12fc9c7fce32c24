//! From a job's request to the container it asks for, as far as the operator allows it.
//!
//! Nothing here talks to an engine: the same is used to check a job before it is stored.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType};
use queuectl_plugin_api::{Command, Request};

use crate::auth;
use crate::engine::LOCAL;
use crate::image::Image;
use crate::payload::{self, Payload, Pull};
use crate::settings::{Policy, is_source};

/// The capabilities that containers have unless they are dropped; to name them again asks for nothing.
const USUAL_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What the engine keeps of a container's output, for somebody who takes it over: the newest gibibyte, or half of it.
/// Not compressed, because it is read at most once.
const LOG_OPTIONS: [(&str, &str); 3] = [("max-size", "512m"), ("max-file", "2"), ("compress", "false")];

/// What a job asks for.
#[derive(Debug)]
pub struct Spec {
    pub image: Image,
    pub pull: Vec<Pull>,
    /// The registry whose credentials a pull uses.
    pub auth: Option<String>,
    /// The container, without name and labels.
    pub body: ContainerCreateBody,
    pub stdin: Option<String>,
    /// Whether the engine's own process 1 is wanted; none: if it has one.
    pub init: Option<bool>,
}

impl Spec {
    /// Reads and checks a request.
    ///
    /// # Errors
    /// What is wrong with it, or not allowed.
    pub fn new(request: &Request, policy: &Policy) -> Result<Spec, String> {
        let payload: Payload = request.payload().map_err(|error| error.to_string())?;
        let image = Image::parse(&payload.image)?;
        if let Some(registry) = &payload.auth {
            auth::check(registry, &image)?;
        }
        if payload.pull.is_empty() {
            return Err("payload.pull has no policy; give at least one of missing, always, never".to_owned());
        }
        if let Some(workdir) = payload.workdir.as_deref().filter(|path| !path.starts_with('/')) {
            return Err(format!(
                "payload.workdir '{}' is not an absolute path in the container",
                workdir.escape_debug()
            ));
        }
        if payload.pids == Some(0) {
            return Err("invalid value '0' for pids: expected a number from 1".to_owned());
        }
        let body = ContainerCreateBody {
            image: Some(image.text.clone()),
            cmd: arguments(request, &payload)?,
            env: Some(environment(request, &payload)?),
            user: payload.user.clone(),
            working_dir: payload.workdir.clone(),
            open_stdin: Some(request.stdin().is_some()),
            // The container's standard input ends when it has all of it.
            stdin_once: Some(request.stdin().is_some()),
            host_config: Some(host_config(&payload, policy)?),
            // An empty list is no entry point, which the API writes like this.
            entrypoint: payload.entrypoint.map(|words| match words.is_empty() {
                true => vec![String::new()],
                false => words,
            }),
            ..ContainerCreateBody::default()
        };
        Ok(Spec {
            image,
            pull: payload.pull,
            auth: payload.auth,
            body,
            init: payload.init,
            stdin: request.stdin().map(str::to_owned),
        })
    }

    /// The memory limit in bytes.
    pub fn memory(&self) -> Option<i64> {
        self.body.host_config.as_ref().and_then(|host| host.memory)
    }
}

fn arguments(request: &Request, payload: &Payload) -> Result<Option<Vec<String>>, String> {
    match (request.command(), &payload.args) {
        (Some(_), Some(_)) => Err(
            "the job has a command and payload.args, which are the same thing here; give one of them"
                .to_owned(),
        ),
        (Some(Command::Argv(words)), None) => Ok(Some(words.clone())),
        (Some(Command::Line(line)), None) => Ok(Some(["sh", "-c", "--", line].map(str::to_owned).to_vec())),
        (None, args) => Ok(args.clone()),
    }
}

fn environment(request: &Request, payload: &Payload) -> Result<Vec<String>, String> {
    let mut env = request.env().clone();
    env.extend(payload.env.clone());
    let odd = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(name) = env.keys().find(odd) {
        return Err(format!(
            "'{}' is not the name of an environment variable",
            name.escape_debug()
        ));
    }
    Ok(env
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

fn host_config(payload: &Payload, policy: &Policy) -> Result<HostConfig, String> {
    check_privileges(payload, policy)?;
    let memory = payload.memory.map(|limit| limit.0);
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let mounts: Vec<Mount> = payload
        .mounts
        .iter()
        .map(|mount| mount_of(mount, policy))
        .collect::<Result<_, _>>()?;
    Ok(HostConfig {
        memory,
        // With swap on top, a limit would only make the job slow.
        memory_swap: memory,
        nano_cpus: payload.cpus.map(|cpus| cpus.0),
        pids_limit: payload.pids.map(i64::from),
        network_mode: payload.network.clone(),
        readonly_rootfs: Some(payload.read_only),
        privileged: Some(payload.privileged),
        cap_add: some(&payload.cap_add),
        cap_drop: some(&payload.cap_drop),
        mounts: Some(mounts),
        log_config: Some(HostConfigLogConfig {
            typ: Some(LOCAL.to_owned()),
            config: Some(HashMap::from(
                LOG_OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned())),
            )),
        }),
        ..HostConfig::default()
    })
}

/// Refuses what gives a job power over the host, unless that is allowed.
fn check_privileges(payload: &Payload, policy: &Policy) -> Result<(), String> {
    if policy.privileged {
        return Ok(());
    }
    let usual = |name: &&String| {
        let name = name.to_ascii_uppercase();
        USUAL_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
    };
    let network = payload.network.as_deref().unwrap_or_default();
    let asked = if payload.privileged {
        "payload.privileged".to_owned()
    } else if let Some(name) = payload.cap_add.iter().find(|name| !usual(name)) {
        format!("the capability '{}'", name.escape_debug())
    } else if network == "host" || network.starts_with("container:") || network.starts_with("ns:") {
        format!("the network '{}'", network.escape_debug())
    } else {
        return Ok(());
    };
    Err(format!(
        "{asked} is not allowed: it gives a job power over the host; an operator can allow it with `queuectl \
         config:set docker.allow_privileged true`"
    ))
}

fn mount_of(mount: &payload::Mount, policy: &Policy) -> Result<Mount, String> {
    let source = mount.source.as_str();
    let shown = source.escape_debug();
    if !is_source(source) {
        return Err(format!(
            "the source '{shown}' of a mount is neither an absolute path without '..' nor a volume's name"
        ));
    }
    if !mount.target.starts_with('/') {
        let target = mount.target.escape_debug();
        return Err(format!(
            "the target '{target}' of a mount is not an absolute path in the container"
        ));
    }
    if !policy.mounts.allow(source) {
        return Err(format!(
            "mounting '{shown}' is not allowed; an operator can allow it with `queuectl config:set \
             docker.allow_mounts`, which takes none, all, or a list of folders and volumes"
        ));
    }
    Ok(Mount {
        source: Some(source.to_owned()),
        target: Some(mount.target.clone()),
        typ: Some(if source.starts_with('/') {
            MountType::BIND
        } else {
            MountType::VOLUME
        }),
        read_only: Some(mount.read_only),
        ..Mount::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Mounts;

    fn request(json: &str) -> Request {
        serde_json::from_str(json).unwrap()
    }

    fn spec(json: &str, policy: &Policy) -> Result<Spec, String> {
        Spec::new(&request(json), policy)
    }

    #[test]
    fn a_request_becomes_a_container() {
        let spec = spec(
            r#"{"command":"echo $A","env":{"A":"1","B":"2"},"cwd":"/host","stdin":"in",
                "payload":{"image":"a","env":{"B":"3"},"entrypoint":[],"memory":"16MiB"}}"#,
            &Policy::default(),
        )
        .unwrap();
        let body = &spec.body;
        assert_eq!(body.cmd.as_deref().unwrap(), ["sh", "-c", "--", "echo $A"]);
        assert_eq!(body.env.as_deref().unwrap(), ["A=1", "B=3"]);
        assert_eq!(body.entrypoint.as_deref().unwrap(), [""]);
        assert_eq!(body.working_dir, None, "the host's folder means nothing there");
        assert_eq!(body.stdin_once, Some(true));
        assert_eq!((spec.memory(), spec.pull.len()), (Some(16 << 20), 1));
        assert_eq!(body.host_config.as_ref().unwrap().memory_swap, Some(16 << 20));
    }

    #[test]
    fn without_a_command_the_arguments_or_the_image_say_what_runs() {
        let cmd = |json: &str| spec(json, &Policy::default()).map(|spec| spec.body.cmd);
        assert_eq!(cmd(r#"{"payload":{"image":"a"}}"#), Ok(None));
        let args = cmd(r#"{"payload":{"image":"a","args":["x"]}}"#);
        assert_eq!(args, Ok(Some(vec!["x".to_owned()])));
        assert!(cmd(r#"{"command":"y","payload":{"image":"a","args":["x"]}}"#).is_err());
    }

    #[test]
    fn power_over_the_host_must_be_allowed() {
        let allowed = Policy {
            mounts: Mounts::All,
            privileged: true,
        };
        for (field, says) in [
            (r#""privileged":true"#, "allow_privileged"),
            (r#""cap_add":["SYS_ADMIN"]"#, "SYS_ADMIN"),
            (r#""cap_add":["ALL"]"#, "ALL"),
            (r#""network":"host""#, "'host'"),
            (r#""network":"container:x""#, "allow_privileged"),
            (r#""mounts":[{"source":"/","target":"/h"}]"#, "allow_mounts"),
            (r#""mounts":[{"source":"v","target":"/h"}]"#, "allow_mounts"),
        ] {
            let json = format!(r#"{{"payload":{{"image":"a",{field}}}}}"#);
            let error = spec(&json, &Policy::default()).unwrap_err();
            assert!(error.contains(says), "{json}: {error}");
            assert!(spec(&json, &allowed).is_ok(), "{json}");
        }
        let harmless =
            r#"{"payload":{"image":"a","cap_drop":["ALL"],"cap_add":["cap_chown"],"network":"none"}}"#;
        assert!(spec(harmless, &Policy::default()).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (payload, says) in [
            (r#"{"image":"a b"}"#, "'a b'"),
            (r#"{"image":"a","workdir":"x"}"#, "'x'"),
            (r#"{"image":"a","pids":0}"#, "pids"),
            (r#"{"image":"a","pull":[]}"#, "payload.pull"),
            (r#"{"image":"a","env":{"A=B":"c"}}"#, "'A=B'"),
            (
                r#"{"image":"a","mounts":[{"source":"x/y","target":"/"}]}"#,
                "'x/y'",
            ),
            (r#"{"image":"a","mounts":[{"source":"/x","target":"y"}]}"#, "'y'"),
            (r#"{"image":"a","auth":"ghcr.io"}"#, "'ghcr.io'"),
        ] {
            let error = spec(&format!(r#"{{"payload":{payload}}}"#), &Policy::default()).unwrap_err();
            assert!(error.contains(says), "{payload}: {error}");
        }
    }
}
