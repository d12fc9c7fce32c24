//! Opening a plugin's library and agreeing on a version with it.
//!
//! The library of a plugin that may be used is never closed: it may have threads and static data that outlive every run.
//! One that is refused is closed, so that the right file in its place is not taken for it.

use std::path::{Path, PathBuf};

use libloading::Library;
use queuectl_core::excerpt;
use queuectl_plugin_api::abi::{
    ENTRY_SYMBOL_STEM, EntryFn, MAGIC, MAGIC_SYMBOL, MAJOR, MINOR, MagicFn, qc_plugin_v1, qc_str,
};
use serde::{Deserialize, Serialize};

use super::{allowed, search};
use crate::{PluginError, os};

/// What a plugin says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginInfo {
    /// The executor's name.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// What it does, in one line.
    pub about: String,
    /// Words for what it can do.
    pub capabilities: Vec<String>,
    /// JSON Schema of the job's own `payload` object, if the plugin has one.
    pub schema: Option<serde_json::Value>,
    /// JSON Schema of the settings that are the plugin's own, if it has one.
    pub settings_schema: Option<serde_json::Value>,
    /// The minor version of the ABI that it was written for.
    pub minor: u32,
    /// The optional functions that it has.
    pub slots: Vec<String>,
}

/// Longest description, in bytes.
const DESCRIPTION_BYTES: usize = 1024 * 1024;

impl PluginInfo {
    /// Reads a plugin's description of itself.
    ///
    /// # Errors
    /// Says what is wrong with it: it is too long, or no JSON of that form.
    pub fn parse(description: &[u8]) -> Result<PluginInfo, String> {
        if description.len() > DESCRIPTION_BYTES {
            return Err(format!("it is longer than {DESCRIPTION_BYTES} bytes"));
        }
        serde_json::from_slice(description).map_err(|error| excerpt(&error.to_string()))
    }
}

/// Loads a plugin, after checking it, and asks what it is. Its code runs in this process.
///
/// # Errors
/// [`PluginError`] names the file, the cause and what to do.
pub fn inspect(path: &Path) -> Result<PluginInfo, PluginError> {
    load(path).map(|plugin| plugin.info)
}

/// A plugin that is loaded and speaks our version. Required slots are present.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) path: PathBuf,
    pub(crate) info: PluginInfo,
    pub(crate) slots: Slots,
}

