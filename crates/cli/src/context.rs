//! The global options, resolved: which queue, how to print.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use etcetera::BaseStrategy;
use queuectl_core::Settings;
use queuectl_storage::{Location, OpenMode, Store, StoreError};

use crate::config_file::ConfigFile;
use crate::exit::Usage;
use crate::global::{ColorWhen, Global, LogFormat};
use crate::output::{Output, diagnostics};
use crate::secret;

/// The queue and the output of a command.
pub struct Context {
    /// The queue.
    pub location: Location,
    /// How results are printed.
    pub output: Output,
    /// Plugin folders, as absolute paths.
    pub plugin_dirs: Vec<PathBuf>,
    log_options: Vec<OsString>,
}

impl Context {
    /// Resolves the global options, and what the configuration file says in place of those that are not given.
    pub fn resolve(global: &Global, config: ConfigFile) -> Result<Context> {
        let named = global
            .db
            .clone()
            .or_else(|| std::env::var_os("QUEUECTL_DB").filter(|value| !value.is_empty()))
            .or_else(|| config.db.map(OsString::from));
        let location = match named {
            _ if let Some(descriptor) = global.secret => secret::receive(descriptor)?.parse()?,
            Some(named) => {
                let text = named.into_string().map_err(|named| {
                    Usage::new(format!("the queue's path {} is not valid UTF-8", named.display()))
                })?;
                text.parse()?
            }
            None => default_location()?,
        };
        let mut plugin_dirs = Vec::new();
        for dir in &global.plugin_dir {
            let absolute = std::path::absolute(dir)
                .map_err(|error| Usage::new(format!("--plugin-dir {}: {error}", dir.display())))?;
            plugin_dirs.push(absolute);
        }
        plugin_dirs.extend(config.plugin_dirs.into_iter().map(PathBuf::from));
        Ok(Context {
            location,
            output: global.output()?,
            plugin_dirs,
            log_options: log_options(global),
        })
    }

    /// Opens the queue to read or change it. A missing queue counts as empty and is not created; a note says so, because the
    /// path may be mistyped.
    pub fn open(&self) -> Result<Store> {
        match Store::open(&self.location, OpenMode::MustExist) {
            Err(StoreError::Missing) => {
                diagnostics::note(&format!("note: there is no queue yet at {}", self.location));
                Ok(Store::empty(&self.location)?)
            }
            other => Ok(other?),
        }
    }

    /// Opens the queue, which must exist.
    pub fn open_existing(&self) -> Result<Store> {
        Ok(Store::open(&self.location, OpenMode::MustExist)?)
    }

    /// Returns the settings of the queue, or the defaults if it does not exist.
    pub fn settings_if_any(&self) -> Result<Settings> {
        match Store::open(&self.location, OpenMode::MustExist) {
            Ok(mut store) => Ok(store.settings()?),
            Err(StoreError::Missing) => Ok(Settings::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether `-v` is set.
    pub fn is_verbose(&self) -> bool {
        self.log_options.iter().any(|option| option == "-v")
    }

    /// Returns the global options that other processes of the same node need, as arguments.
    pub fn shared_options(&self) -> Vec<OsString> {
        let mut options = self.log_options.clone();
        for dir in &self.plugin_dirs {
            options.extend(["--plugin-dir".into(), dir.into()]);
        }
        options
    }

    /// Opens the queue, and creates it if it does not exist.
    pub fn open_or_create(&self) -> Result<Store> {
        Ok(Store::open(&self.location, OpenMode::Create)?)
    }
}

fn default_location() -> Result<Location> {
    let folders = etcetera::choose_base_strategy().map_err(|_| {
        Usage::new("the user's data folder is not known, because there is no home folder")
            .hint("choose a file with --db PATH")
    })?;
    Ok(Location::Sqlite(
        folders.data_dir().join("queuectl").join("queue.db"),
    ))
}

fn log_options(global: &Global) -> Vec<OsString> {
    let mut options: Vec<OsString> = Vec::new();
    options.extend(std::iter::repeat_n("-v".into(), global.verbose.into()));
    options.extend(std::iter::repeat_n("-q".into(), global.quiet.into()));
    if global.raw {
        options.push("--raw".into());
    }
    if global.log_format == Some(LogFormat::Json) {
        options.push("--log-format=json".into());
    }
    match global.color.unwrap_or_default() {
        ColorWhen::Auto => {}
        ColorWhen::Always => options.push("--color=always".into()),
        ColorWhen::Never => options.push("--color=never".into()),
    }
    options
}
