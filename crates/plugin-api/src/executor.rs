//! The trait that a plugin implements, and the small types it answers with.
//!
//! Nothing here crosses the boundary itself; [`crate::glue`] does that.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::{Error, Exit, Host, Request, Run, RunHandle, StartError};

/// What a plugin says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// The executor's name, as jobs name it.
    pub name: &'static str,
    /// The plugin's own version.
    pub version: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Words for what it can do, for people to read.
    pub capabilities: &'static [&'static str],
    /// JSON Schema of the job's own `payload` object, as text; empty for none.
    #[serde(skip_serializing_if = "str::is_empty", serialize_with = "as_json")]
    pub schema: &'static str,
    /// JSON Schema of the settings that [`Settings::typed`] reads, as text; empty for none.
    #[serde(skip_serializing_if = "str::is_empty", serialize_with = "as_json")]
    pub settings_schema: &'static str,
}

impl Description {
    /// A description with nothing in it, to be filled in: `Description { name: "x", ..Description::EMPTY }`.
    pub const EMPTY: Description = Description {
        name: "",
        version: "",
        about: "",
        capabilities: &[],
        schema: "",
        settings_schema: "",
    };
}

/// The text is JSON itself; text that is not goes out as a string, which the conformance kit reports.
fn as_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::Serialize;
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => value.serialize(serializer),
        Err(_) => serializer.serialize_str(text),
    }
}

/// What an instance is made with.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The shell that the user chose for command lines; empty if none was said.
    pub shell: String,
    settings: BTreeMap<String, String>,
}

impl Settings {
    /// Reads what the host passed.
    ///
    /// # Errors
    /// It is not a JSON object of the expected form.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Ok(serde_json::from_str(text)?)
    }

    /// The text that was set for a key with `config:set EXECUTOR.key value`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// All that was set, read as `T`. Values arrive as texts; those that are JSON numbers or booleans may also be read
    /// as such.
    ///
    /// # Errors
    /// What does not fit `T`, in words.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let plain = |text: &String| match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => value,
            _ => serde_json::Value::String(text.clone()),
        };
        let object = self
            .settings
            .iter()
            .map(|(key, text)| (key.clone(), plain(text)))
            .collect();
        T::deserialize(serde_json::Value::Object(object))
            .map_err(|error| Error::new(format!("settings: {error}")))
    }
}

/// Who deals with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The plugin does, and reports the run's end.
    ByPlugin,
    /// The host does what it does by itself.
    ByHost,
}

/// How a run must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Its grace period runs from now.
    Graceful,
    /// At once.
    Kill,
}

/// An executor: what a plugin implements.
///
/// Methods may be called from any thread, for different runs at the same time. They must return promptly: long work
/// belongs in a process ([`Run::spawn`]) or on a thread of the plugin's own. A panic is caught and becomes a system
/// failure of the run.
pub trait Executor: Send + Sync + Sized + 'static {
    /// What the plugin says about itself.
    const DESCRIPTION: Description;

    /// Whether runs leave something outside of the worker process and of spawned processes that must be found again
    /// when the worker process dies (a container, say). Only then [`Executor::reattach`], [`Executor::recorded`],
    /// [`Executor::discard`] and [`Executor::reap`] are called.
    const KEEPS: bool = false;

    /// Makes an instance.
    ///
    /// # Errors
    /// Whatever keeps the executor from working at all; every job that names it is then a system failure.
    fn create(host: Host, settings: &Settings) -> Result<Self, Error>;

    /// Starts a run and returns at once. `Ok` means that it is under way: a process was spawned, the run was finished,
    /// or `run` was kept to be finished later. Dropping `run` without any of these is a system failure.
    ///
    /// # Errors
    /// [`StartError`] ends the run.
    fn start(&self, run: Run) -> Result<(), StartError>;

    /// The process spawned for `run` ended. [`Handled::ByHost`], the default, turns exit status 0 into success and all
    /// else into failure; [`Handled::ByPlugin`] promises that [`RunHandle::finish`] is called, now or later.
    fn exited(&self, run: RunHandle, exit: Exit) -> Handled {
        let _ = (run, exit);
        Handled::ByHost
    }

    /// Stops `run`. May be called repeatedly. [`Handled::ByHost`], the default, has the host stop the process it
    /// spawned. A run without a process ends only when the plugin finishes it.
    fn stop(&self, run: RunHandle, mode: StopMode) -> Handled {
        let _ = (run, mode);
        Handled::ByHost
    }

    /// Could jobs run now? May take a few seconds.
    ///
    /// # Errors
    /// Why not.
    fn fingerprint(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Is this a request that [`Executor::start`] could take? Called before a job is stored.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self, request: &Request) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// Passes a signal on to a run. [`Handled::ByHost`], the default, has the host signal the process it spawned.
    fn signal(&self, run: RunHandle, signal: i32) -> Handled {
        let _ = (run, signal);
        Handled::ByHost
    }

    /// Takes over a run whose worker process died, from what [`RunHandle::save_handle`] had saved. Otherwise like
    /// [`Executor::start`]. Give all of the output again, if possible.
    ///
    /// # Errors
    /// [`StartError`] ends the run.
    fn reattach(&self, run: Run, handle: &[u8]) -> Result<(), StartError> {
        let _ = (run, handle);
        Err(StartError::System(
            "this executor cannot take over runs".to_owned(),
        ))
    }

    /// The outcome of a run is durable: what was kept for [`Executor::reattach`] can go.
    fn recorded(&self, run: RunHandle) {
        let _ = run;
    }

    /// The same for a run whose worker process died before [`Executor::recorded`] was called, or may have: by the
    /// handle that was saved last. It may still go on, and it may all be gone already. Returns at once.
    fn discard(&self, handle: &[u8]) {
        let _ = handle;
    }

    /// Ends and removes whatever carries a mark ([`Run::mark`]) of this store, which is its part before the dot, whose
    /// mark is not among `alive`. Returns at once.
    fn reap(&self, store: &str, alive: &[String]) {
        let _ = (store, alive);
    }

    /// Numbers about the executor's work, for people who look for a fault.
    fn stats(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    /// No run is left and none will come.
    fn shutdown(&self) {}
}
