//! How the binary is linked.
//!
//! `queuectl enqueue` is a process of its own for each call, so what happens before `main` counts.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |what: &str, value: &str| std::env::var(what).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        fixed_address();
        if std::env::var("HOST") == std::env::var("TARGET") {
            unwinder_within();
        }
    }
}

/// Links the binary, and only it, for a fixed address. At any other address, the loader writes to each of its thousands of
/// pointers to functions and constants before `main`, and so copies the pages that they are in. Libraries, heap and stack
/// stay where chance puts them, see `SECURITY.md`.
fn fixed_address() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
}

/// Links the unwinder of GCC in, where the C compiler has it as an archive: one library less to load, whose first act is to
/// ask the processor a dozen questions, each of which a virtual machine takes microseconds to answer.
fn unwinder_within() {
    let asked = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output();
    let Ok(answer) = asked else { return };
    let archive = String::from_utf8_lossy(&answer.stdout);
    // Only a name without a folder comes back if there is none.
    if let Some(folder) = Path::new(archive.trim())
        .parent()
        .filter(|folder| folder.is_absolute())
    {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
