//! What an ELF header says about a library, read before the dynamic loader maps it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::os::error_text;

/// Machines by their number in ELF headers, by the names that Rust has for them.
const MACHINES: [(u16, &str); 10] = [
    (3, "x86"),
    (8, "mips64"),
    (20, "powerpc"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (43, "sparc64"),
    (62, "x86_64"),
    (183, "aarch64"),
    (258, "loongarch64"),
];

/// Checks that the file is a whole library for this machine. The dynamic loader itself maps a truncated one
/// and dies of SIGBUS.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn check_library(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error_text(&error))?;
    let len = file.metadata().map_err(|error| error_text(&error))?.len();
    let mut head = [0u8; 64];
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    if read < head.len() || head[..4] != *b"\x7fELF" {
        return Err("it is not a library (no ELF header)".to_owned());
    }
    // The loader says of these that there is no such file.
    let foreign = |machine: &str| {
        format!(
            "it is built for another machine ({machine}), this one is {}",
            std::env::consts::ARCH
        )
    };
    if (head[4] == 2) != cfg!(target_pointer_width = "64") {
        return Err(foreign(if head[4] == 2 { "64-bit" } else { "32-bit" }));
    }
    let order = |bytes: [u8; 2]| match head[5] {
        1 => u16::from_le_bytes(bytes),
        _ => u16::from_be_bytes(bytes),
    };
    let machine = order([head[18], head[19]]);
    let name = MACHINES.iter().find(|(number, _)| *number == machine);
    let same = name.is_some_and(|(_, name)| *name == std::env::consts::ARCH);
    // Of a machine that is not listed nothing is known.
    let known = MACHINES.iter().any(|(_, name)| *name == std::env::consts::ARCH);
    if known && !same || cfg!(target_endian = "little") != (head[5] == 1) {
        let number = format!("ELF machine {machine}");
        return Err(foreign(name.map_or(&number, |(_, name)| name)));
    }
    if cfg!(not(target_pointer_width = "64")) {
        return Ok(());
    }
    let number = |bytes: &[u8], at: usize, size: usize| -> u64 {
        let digits = bytes[at..at + size].iter();
        let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if head[5] == 1 {
            digits.rev().fold(0, fold)
        } else {
            digits.fold(0, fold)
        }
    };
    // e_phoff, e_phnum, e_shoff, e_shentsize, e_shnum
    let (segments, count) = (number(&head, 32, 8), number(&head, 56, 2));
    let sections_end =
        number(&head, 40, 8).saturating_add(number(&head, 58, 2).saturating_mul(number(&head, 60, 2)));
    let mut end = sections_end;
    for i in 0..count {
        let mut entry = [0u8; 56];
        let at = segments.saturating_add(i * 56);
        if file.read_exact_at(&mut entry, at).is_err() {
            end = u64::MAX;
            break;
        }
        // p_offset + p_filesz
        end = end.max(number(&entry, 8, 8).saturating_add(number(&entry, 32, 8)));
    }
    if end > len {
        Err("the file is truncated".to_owned())
    } else {
        Ok(())
    }
}
