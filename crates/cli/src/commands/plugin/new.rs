//! `plugin:new`: creates a plugin project that builds and works.
//!
//! The project contains the parts of queuectl that it needs, so it builds without queuectl's sources. This binary embeds
//! those parts when it is built.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use queuectl_core::ExecutorName;

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::page::Page;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Create a plugin project
#[derive(Debug, Args)]
pub struct NewArgs {
    /// The executor's name, as used in jobs
    name: ExecutorName,
    /// The language
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// Create it in this folder [default: a new folder with that name]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Language {
    #[default]
    Rust,
    C,
}

const HEADER: &str = include_str!("../../../../plugin-api/include/queuectl_plugin.h");

/// The Rust SDK, file by file.
const SDK: &[(&str, &str)] = &[
    ("abi.rs", include_str!("../../../../plugin-api/src/abi.rs")),
    ("error.rs", include_str!("../../../../plugin-api/src/error.rs")),
    (
        "executor.rs",
        include_str!("../../../../plugin-api/src/executor.rs"),
    ),
    ("glue.rs", include_str!("../../../../plugin-api/src/glue.rs")),
    ("host.rs", include_str!("../../../../plugin-api/src/host.rs")),
    ("lib.rs", include_str!("../../../../plugin-api/src/lib.rs")),
    (
        "outcome.rs",
        include_str!("../../../../plugin-api/src/outcome.rs"),
    ),
    ("run.rs", include_str!("../../../../plugin-api/src/run.rs")),
    ("spawn.rs", include_str!("../../../../plugin-api/src/spawn.rs")),
    ("tasks.rs", include_str!("../../../../plugin-api/src/tasks.rs")),
];

const SDK_MANIFEST: &str = r#"[package]
name = "queuectl-plugin-api"
description = "The C ABI of queuectl executor plugins and the Rust SDK on top"
version = "@version@"
edition = "2024"
license = "MIT OR Apache-2.0"
publish = false

[dependencies]
serde = { version = "1", features = ["derive"] }
serde_json = { version = "1", features = ["raw_value"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread", "sync", "time"], optional = true }

[features]
tasks = ["dep:tokio"]
"#;

const RUST_MANIFEST: &str = r#"[package]
name = "queuectl-plugin-@name@"
version = "0.1.0"
edition = "2024"

[lib]
# The file must be called (lib)queuectl_plugin_NAME.
name = "queuectl_plugin_@symbol@"
crate-type = ["cdylib"]

[dependencies]
queuectl-plugin-api = { path = "queuectl-plugin-api" }
serde = { version = "1", features = ["derive"] }

# A project of its own, wherever it lies.
[workspace]
"#;

const RUST_SOURCE: &str = r##"//! The `@name@` executor: greets whom the job's payload names.

use queuectl_plugin_api::{
    Description, Error, Executor, Host, Outcome, Request, Run, Settings, StartError, export_executor,
};
use serde::Deserialize;

/// The job's payload: `{"executor": "@name@", "payload": {"name": "you"}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    name: String,
}

struct Greeter;

impl Executor for Greeter {
    const DESCRIPTION: Description = Description {
        name: "@name@",
        version: env!("CARGO_PKG_VERSION"),
        about: "Greets somebody",
        schema: r#"{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}"#,
        ..Description::EMPTY
    };

    fn create(_host: Host, _settings: &Settings) -> Result<Self, Error> {
        Ok(Greeter)
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        request.payload::<Greeting>().map(drop)
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let greeting: Greeting = run.request().payload()?;
        run.output(format!("hello, {}\n", greeting.name).as_bytes());
        run.finish(Outcome::succeeded());
        Ok(())
    }
}

export_executor!(Greeter);
"##;

const C_SOURCE: &str = r##"/* The @name@ executor: greets whom the job's payload names. */
#include <stdlib.h>
#include <string.h>

#include "queuectl_plugin.h"

/* There may be several instances at a time, each with a host of its own. */
struct greeter {
    const qc_host_v1 *host;
    void *ctx;
};

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static qc_status refuse(qc_error *error, const char *why) {
    if (error && error->ptr) {
        size_t len = strlen(why);
        error->len = len < error->cap ? len : error->cap;
        memcpy(error->ptr, why, error->len);
    }
    return QC_INVALID;
}

/* The text of "name" in the payload. A real plugin would use a JSON library. */
static qc_str name_of(qc_str request) {
    static const char key[] = "\"name\":\"";
    qc_str none = {NULL, 0};
    for (size_t i = 0; i + sizeof key - 1 <= request.len; i++) {
        if (!memcmp(request.ptr + i, key, sizeof key - 1)) {
            qc_str name = {request.ptr + i + sizeof key - 1, 0};
            while (name.ptr + name.len < request.ptr + request.len && name.ptr[name.len] != '"') name.len++;
            return name;
        }
    }
    return none;
}

static void describe(qc_str *out) {
    *out = str("{\"name\":\"@name@\",\"version\":\"0.1.0\",\"about\":\"Greets somebody\","
               "\"schema\":{\"type\":\"object\",\"required\":[\"name\"]}}");
}

static qc_status create(const qc_host_v1 *host, void *ctx, qc_str settings, void **instance, qc_error *error) {
    struct greeter *greeter = malloc(sizeof *greeter);
    (void)settings, (void)error;
    if (!greeter) return QC_SYSTEM_FAILURE;
    greeter->host = host, greeter->ctx = ctx, *instance = greeter;
    return QC_OK;
}

static void destroy(void *instance) { free(instance); }

static qc_status validate(void *instance, qc_str request, qc_error *error) {
    (void)instance;
    return name_of(request).ptr ? QC_OK : refuse(error, "the payload needs a \"name\"");
}

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    struct greeter *g = instance;
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = QC_SUCCEEDED};
    if (validate(instance, run->request, error) != QC_OK) return QC_INVALID;
    g->host->output(g->ctx, run->run, QC_STDOUT, str("hello, "));
    g->host->output(g->ctx, run->run, QC_STDOUT, name_of(run->request));
    g->host->output(g->ctx, run->run, QC_STDOUT, str("\n"));
    g->host->finished(g->ctx, run->run, &outcome);
    return QC_OK;
}

