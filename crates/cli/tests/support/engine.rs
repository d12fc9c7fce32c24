//! The container engine of the tests, which panics instead of failing, and the reasons for which there may be none.

use std::sync::OnceLock;

use queuectl_test_engine::EngineError;
use serde_json::Value;

/// The image: a busybox in /bin and nothing else.
pub const IMAGE: &str = "queuectl-test:1";

/// `cargo xtask test` excuses a skipped test whose reason begins like this, in CI too.
const CANNOT_RUN: &str = "no container engine can run here";
const NOT_INSTALLED: &str = "no container engine could be installed here";

/// The engine.
pub struct Engine(queuectl_test_engine::Engine);

/// The one that most tests share; else why there is none.
pub fn shared() -> Result<&'static Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    ENGINE
        .get_or_init(|| Engine::start(&[]))
        .as_ref()
        .map_err(Clone::clone)
}

impl Engine {
    /// Starts one; `options` are for dockerd.
    pub fn start(options: &[&'static str]) -> Result<Engine, String> {
        if let Ok(why) = std::env::var("QUEUECTL_TEST_NO_ENGINE") {
            return Err(format!("{NOT_INSTALLED}: {why}"));
        }
        match queuectl_test_engine::Engine::start(IMAGE, options) {
            Ok(engine) => Ok(Engine(engine)),
            Err(EngineError::CannotRun(why)) => Err(format!("{CANNOT_RUN}: {why}")),
            // Not an excuse in CI.
            Err(why @ (EngineError::Missing(_) | EngineError::NotStatic)) => Err(why.to_string()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs dockerd again.
    pub fn run(&mut self) {
        self.0.run().unwrap();
    }

    /// Ends dockerd, as an upgrade does.
    pub fn stop(&mut self) {
        let mut dockerd = self.0.take_dockerd().unwrap();
        super::unix::send(
            i32::try_from(dockerd.id()).unwrap(),
            nix::sys::signal::Signal::SIGTERM,
        );
        super::done::wait_exit(&mut dockerd, "dockerd");
    }

    /// How jobs reach it.
    pub fn host(&self) -> String {
        self.0.host()
    }

    /// Makes a container; `members` are those of its description, beside the image.
    pub fn create(&self, name: &str, members: &Value) -> String {
        self.0.create(name, members).unwrap()
    }

    pub fn post(&self, path: &str) {
        self.0.must("POST", path, b"").unwrap();
    }

    /// Kills and removes a container.
    pub fn remove(&self, id: &str) {
        self.0.remove(id).unwrap();
    }

    /// What the engine says to a question.
    pub fn get(&self, path: &str) -> Value {
        self.0.get(path).unwrap()
    }

    /// The containers with that text in their name, running or not.
    pub fn containers(&self, part: &str) -> Vec<Value> {
        let mut all = self.0.containers().unwrap();
        all.retain(|container| container["Names"][0].as_str().unwrap().contains(part));
        all
    }
}