macro_rules! slots {
    ($($slot:ident: ($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The vtable's slots, read once; none for what the plugin does not have.
        #[derive(Clone, Copy)]
        pub struct Slots {
            $(#[doc = concat!("The slot `", stringify!($slot), "`.")] pub $slot: Option<unsafe extern "C" fn($($arg),*) $(-> $ret)?>,)*
        }

        impl Slots {
            /// The names of those that are there.
            pub(super) fn names(&self) -> Vec<String> {
                [$((stringify!($slot), self.$slot.is_some())),*]
                    .into_iter()
                    .filter_map(|(name, present)| present.then(|| String::from(name)))
                    .collect()
            }

            /// Reads the vtable up to the size it states.
            ///
            /// # Safety
            /// `vtable` points to a vtable that is readable up to its `size`.
            pub unsafe fn read(vtable: *const qc_plugin_v1) -> Slots {
                // SAFETY: every vtable has at least its size.
                let size = unsafe { (*vtable).size } as usize;
                Slots {$(
                    $slot: if size >= std::mem::offset_of!(qc_plugin_v1, $slot) + size_of::<usize>() {
                        // SAFETY: the slot is within the size.
                        unsafe { (*vtable).$slot }
                    } else {
                        None
                    },
                )*}
            }
        }
    };
}

use std::ffi::c_void;

use queuectl_plugin_api::abi::{qc_error, qc_exit_v1, qc_host_v1, qc_run_v1, qc_status};

slots! {
    describe: (*mut qc_str);
    create: (*const qc_host_v1, *mut c_void, qc_str, *mut *mut c_void, *mut qc_error) -> qc_status;
    destroy: (*mut c_void);
    start: (*mut c_void, *const qc_run_v1, *mut qc_error) -> qc_status;
    exited: (*mut c_void, u64, *const qc_exit_v1) -> qc_status;
    stop: (*mut c_void, u64, u32) -> qc_status;
    fingerprint: (*mut c_void, *mut qc_error) -> qc_status;
    validate: (*mut c_void, qc_str, *mut qc_error) -> qc_status;
    signal: (*mut c_void, u64, i32) -> qc_status;
    reattach: (*mut c_void, *const qc_run_v1, qc_str, *mut qc_error) -> qc_status;
    recorded: (*mut c_void, u64);
    reap: (*mut c_void, qc_str, *const qc_str, usize);
    stats: (*mut c_void, *mut qc_str);
    shutdown: (*mut c_void);
    discard: (*mut c_void, qc_str);
}

/// The slots that every plugin has.
const REQUIRED: [&str; 4] = ["describe", "create", "destroy", "start"];

impl Slots {
    /// A required slot that is not there.
    pub fn missing(&self) -> Option<&'static str> {
        let names = self.names();
        REQUIRED
            .into_iter()
            .find(|slot| !names.iter().any(|name| name == slot))
    }
}

/// Checks the library at `path`, loads it, and says how it is entered as long as the library is not dropped.
pub fn open(path: &Path) -> Result<(Library, EntryFn), PluginError> {
    search::check_trust(path)?;
    let not_loadable = |cause: String| PluginError::NotLoadable {
        path: path.to_owned(),
        cause,
    };
    // Opening a pipe would wait for its other end.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(not_loadable("it is not a regular file".to_owned()));
    }
    let allowed = allowed::check(path)?;
    #[cfg(target_os = "linux")]
    super::elf::check_library(&allowed.path).map_err(not_loadable)?;
    // SAFETY: loading runs the library's initialisers; the file is trusted, which was checked just before.
    let library =
        unsafe { os::open_library(&allowed.path) }.map_err(|error| not_loadable(text_of(&error)))?;
    allowed.loaded();
    let no_plugin = |cause: String| PluginError::NoPlugin {
        path: path.to_owned(),
        cause,
    };

    // SAFETY: the symbol has this type in every plugin, and the magic tells plugins from other libraries.
    let magic = unsafe { library.get::<MagicFn>(MAGIC_SYMBOL) }
        .map_err(|_| no_plugin(format!("it has no function {MAGIC_SYMBOL}")))?;
    // SAFETY: it takes nothing and returns a number.
    let magic = unsafe { magic() };
    if magic != MAGIC {
        return Err(no_plugin(format!(
            "{MAGIC_SYMBOL} returns {magic:#018x} instead of {MAGIC:#018x}"
        )));
    }

    // SAFETY: the symbol's name carries the version that fixes its type.
    let entry = unsafe { library.get::<EntryFn>(format!("{ENTRY_SYMBOL_STEM}{MAJOR}")) };
    let entry = entry.map_err(|_| {
        newer_major(&library, path)
            .unwrap_or_else(|| no_plugin(format!("it has no function {ENTRY_SYMBOL_STEM}{MAJOR}")))
    })?;
    let entry = *entry;
    Ok((library, entry))
}

/// Checks and loads the plugin at `path`.
pub(crate) fn load(path: &Path) -> Result<Plugin, PluginError> {
    let (library, entry) = open(path)?;
    let no_plugin = |cause: String| PluginError::NoPlugin {
        path: path.to_owned(),
        cause,
    };
    // SAFETY: the type is that of the symbol; the result is checked.
    let vtable = unsafe { entry(MINOR) };
    if vtable.is_null() {
        let cause =
            format!("does not work with ABI {MAJOR}.{MINOR}, which this queuectl speaks; update one of them");
        return Err(PluginError::Incompatible {
            path: path.to_owned(),
            cause,
        });
    }
    // SAFETY: the entry function returns a static vtable that states its size.
    let slots = unsafe { Slots::read(vtable) };
    if let Some(slot) = slots.missing() {
        return Err(no_plugin(format!("its vtable lacks the required slot '{slot}'")));
    }
    let mut info =
        describe(&slots).map_err(|cause| no_plugin(format!("its description cannot be read: {cause}")))?;
    // SAFETY: every vtable has its size and its minor version.
    info.minor = unsafe { (*vtable).minor };
    info.slots = slots.names();
    info.slots.retain(|slot| !REQUIRED.contains(&slot.as_str()));
    // A plugin is always found by its file's name: in the search path, in the list of checksums, or given as a path.
    if let Some(executor) = search::executor_of_file(path)
        && search::file_form(&info.name) != executor
    {
        return Err(PluginError::Misnamed {
            path: path.to_owned(),
            executor,
            name: excerpt(&info.name),
        });
    }
    // Dropping it would unload the library.
    std::mem::forget(library);
    Ok(Plugin {
        path: path.to_owned(),
        info,
        slots,
    })
}

fn newer_major(library: &Library, path: &Path) -> Option<PluginError> {
    // SAFETY: the symbol is only looked for, never called.
    let has = |major: &u32| unsafe { library.get::<EntryFn>(format!("{ENTRY_SYMBOL_STEM}{major}")) }.is_ok();
    let major = (MAJOR + 1..=9).find(has)?;
    let cause =
        format!("needs ABI {major}, this queuectl speaks {MAJOR}; update queuectl, or use an older plugin");
    Some(PluginError::Incompatible {
        path: path.to_owned(),
        cause,
    })
}

fn describe(slots: &Slots) -> Result<PluginInfo, String> {
    let mut text = qc_str::NULL;
    if let Some(describe) = slots.describe {
        // SAFETY: the place may be written for the length of the call.
        unsafe { describe(&raw mut text) }
    }
    // SAFETY: the description is static, says the header.
    let bytes = unsafe { text.bytes() }.ok_or("it is missing")?;
    PluginInfo::parse(bytes)
}

/// The loader's own words: libloading's say only which call failed.
fn text_of(error: &libloading::Error) -> String {
    use std::error::Error;
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