static const qc_plugin_v1 plugin = {
    .size = sizeof plugin, .minor = QC_ABI_MINOR, .describe = describe, .create = create,
    .destroy = destroy, .start = start, .validate = validate,
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &plugin;
}
"##;

const C_MAKEFILE: &str = "\
CFLAGS ?= -O2 -std=c99 -Wall -Wextra

libqueuectl_plugin_@symbol@.so: plugin.c queuectl_plugin.h
\t$(CC) $(CFLAGS) -fPIC -shared -o $@ plugin.c

clean:
\trm -f libqueuectl_plugin_@symbol@.so
";

const JOB: &str = "{\"payload\": {\"name\": \"you\"}}\n";

impl Run for NewArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        let folder = self
            .to
            .clone()
            .unwrap_or_else(|| PathBuf::from(self.name.as_str()));
        if folder.exists() {
            let message = format!("{} exists already", folder.display());
            return Err(Usage::new(message)
                .hint("choose another folder with --to DIR")
                .into());
        }
        let symbol = self.name.as_str().replace('-', "_");
        let fill = |text: &str| {
            text.replace("@name@", self.name.as_str())
                .replace("@symbol@", &symbol)
                .replace("@version@", env!("CARGO_PKG_VERSION"))
        };
        let mut files: Vec<(String, String)> = vec![("job.json".to_owned(), JOB.to_owned())];
        let (build, library) = match self.lang {
            Language::Rust => {
                files.push(("Cargo.toml".to_owned(), fill(RUST_MANIFEST)));
                files.push(("src/lib.rs".to_owned(), fill(RUST_SOURCE)));
                files.push((".gitignore".to_owned(), "/target\n".to_owned()));
                files.push(("queuectl-plugin-api/Cargo.toml".to_owned(), fill(SDK_MANIFEST)));
                let sdk = SDK
                    .iter()
                    .map(|(name, text)| (format!("queuectl-plugin-api/src/{name}"), (*text).to_owned()));
                files.extend(sdk);
                let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
                (
                    "cargo build --release",
                    format!("target/release/{prefix}queuectl_plugin_{symbol}{suffix}"),
                )
            }
            Language::C => {
                files.push(("plugin.c".to_owned(), fill(C_SOURCE)));
                files.push(("Makefile".to_owned(), fill(C_MAKEFILE)));
                files.push(("queuectl_plugin.h".to_owned(), HEADER.to_owned()));
                ("make", format!("libqueuectl_plugin_{symbol}.so"))
            }
        };
        for (name, text) in &files {
            write(&folder.join(name), text)?;
        }
        let shown = folder.display().to_string();
        let next = format!(
            "made {shown}; go on with:\n  cd {shown}\n  {build}\n  queuectl plugin:check {library} --job job.json\n  \
             queuectl plugin:run {library} job.json\n  queuectl plugin:install {library}\n  \
             queuectl enqueue '{{\"executor\":\"{}\",\"payload\":{{\"name\":\"you\"}}}}'",
            self.name
        );
        let mut lines = next.lines();
        let printed = lines.try_for_each(|line| Page::write_line(&mut io::stdout(), line, false));
        warn_unprinted(printed, || format!("made {shown}"));
        Ok(Exit::OK)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let fail = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(fail)?;
    fs::write(path, text).with_context(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_sdk_is_in_a_new_project() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api/src");
        let mut names: Vec<String> = fs::read_dir(sources)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let listed: Vec<&str> = SDK.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, names);
    }
}
