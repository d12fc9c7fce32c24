//! From a file to a program that can run: read, compile, link, and remember.
//!
//! Programs are remembered in memory by what is in the file, and compiled code is kept on disk (see [`crate::disk`]).
//! However many runs ask for the same new module at the same time, it is compiled once.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use queuectl_plugin_api::{Host, Level, Outcome};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::compile::{self, Code};
use crate::disk::{Disk, Found};
use crate::engine::Engines;
use crate::guest::Program;

/// Programs that are remembered; then the one that was used longest ago goes.
const REMEMBERED: usize = 64;
/// Longest file that is taken for a module.
const MODULE_BYTES: u64 = 64 << 20;
/// A file that was changed less than this before it was read may change again within the same tick of its clock.
const SETTLED: Duration = Duration::from_secs(2);

/// SHA-256 of a module, and whether it counts fuel.
type Key = ([u8; 32], bool);

/// Where a program came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was compiled.
    Compiled,
    /// From the folder for compiled code.
    Disk,
    /// It was remembered.
    Memory,
}

impl Source {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Source::Compiled => "compiled",
            Source::Disk => "disk",
            Source::Memory => "memory",
        }
    }
}

/// Everything about modules.
pub struct Modules {
    engines: Arc<Engines>,
    disk: Option<Disk>,
    host: Host,
    remembered: Mutex<Vec<Remembered>>,
    /// Compiling is the machine's work, so there is one permit per processor.
    compiling: Arc<Semaphore>,
    counts: [AtomicU64; 3],
    refused: AtomicU64,
}

struct Remembered {
    key: Key,
    /// The file it was last read from, if that had not just been changed.
    file: Option<FileMark>,
    program: Arc<OnceCell<Program>>,
}

/// What tells whether a file is still the one that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileMark {
    path: PathBuf,
    changed: SystemTime,
    bytes: u64,
}

