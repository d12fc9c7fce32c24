//! Images: what their names mean, and getting them to the engine.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use crate::engine::{Problem, call};
use crate::payload::Pull;

/// The registry of images whose name names none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// The name of an image, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As the job wrote it.
    pub text: String,
    /// Without tag and digest.
    name: String,
    /// Tag or digest.
    version: String,
}

impl Image {
    /// Takes a name apart.
    ///
    /// # Errors
    /// It cannot be one.
    pub fn parse(text: &str) -> Result<Image, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
        // It becomes a part of paths of the API.
        let odd = text.is_empty()
            || !text.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !text.chars().all(plain)
            || text
                .split('/')
                .any(|part| part.is_empty() || part.starts_with('.'));
        if odd {
            return Err(format!(
                "'{}' is not the name of an image; write it as NAME, NAME:TAG or NAME@DIGEST",
                text.escape_debug()
            ));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to a registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        Ok(Image {
            text: text.to_owned(),
            name: name.to_owned(),
            version: digest.or(tag).unwrap_or("latest").to_owned(),
        })
    }

    /// The registry it comes from.
    pub fn registry(&self) -> &str {
        match self.name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => DEFAULT_REGISTRY,
        }
    }
}

/// Sees to it that the engine has the image: each way in turn, until one works. `tell` hears of what takes time.
///
/// # Errors
/// The engine is away, or no way worked and why.
pub async fn provide(
    docker: &Docker,
    image: &Image,
    ways: &[Pull],
    credentials: Option<&DockerCredentials>,
    tell: impl Fn(&str),
) -> Result<(), Problem> {
    let mut failures = Vec::new();
    for way in ways {
        let result = match way {
            Pull::Always => {
                tell(&image.text);
                pull(docker, image, credentials).await
            }
            Pull::Never if is_there(docker, image).await? => Ok(()),
            Pull::Never => Err("the engine does not have it".to_owned()),
            Pull::Missing if is_there(docker, image).await? => Ok(()),
            Pull::Missing => {
                tell(&image.text);
                pull(docker, image, credentials).await
            }
        };
        match result {
            Ok(()) => return Ok(()),
            Err(why) => failures.push(format!("pull '{}': {why}", way.name())),
        }
    }
    Err(Problem::Other(format!(
        "the image '{}' is not to be had ({}); build or pull it on the engine's host, or correct its name",
        image.text,
        failures.join("; ")
    )))
}

async fn is_there(docker: &Docker, image: &Image) -> Result<bool, Problem> {
    match call(docker.inspect_image(&image.text)).await {
        Ok(_) => Ok(true),
        Err(problem) if problem.is_missing() => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// Pulls the image; why not, if it fails. How long that may take is up to the job's own limit.
async fn pull(docker: &Docker, image: &Image, credentials: Option<&DockerCredentials>) -> Result<(), String> {
    let options = CreateImageOptionsBuilder::new()
        .from_image(&image.name)
        .tag(&image.version)
        .build();
    let mut progress = docker.create_image(Some(options), None, credentials.cloned());
    while let Some(step) = progress.next().await {
        step.map_err(|error| match Problem::from(error) {
            Problem::Away(text) | Problem::Refused(_, text) | Problem::Other(text) => text,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let image = Image::parse(text).unwrap();
        (image.registry().to_owned(), image.name.clone(), image.version)
    }

    #[test]
    fn names_are_taken_apart() {
        let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parts("alpine"), owned("docker.io", "alpine", "latest"));
        assert_eq!(parts("a/b:1.2"), owned("docker.io", "a/b", "1.2"));
        assert_eq!(
            parts("localhost:5000/a"),
            owned("localhost:5000", "localhost:5000/a", "latest")
        );
        assert_eq!(
            parts("ghcr.io/a/b:1@sha256:00"),
            owned("ghcr.io", "ghcr.io/a/b", "sha256:00")
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "a b",
            "../containers/x",
            "a/../b",
            "/a",
            "a//b",
            "a?b=c",
            "-a",
            "a\n",
        ] {
            assert!(Image::parse(bad).is_err(), "{bad:?}");
        }
    }
}
