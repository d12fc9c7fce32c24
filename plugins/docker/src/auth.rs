//! Credentials for registries, as `docker login` stored them. A job names a registry, never a secret, and they go to
//! that registry only.
//!
//! Credential helpers are programs, and no programs are run here.

use std::collections::HashMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;

use crate::image::Image;

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    auths: HashMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// A registry's name without what differs from entry to entry: `https://index.docker.io/v1/` is `docker.io`.
fn plain(registry: &str) -> &str {
    let host = registry
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match host.split('/').next().unwrap_or(host) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// Checks that the credentials a job names are for the registry of its image; no other registry may see them.
///
/// # Errors
/// They are not.
pub fn check(auth: &str, image: &Image) -> Result<(), String> {
    if plain(auth) == plain(image.registry()) {
        return Ok(());
    }
    Err(format!(
        "payload.auth names the registry '{}', but the image comes from '{}'; credentials go to their own registry only",
        auth.escape_debug(),
        image.registry()
    ))
}

/// Looks the credentials for a registry up.
///
/// # Errors
/// There are none, in words that have no secret in them.
pub fn find(auth: &str) -> Result<DockerCredentials, String> {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".docker")))
        .unwrap_or_default();
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read credentials from {}: {error}", path.display()))?;
    look_up(&text, auth).map_err(|why| format!("{}: {why}", path.display()))
}

fn look_up(text: &str, auth: &str) -> Result<DockerCredentials, String> {
    // What the parser says about the place of a mistake could quote a secret.
    let file: File =
        serde_json::from_str(text).map_err(|_| "it is not JSON as `docker login` writes it".to_owned())?;
    let wanted = plain(auth);
    let entry = file.auths.into_iter().find(|(name, _)| plain(name) == wanted);
    let (name, entry) = entry.ok_or_else(|| {
        format!("it has no entry for '{wanted}'; run `docker login {wanted}` as the user of the node")
    })?;
    let pair = entry
        .auth
        .as_deref()
        .filter(|auth| !auth.is_empty())
        .and_then(|auth| BASE64_STANDARD.decode(auth).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) => (
            Some(user.to_owned()),
            Some(password.trim_end_matches('\0').to_owned()),
        ),
        None => (None, None),
    };
    let identitytoken = entry.identitytoken.filter(|token| !token.is_empty());
    if username.is_none() && identitytoken.is_none() {
        return Err(format!(
            "the entry for '{wanted}' has no credentials in it; those of a credential helper cannot be used here"
        ));
    }
    Ok(DockerCredentials {
        username,
        password,
        identitytoken,
        serveraddress: Some(name),
        ..DockerCredentials::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"auths":{
        "https://index.docker.io/v1/":{"auth":"bWU6cGE6c3M="},
        "ghcr.io":{"identitytoken":"t"},
        "helped.example":{}
    },"credsStore":"x"}"#;

    #[test]
    fn entries_are_found_by_registry() {
        let hub = look_up(FILE, "docker.io").unwrap();
        assert_eq!(
            (hub.username.as_deref(), hub.password.as_deref()),
            (Some("me"), Some("pa:ss"))
        );
        assert_eq!(
            look_up(FILE, "ghcr.io").unwrap().identitytoken.as_deref(),
            Some("t")
        );
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_is_given_away() {
        for (auth, says) in [("nowhere.example", "no entry"), ("helped.example", "helper")] {
            let error = look_up(FILE, auth).unwrap_err();
            assert!(error.contains(says) && error.contains(auth), "{error}");
        }
        let broken = look_up(r#"{"auths":{"a":{"auth":secret}}}"#, "a").unwrap_err();
        assert!(!broken.contains("secret"), "{broken}");
    }

    #[test]
    fn credentials_go_to_their_own_registry_only() {
        let image = |text| Image::parse(text).unwrap();
        assert_eq!(check("https://index.docker.io/v1/", &image("alpine")), Ok(()));
        assert_eq!(check("ghcr.io", &image("ghcr.io/a/b")), Ok(()));
        for (auth, name) in [
            ("ghcr.io", "evil.example/a"),
            ("ghcr.io", "alpine"),
            ("docker.io", "ghcr.io/a"),
        ] {
            assert!(check(auth, &image(name)).is_err(), "{auth} {name}");
        }
    }
}