impl Modules {
    /// Nothing is remembered yet.
    pub fn new(engines: Arc<Engines>, disk: Option<Disk>, host: Host, processors: usize) -> Modules {
        Modules {
            engines,
            disk,
            host,
            remembered: Mutex::default(),
            compiling: Arc::new(Semaphore::new(processors)),
            counts: Default::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// The program in a file, and where it came from.
    pub async fn get(self: &Arc<Self>, path: &Path, fueled: bool) -> Result<(Program, Source), Outcome> {
        let (modules, name) = (Arc::clone(self), path.to_owned());
        let look = blocking(move || modules.look(&name, fueled)).await?;
        let (key, bytes, program) = match look {
            Look::Known(program) => return Ok((program, self.count(Source::Memory))),
            Look::Read { key, bytes, program } => (key, bytes, program),
        };
        let mut source = Source::Memory;
        let made = program
            .get_or_try_init(async || {
                let permit = Arc::clone(&self.compiling).acquire_owned().await;
                let (modules, name) = (Arc::clone(self), path.to_owned());
                let make = move || {
                    // Compiling goes on when its run is stopped, and until it is done it counts.
                    let _permit = permit;
                    modules.make(&name, key, &bytes)
                };
                let (made, from) = blocking(make).await?;
                source = from;
                Ok::<_, Outcome>(made)
            })
            .await?;
        Ok((made.clone(), self.count(source)))
    }

    /// Numbers for people.
    pub fn stats(&self) -> BTreeMap<String, u64> {
        let count = |source: Source| self.counts[source as usize].load(Ordering::Relaxed);
        BTreeMap::from([
            ("compiled".to_owned(), count(Source::Compiled)),
            ("disk_hits".to_owned(), count(Source::Disk)),
            ("memory_hits".to_owned(), count(Source::Memory)),
            (
                "cache_files_refused".to_owned(),
                self.refused.load(Ordering::Relaxed),
            ),
        ])
    }

    fn count(&self, source: Source) -> Source {
        self.counts[source as usize].fetch_add(1, Ordering::Relaxed);
        source
    }

    fn remembered(&self) -> MutexGuard<'_, Vec<Remembered>> {
        // Nothing is left half done under this lock.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the file, and reads it unless it is known.
    fn look(&self, path: &Path, fueled: bool) -> Result<Look, Outcome> {
        let cannot = |error: io::Error| unreadable(path, &error);
        let metadata = std::fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Outcome::failed(format!(
                "the module {} is not a file",
                path.display()
            )));
        }
        let bytes = metadata.len();
        let too_long = || Outcome::failed(format!("the module {} is longer than 64MiB", path.display()));
        if bytes > MODULE_BYTES {
            return Err(too_long());
        }
        let changed = metadata.modified().map_err(cannot)?;
        let mark = FileMark {
            path: path.to_owned(),
            changed,
            bytes,
        };
        let known = |it: &Remembered| it.key.1 == fueled && it.file.as_ref() == Some(&mark);
        let found = recall(&mut self.remembered(), known).and_then(|it| it.program.get().cloned());
        if let Some(program) = found {
            return Ok(Look::Known(program));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(cannot)?;
        file.take(MODULE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(cannot)?;
        if bytes.len() as u64 > MODULE_BYTES {
            return Err(too_long());
        }
        let key = (Sha256::digest(&bytes).into(), fueled);
        let settled = changed.elapsed().is_ok_and(|age| age > SETTLED);
        let program = self.remember(key, settled.then_some(mark));
        Ok(Look::Read { key, bytes, program })
    }

    /// The place of a program, which is made if there is none.
    fn remember(&self, key: Key, file: Option<FileMark>) -> Arc<OnceCell<Program>> {
        let mut all = self.remembered();
        if let Some(known) = recall(&mut all, |it| it.key == key) {
            known.file = file;
            return Arc::clone(&known.program);
        }
        if all.len() == REMEMBERED {
            all.remove(0);
        }
        let program = Arc::default();
        all.push(Remembered {
            key,
            file,
            program: Arc::clone(&program),
        });
        program
    }

    /// Takes the code from disk, or compiles it and puts it there.
    fn make(&self, path: &Path, key: Key, bytes: &[u8]) -> Result<(Program, Source), Outcome> {
        let (digest, fueled) = key;
        let engine = self.engines.get(fueled);
        let engine = engine.map_err(|error| Outcome::system_failure(error.to_string()))?;
        let mut hasher = Sha256::new();
        hasher.update(digest);
        // Differs between versions of the engine, settings of the compiler and kinds of processors.
        let mut engine_hash = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut engine_hash);
        hasher.update(engine_hash.finish().to_le_bytes());
        let key: [u8; 32] = hasher.finalize().into();
        if let Some(disk) = &self.disk {
            match disk.read(&key) {
                // SAFETY: these bytes were written by this user and no other user could write them, and they are
                // complete: the disk cache checks owner, mode and checksum.
                Ok(Found::Trusted(code)) => match unsafe { Code::deserialize(engine, &code) } {
                    Ok(code) => return Ok((code.link(engine, path)?, Source::Disk)),
                    Err(error) => self.refuse(&format!("it is not compiled code ({error:#})")),
                },
                Ok(Found::Nothing) => {}
                Err(why) => self.refuse(&why),
            }
        }
        let code = compile::compile(engine, path, bytes)?;
        if let Some(disk) = &self.disk
            && let Err(error) = code.serialize().and_then(|bytes| disk.write(&key, &bytes))
        {
            self.host.log(
                Level::Warn,
                &format!("compiled code is not kept on disk: {error}"),
            );
        }
        Ok((code.link(engine, path)?, Source::Compiled))
    }

    fn refuse(&self, why: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.host.log(
            Level::Warn,
            &format!("compiled code on disk is not used; compiling again: {why}"),
        );
    }
}

/// One that is remembered, which now is the one used last.
fn recall(all: &mut [Remembered], is_it: impl Fn(&Remembered) -> bool) -> Option<&mut Remembered> {
    let at = all.iter().position(is_it)?;
    all[at..].rotate_left(1);
    all.last_mut()
}

/// What looking at a file gave.
enum Look {
    Known(Program),
    Read {
        key: Key,
        bytes: Vec<u8>,
        program: Arc<OnceCell<Program>>,
    },
}

/// Work that may wait for a disk or takes a processor for long.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Outcome> + Send + 'static,
) -> Result<T, Outcome> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Outcome::system_failure(format!("the engine failed: {error}"))))
}

/// A file that is not there is the job's failure; a worker that can open no file, say, is not.
fn unreadable(path: &Path, error: &io::Error) -> Outcome {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let text = format!("cannot read the module {}: {error}", path.display());
    match error.kind() {
        NotFound | PermissionDenied | NotADirectory | IsADirectory | InvalidFilename => Outcome::failed(text),
        _ => Outcome::system_failure(text),
    }
}
