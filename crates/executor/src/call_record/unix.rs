//! The Unix half: a nameless file that both processes map.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc;

use super::VARIABLE;

/// Room for the plugin's path and what it is called for; longer texts are cut.
const TEXT_BYTES: usize = 1020;
/// The whole record: the length of the text, then the text.
const BYTES: usize = size_of::<AtomicU32>() + TEXT_BYTES;

/// The mapped file.
#[derive(Debug)]
pub(super) struct Mapping(NonNull<u8>);

// SAFETY: the memory stays mapped as long as the value lives, and is accessed through an atomic and by copies.
unsafe impl Send for Mapping {}
// SAFETY: as above. One thread writes, the one that calls plugins; the other process reads when the writer is dead.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn share_with(command: &mut Command) -> io::Result<Mapping> {
        let file = nameless_file()?;
        file.set_len(BYTES as u64)?;
        let mapping = Mapping::of(&file)?;
        command.env(VARIABLE, file.as_raw_fd().to_string());
        // Moved into the command, so it is closed with that.
        let inherit = move || {
            // SAFETY: a call that takes numbers; the file is open as long as the command lives.
            match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: between fork and exec there is one system call, which needs nothing from this process.
        unsafe { command.pre_exec(inherit) };
        Ok(mapping)
    }

    pub(super) fn inherited() -> Option<Mapping> {
        let number: i32 = env::var(VARIABLE).ok()?.parse().ok()?;
        // SAFETY: it asks about a number.
        if number <= 2 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            return None;
        }
        // SAFETY: the process was started with this descriptor for this purpose, and no other code here knows it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(number) });
        let whole = file.metadata().is_ok_and(|found| found.len() == BYTES as u64);
        whole.then(|| Mapping::of(&file).ok()).flatten()
    }

    fn of(file: &File) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the system chooses; the file has that many bytes.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES,
                access,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(Mapping)
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn len(&self) -> &AtomicU32 {
        // SAFETY: the mapping begins at a page, so it is aligned, and has room for it.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().cast()) }
    }

    fn text(&self) -> *mut u8 {
        // SAFETY: it is within the mapping.
        unsafe { self.0.as_ptr().add(size_of::<AtomicU32>()) }
    }

    /// Replaces the text by these parts.
    pub(super) fn write(&self, parts: [&[u8]; 3]) {
        // So that a reader never sees a mixture.
        self.len().store(0, Ordering::Release);
        let mut len = 0;
        for part in parts {
            let part = &part[..part.len().min(TEXT_BYTES - len)];
            // SAFETY: there is room for the part behind those before it.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), self.text().add(len), part.len()) }
            len += part.len();
        }
        self.len().store(len as u32, Ordering::Release);
    }

    pub(super) fn read(&self) -> Vec<u8> {
        let len = (self.len().load(Ordering::Acquire) as usize).min(TEXT_BYTES);
        let mut text = vec![0; len];
        // SAFETY: the text is within the mapping, whatever its stated length is.
        unsafe { std::ptr::copy_nonoverlapping(self.text(), text.as_mut_ptr(), len) }
        text
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and is no longer used.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
    }
}

/// In memory where the system has such files: one on a disk is written there now and then.
fn nameless_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the name is a C string.
        let number = unsafe { libc::memfd_create(c"queuectl-calls".as_ptr(), libc::MFD_CLOEXEC) };
        if number >= 0 {
            // SAFETY: the descriptor is new and has no other owner.
            return Ok(File::from(unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    tempfile::tempfile()
}

#[cfg(test)]
mod tests {
    use super::super::CallRecord;
    use super::*;

    #[test]
    fn a_call_is_there_for_the_other_process_until_it_is_over() {
        // Not started: what matters is the second mapping of the same file.
        let file = nameless_file().unwrap();
        file.set_len(BYTES as u64).unwrap();
        let record = || CallRecord(std::sync::Arc::new(Mapping::of(&file).unwrap()));
        let (worker, node) = (record(), record());
        assert_eq!(node.in_progress(), None);
        worker.enter("/a/lib.so", "starting a run");
        assert_eq!(
            node.in_progress().as_deref(),
            Some("during a call into the plugin /a/lib.so (starting a run)")
        );
        worker.leave();
        assert_eq!(node.in_progress(), None);
        worker.enter(&"x".repeat(2 * TEXT_BYTES), "a\nb");
        let cut = node.in_progress().unwrap();
        assert!(cut.len() < TEXT_BYTES + 50 && cut.ends_with("x (a?b)"), "{cut}");
        // Whatever a crash left there.
        worker.0.len().store(u32::MAX, Ordering::Release);
        assert!(node.in_progress().is_some());
    }
}
