//! The Windows half: access lists in place of modes, and a named event in place of a named pipe.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use queuectl_sys::{Access, Folder};
use windows_sys::Win32::Foundation::{GENERIC_ALL, LocalFree, WAIT_OBJECT_0};
use windows_sys::Win32::Security::Authorization::{
    BuildExplicitAccessWithNameW, SE_FILE_OBJECT, SET_ACCESS, SetEntriesInAclW, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, SUB_CONTAINERS_AND_OBJECTS_INHERIT,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, EVENT_MODIFY_STATE, INFINITE, OpenEventW, SetEvent, WaitForSingleObject,
};

use crate::error::Problem;

/// SQLite's companions have the access list of their folder.
pub fn free_companions(_: &Path) {}

/// Windows says more precisely by itself what is wrong.
pub fn cause_of_io_error(_: &Path) -> Option<Problem> {
    None
}

/// Creates or opens a file that is the user's alone, if it is new.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let file = options.open(path)?;
    if is_new {
        protect(path)?;
    }
    Ok(file)
}

/// Opens a file in a folder, the user's alone if it is new.
pub fn open_in(folder: &Folder, name: &str, access: Access) -> io::Result<File> {
    let is_new = !folder.has(name);
    let file = folder.file(name, access)?;
    if is_new {
        protect(&folder.path().join(name))?;
    }
    Ok(file)
}

/// Opens a folder, and makes what is missing of it, for the user alone.
pub fn make_folder(path: &Path, steps: usize) -> io::Result<Folder> {
    create_private_dir(path)?;
    Folder::open(path, steps)
}

/// Makes the folder and its parents, for the user alone; those that exist stay as they are.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).last();
    std::fs::create_dir_all(path)?;
    // What is in it has the same list, by inheritance.
    missing.map_or(Ok(()), protect)
}

/// Lets the current user do everything with a file or folder and what is made in it, and refuses everybody else. Not even
/// administrators, unless they take possession of it.
fn protect(path: &Path) -> io::Result<()> {
    let path = wide(path.as_os_str().encode_wide());
    // A name that stands for the user of this process.
    let user = wide("CURRENT_USER".encode_utf16());
    let check = |status: u32| match status {
        0 => Ok(()),
        status => Err(io::Error::from_raw_os_error(status.cast_signed())),
    };
    let mut list = null_mut();
    // SAFETY: all-zero is a valid value, and the call fills it in; the texts end with 0 and outlive the calls.
    let status = unsafe {
        let mut entry = std::mem::zeroed();
        BuildExplicitAccessWithNameW(
            &raw mut entry,
            user.as_ptr(),
            GENERIC_ALL,
            SET_ACCESS,
            SUB_CONTAINERS_AND_OBJECTS_INHERIT,
        );
        SetEntriesInAclW(1, &raw const entry, null(), &raw mut list)
    };
    check(status)?;
    // SAFETY: the list is whole, and is freed once it has been copied.
    let status = unsafe {
        let status = SetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            list,
            null(),
        );
        LocalFree(list.cast());
        status
    };
    match status {
        // ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED: a file system without access lists, such as FAT.
        1 | 50 => Ok(()),
        status => check(status),
    }
}

/// The receiving end of a wake-up: a named event, whose name is in the file. Several that came meanwhile are one, and
/// none is lost.
pub struct WakePipe(OwnedHandle);

impl WakePipe {
    pub fn create(folder: &Folder, file: &str) -> io::Result<WakePipe> {
        let random = RandomState::new().build_hasher().finish();
        // Of this session alone: a node and the process that wakes it run as the same user.
        let name = format!(r"Local\queuectl-{}-{random:016x}", std::process::id());
        let event = wide(name.encode_utf16());
        // SAFETY: the name ends with 0.
        let handle = unsafe { CreateEventW(null(), 0, 0, event.as_ptr()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        std::fs::write(folder.path().join(file), name)?;
        // SAFETY: the handle is new and has no other owner.
        Ok(WakePipe(unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// Waits for a wake-up.
    pub fn wait(&mut self) -> io::Result<()> {
        // SAFETY: the handle is open.
        match unsafe { WaitForSingleObject(self.0.as_raw_handle(), INFINITE) } {
            WAIT_OBJECT_0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Wakes the node whose event's name is in a file.
pub fn wake(folder: &Folder, file: &str) {
    let Ok(name) = std::fs::read_to_string(folder.path().join(file)) else {
        return;
    };
    let name = wide(name.encode_utf16());
    // SAFETY: the name ends with 0; the handle is new, and is closed when it was used.
    unsafe {
        let handle = OpenEventW(EVENT_MODIFY_STATE, 0, name.as_ptr());
        if !handle.is_null() {
            let event = OwnedHandle::from_raw_handle(handle);
            SetEvent(event.as_raw_handle());
        }
    }
}

/// Ended by 0, as the system wants its texts.
fn wide(text: impl Iterator<Item = u16>) -> Vec<u16> {
    text.chain([0]).collect()
}
