//! Compiling a module or a component, and linking it with what the executor offers.

use std::io;
use std::path::Path;

use queuectl_plugin_api::Outcome;
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{Engine, Linker, Module, Precompiled, UnknownImportError};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::guest::{Program, State};

/// Where WASI preview 1 is imported from.
const PREVIEW_1: &str = "wasi_snapshot_preview1";
/// Missing imports that are named; the others are counted.
const NAMED: usize = 10;

/// Code for this machine, linked with nothing yet.
pub enum Code {
    /// A module.
    Module(Module),
    /// A component.
    Component(Component),
}

/// Compiles the bytes of a file: a module or component in binary form or as text.
pub fn compile(engine: &Engine, path: &Path, bytes: &[u8]) -> Result<Code, Outcome> {
    let invalid = |error: &dyn std::fmt::Display| {
        Outcome::failed(format!("{} is not a valid module: {error}", path.display()))
    };
    let binary = wat::parse_bytes(bytes).map_err(|error| invalid(&text_fault(&error)))?;
    // After the magic number comes the version, 16 bits, and then what it is: 0 for a module, 1 for a component.
    let code = match binary.get(6..8) {
        Some([1, 0]) => Component::from_binary(engine, &binary).map(Code::Component),
        _ => Module::from_binary(engine, &binary).map(Code::Module),
    };
    code.map_err(|error| invalid(&format_args!("{error:#}")))
}

/// What is wrong with a text and where, without the text itself: it need not be a module at all, and the message may be
/// read by others than may read the file.
fn text_fault(error: &wat::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().take(2).map(str::trim).collect();
    lines.join(" ").replace("--> <anon>:", "at line ")
}

impl Code {
    /// For the disk.
    pub fn serialize(&self) -> io::Result<Vec<u8>> {
        let bytes = match self {
            Code::Module(module) => module.serialize(),
            Code::Component(component) => component.serialize(),
        };
        bytes.map_err(|error| io::Error::other(format!("{error:#}")))
    }

    /// From the disk.
    ///
    /// # Safety
    /// The bytes are what [`Code::serialize`] gave, unchanged: they become machine code.
    pub unsafe fn deserialize(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Code> {
        if let Some(Precompiled::Component) = Engine::detect_precompiled(bytes) {
            // SAFETY: the caller vouches for the bytes.
            let component = unsafe { Component::deserialize(engine, bytes) };
            return component.map(Code::Component);
        }
        // SAFETY: as above.
        let module = unsafe { Module::deserialize(engine, bytes) };
        module.map(Code::Module)
    }

    /// Connects it with WASI, which is all there is.
    pub fn link(&self, engine: &Engine, path: &Path) -> Result<Program, Outcome> {
        let engine_fault =
            |error: wasmtime::Error| Outcome::system_failure(format!("cannot set up WASI: {error:#}"));
        match self {
            Code::Module(module) => {
                if module.get_export("_start").is_none() {
                    return Err(Outcome::failed(format!(
                        "{} has no _start: it is a library; build it as a program (a WASI command)",
                        path.display()
                    )));
                }
                let mut linker = Linker::new(engine);
                wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)
                    .map_err(engine_fault)?;
                let linked = linker.instantiate_pre(module);
                linked
                    .map(Program::Module)
                    .map_err(|error| unlinked(&error, module, path))
            }
            Code::Component(component) => {
                let mut linker = ComponentLinker::<State>::new(engine);
                wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(engine_fault)?;
                let linked = linker.instantiate_pre(component).and_then(CommandPre::new);
                linked.map(Program::Component).map_err(|error| {
                    Outcome::failed(format!(
                        "{} needs imports that are not available, or is not a program (wasi:cli/run): {error:#}",
                        path.display()
                    ))
                })
            }
        }
    }
}

/// Why a module cannot be linked. Names everything that is missing, not only what was met first.
fn unlinked(error: &wasmtime::Error, module: &Module, path: &Path) -> Outcome {
    let Some(first) = error.downcast_ref::<UnknownImportError>() else {
        return Outcome::failed(format!("{} cannot be linked: {error:#}", path.display()));
    };
    let is_missing =
        |from: &str, name: &str| from != PREVIEW_1 || (from, name) == (first.module(), first.name());
    let mut missing: Vec<String> = module
        .imports()
        .filter(|import| is_missing(import.module(), import.name()))
        .map(|import| format!("{}.{}", import.module(), import.name()))
        .collect();
    missing.dedup();
    let rest = missing.len().saturating_sub(NAMED);
    missing.truncate(NAMED);
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    Outcome::failed(format!(
        "{} wants what is not offered: {}{more}; there is WASI preview 1 ({PREVIEW_1}) and nothing else",
        path.display(),
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_a_text_is_told_without_the_text() {
        let error = wat::parse_bytes(b"(module\n  secret)").expect_err("no module");
        let told = text_fault(&error);
        assert!(
            told.ends_with("at line 2:3") && !told.contains("secret"),
            "{told}"
        );
    }
}
