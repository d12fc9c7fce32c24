//! The engine's API, as little of it as tests need, with no client but a socket: what is tested has the real one.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{Engine, EngineError};

/// Longest that the engine may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// The socket of an engine with that folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("sock")
}

/// One request and its answer: the HTTP status and the body.
///
/// # Errors
/// The engine is not there, or hangs up.
pub fn ask(folder: &Path, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket(folder))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let kind = if path.starts_with("/images") {
        "application/x-tar"
    } else {
        "application/json"
    };
    // With 1.0, the end of the connection is the end of the answer.
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&answer[..end.unwrap_or(0)]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (end, status) {
        (Some(end), Some(status)) => Ok((status, answer.split_off(end + 4))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Engine {
    /// One request and its answer: the HTTP status, whatever it is, and the body.
    ///
    /// # Errors
    /// The engine is not there, or hangs up.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        ask(&self.folder, method, path, body)
    }

    /// The body of the answer to a request that must succeed.
    ///
    /// # Errors
    /// It did not.
    pub fn must(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, EngineError> {
        match self.ask(method, path, body)? {
            (200..300, answer) => Ok(answer),
            (status, answer) => Err(EngineError::Refused {
                request: format!("{method} {path}"),
                status,
                said: String::from_utf8_lossy(&answer).trim().to_owned(),
            }),
        }
    }

    /// What the engine says to a question.
    ///
    /// # Errors
    /// It says nothing, or no.
    pub fn get(&self, path: &str) -> Result<Value, EngineError> {
        Ok(serde_json::from_slice(&self.must("GET", path, b"")?)?)
    }

    /// Makes a container of the engine's image; `members` are those of its description. Its id.
    ///
    /// # Errors
    /// It is not made.
    pub fn create(&self, name: &str, members: &Value) -> Result<String, EngineError> {
        let mut body = members.clone();
        body["Image"] = self.image.into();
        let path = format!("/containers/create?name={name}");
        let made = self.must("POST", &path, body.to_string().as_bytes())?;
        let made: Value = serde_json::from_slice(&made)?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// All containers, running or not, as the engine lists them.
    ///
    /// # Errors
    /// The engine does not say.
    pub fn containers(&self) -> Result<Vec<Value>, EngineError> {
        let listed = self.get("/containers/json?all=1")?;
        Ok(listed.as_array().cloned().unwrap_or_default())
    }

    /// Kills and removes a container.
    ///
    /// # Errors
    /// It is not there, or cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), EngineError> {
        self.must("DELETE", &format!("/containers/{id}?force=1"), b"")?;
        Ok(())
    }
}
