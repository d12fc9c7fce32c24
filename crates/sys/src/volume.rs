//! The file system that a file is on: how much room it has, and whether locks and syncs can be trusted on it.

use std::io;
use std::path::Path;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// What a file system is kept on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A disk of this machine, as far as can be told.
    Disk,
    /// Another machine, by way of this protocol or kind of file system.
    Network(&'static str),
    /// Memory: its files are gone after a restart.
    Memory,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// What it is kept on.
    pub medium: Medium,
    /// Bytes that this user can still write.
    pub free_bytes: u64,
}

impl Volume {
    /// Returns the file system that has a file or folder.
    ///
    /// # Errors
    /// The path does not exist or cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Volume> {
        platform::of(path)
    }
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::Path;

    use rustix::fs::{StatFs, statfs, statvfs};

    use super::{Medium, Volume};

    pub(super) fn of(path: &Path) -> io::Result<Volume> {
        let room = statvfs(path)?;
        Ok(Volume {
            medium: medium(&statfs(path)?),
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        })
    }

    /// By the numbers of `linux/magic.h` and of the file systems' own sources.
    #[cfg(target_os = "linux")]
    fn medium(found: &StatFs) -> Medium {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the numbers have 32 bits, and some machines extend their sign"
        )]
        let kind = found.f_type as u32;
        match kind {
            0x6969 => Medium::Network("NFS"),
            0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Medium::Network("SMB"),
            0x0102_1997 => Medium::Network("9P"),
            0x00C3_6400 => Medium::Network("Ceph"),
            0x5346_414F => Medium::Network("AFS"),
            0x0BD0_0BD0 => Medium::Network("Lustre"),
            0x0102_1994 | 0x8584_58F6 => Medium::Memory,
            _ => Medium::Disk,
        }
    }

    #[cfg(target_os = "macos")]
    fn medium(found: &StatFs) -> Medium {
        let name: Vec<u8> = found
            .f_fstypename
            .iter()
            .map(|byte| byte.to_ne_bytes()[0])
            .take_while(|byte| *byte != 0)
            .collect();
        match name.as_slice() {
            b"nfs" => Medium::Network("NFS"),
            b"smbfs" => Medium::Network("SMB"),
            b"afpfs" => Medium::Network("AFP"),
            b"webdav" => Medium::Network("WebDAV"),
            _ => Medium::Disk,
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    fn medium(_: &StatFs) -> Medium {
        Medium::Disk
    }
}

#[cfg(windows)]
mod windows {
    use std::io;
    use std::os::windows::ffi::OsStrExt;
    use std::path::Path;
    use std::ptr::null_mut;

    use windows_sys::Win32::Storage::FileSystem::{GetDiskFreeSpaceExW, GetDriveTypeW, GetVolumePathNameW};
    use windows_sys::Win32::System::WindowsProgramming::{DRIVE_RAMDISK, DRIVE_REMOTE};

    use super::{Medium, Volume};

    /// Characters of the longest path to a volume, with its end.
    const ROOT: usize = 1024;

    pub(super) fn of(path: &Path) -> io::Result<Volume> {
        let path: Vec<u16> = std::path::absolute(path)?
            .as_os_str()
            .encode_wide()
            .chain([0])
            .collect();
        let mut root = [0u16; ROOT];
        let length = u32::try_from(ROOT).expect("it is small");
        // SAFETY: the path ends in a zero, and the buffer has that length.
        if unsafe { GetVolumePathNameW(path.as_ptr(), root.as_mut_ptr(), length) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut free_bytes = 0;
        // SAFETY: the root ends in a zero, and the number lives during the call; the other two are not wanted.
        if unsafe { GetDiskFreeSpaceExW(root.as_ptr(), &raw mut free_bytes, null_mut(), null_mut()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the root ends in a zero.
        let medium = match unsafe { GetDriveTypeW(root.as_ptr()) } {
            DRIVE_REMOTE => Medium::Network("a network drive"),
            DRIVE_RAMDISK => Medium::Memory,
            _ => Medium::Disk,
        };
        Ok(Volume { medium, free_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_has_room_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(Volume::of(folder.path()).expect("a volume").free_bytes > 0);
        assert!(Volume::of(&folder.path().join("none").join("none")).is_err() || cfg!(windows));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_kept_in_memory_is_told_from_a_disk() {
        let shared = Path::new("/dev/shm");
        if std::fs::read_to_string("/proc/mounts").is_ok_and(|mounts| mounts.contains("/dev/shm tmpfs")) {
            assert_eq!(Volume::of(shared).expect("a volume").medium, Medium::Memory);
        }
        assert_eq!(
            Volume::of(Path::new("/proc")).expect("a volume").medium,
            Medium::Disk
        );
    }
}
