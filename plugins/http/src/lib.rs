//! The `http` executor: a job is an HTTP request, its output is the body of the answer.
//!
//! Here are its settings and what the host calls. The work is elsewhere: what a payload may say in [`payload`], which
//! addresses may be reached in [`address`] and [`connect`], the course of a run in [`exchange`]. There are no proxies, no
//! cookies and no decompression; whether and when a failed job is tried again is the queue's business.

mod address;
mod answer;
mod connect;
mod exchange;
mod failure;
mod hop;
mod payload;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytesize::ByteSize;
use queuectl_plugin_api::{
    Description, Error, Executor, Handled, Host, Request, Run, RunHandle, Settings, StartError, StopMode,
    Tasks, export_executor,
};

use address::Rule;
use connect::Client;
use exchange::{Counters, Exchange};
use payload::Plan;

/// Threads of the runtime. They wait nearly all of the time; TLS is the only work.
const THREADS: usize = 2;
/// The most that `max_output` can be: what the queue keeps of any job's output at most.
const MOST_OUTPUT: ByteSize = ByteSize::mib(16);

/// What the operator decides.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    allow_private: bool,
    max_output: ByteSize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            allow_private: false,
            max_output: ByteSize::mib(1),
        }
    }
}

impl Options {
    fn read(settings: &Settings) -> Result<Options, Error> {
        let options: Options = settings.typed()?;
        if options.max_output > MOST_OUTPUT {
            let given = options.max_output.as_u64();
            return Err(Error::new(format!(
                "settings: max_output is at most 16MiB, not {given} bytes"
            )));
        }
        Ok(options)
    }
}

struct Http {
    tasks: Tasks,
    client: Client,
    rule: Rule,
    max_output: u64,
    counters: Arc<Counters>,
}

impl Executor for Http {
    const DESCRIPTION: Description = Description {
        name: "http",
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &["http/1.1", "http/2", "tls", "retry-after"],
        schema: payload::SCHEMA,
        settings_schema: include_str!("settings.schema.json"),
    };

    fn create(_host: Host, settings: &Settings) -> Result<Self, Error> {
        let options = Options::read(settings)?;
        let rule = if options.allow_private {
            Rule::All
        } else {
            Rule::Public
        };
        Ok(Http {
            tasks: Tasks::new(THREADS)?,
            client: connect::client(rule)?,
            rule,
            max_output: options.max_output.as_u64(),
            counters: Arc::default(),
        })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let plan =
            Plan::new(run.request(), self.rule).map_err(|error| StartError::Final(error.to_string()))?;
        let (client, counters) = (self.client.clone(), Arc::clone(&self.counters));
        let exchange = Exchange::new(client, counters, self.max_output, plan, &run);
        self.tasks.start(run, |run, _stop| exchange.run(run));
        Ok(())
    }

    /// A request that was sent cannot be asked to end: both ways of stopping abort it at once.
    fn stop(&self, run: RunHandle, _mode: StopMode) -> Handled {
        self.tasks.stop(&run, StopMode::Kill)
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        Plan::new(request, self.rule).map(drop)
    }

    fn stats(&self) -> BTreeMap<String, u64> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BTreeMap::from([
            ("requests".to_owned(), read(&self.counters.requests)),
            ("bytes".to_owned(), read(&self.counters.bytes)),
            ("failures".to_owned(), read(&self.counters.failures)),
            ("running".to_owned(), self.tasks.running() as u64),
        ])
    }

    fn shutdown(&self) {
        self.tasks.shut_down();
    }
}

export_executor!(Http);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: &str) -> Result<Options, String> {
        let settings = Settings::from_json(&format!(r#"{{"shell":"sh","settings":{own}}}"#)).unwrap();
        Options::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_checked() {
        let options = read("{}").unwrap();
        assert_eq!(
            (options.allow_private, options.max_output),
            (false, ByteSize::mib(1))
        );
        let options = read(r#"{"allow_private":"true","max_output":"64KiB"}"#).unwrap();
        assert_eq!(
            (options.allow_private, options.max_output),
            (true, ByteSize::kib(64))
        );
        assert_eq!(
            read(r#"{"max_output":"100"}"#).unwrap().max_output,
            ByteSize::b(100)
        );
        for (own, expected) in [
            (r#"{"max_output":"17MiB"}"#, "at most 16MiB, not 17825792 bytes"),
            (r#"{"max_output":"lots"}"#, "settings: "),
            (r#"{"allow_private":"yes"}"#, "expected a boolean"),
            (
                r#"{"alow_private":"true"}"#,
                "unknown field `alow_private`, expected `allow_private`",
            ),
        ] {
            let text = read(own).unwrap_err();
            assert!(text.contains(expected), "{own}: {text}");
        }
    }

    #[test]
    fn the_schemas_are_json_objects() {
        for schema in [Http::DESCRIPTION.schema, Http::DESCRIPTION.settings_schema] {
            assert!(
                serde_json::from_str::<serde_json::Value>(schema)
                    .unwrap()
                    .is_object()
            );
        }
    }
}
