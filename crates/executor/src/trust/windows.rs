//! Who could have changed a file, as access lists on Windows say it.
//!
//! Only the file and its folder are looked at: the folders above let everybody create something in them by default
//! (`C:\\`), which changes nothing of what is there.

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{GENERIC_ALL, GENERIC_WRITE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, GetNamedSecurityInfoW, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACL, DACL_SECURITY_INFORMATION, GetAce, INHERIT_ONLY_ACE, OWNER_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID,
};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_APPEND_DATA, FILE_DELETE_CHILD, FILE_WRITE_DATA, WRITE_DAC, WRITE_OWNER,
};

use super::{Distrust, Writers};

/// The type of an entry that allows something.
const ALLOWS: u8 = 0;

/// Rights with which one can change a file, exchange it, or let others do so.
const CHANGES: u32 = FILE_WRITE_DATA
    | FILE_APPEND_DATA
    | FILE_DELETE_CHILD
    | DELETE
    | WRITE_DAC
    | WRITE_OWNER
    | GENERIC_WRITE
    | GENERIC_ALL;

/// Who may change everything in any case: the system, the administrators, the installer of Windows, and the owner of
/// the file (the last two stand for the owner).
const TRUSTED: [&str; 5] = [
    "S-1-5-18",
    "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
    "S-1-3-0",
    "S-1-3-4",
];

/// Everybody there is.
const EVERYBODY: &str = "S-1-1-0";

/// See [`crate::trust::check`]. With [`Writers::Group`], also every user or group that the list names, except everybody.
pub(super) fn check_file(path: &Path, writers: Writers) -> Result<(), Distrust> {
    let refuse = |cause: String, fix: String| Distrust { cause, fix };
    let look = |error: io::Error| {
        refuse(
            crate::os::error_text(&error),
            "check that it exists and may be read".to_owned(),
        )
    };
    let real = path.canonicalize().map_err(look)?;
    let own = own_sid().map_err(look)?;
    let trusted = |sid: &str| sid == own || TRUSTED.contains(&sid);
    for part in real.ancestors().take(2) {
        let rights = rights(part).map_err(look)?;
        let shown = part.display();
        if !trusted(&rights.owner) {
            let cause = format!(
                "{shown} belongs to {}, who is neither you nor an administrator",
                rights.owner
            );
            return Err(refuse(cause, format!("fix with: takeown /F \"{shown}\"")));
        }
        let Some(entries) = rights.entries else {
            let cause = format!("{shown} has no access list, so everybody may write to it");
            return Err(refuse(cause, format!("fix with: icacls \"{shown}\" /reset")));
        };
        let may = |sid: &str| trusted(sid) || is_let_in(sid, writers);
        let stranger = |(sid, mask): &&(String, u32)| mask & CHANGES != 0 && !may(sid);
        if let Some((sid, _)) = entries.iter().find(stranger) {
            let cause = format!("{shown} is writable by {sid}");
            return Err(refuse(
                cause,
                format!("fix with: icacls \"{shown}\" /remove *{sid}"),
            ));
        }
    }
    Ok(())
}

/// See [`crate::trust::check_log`].
pub(super) fn check_log(log: &Path, _: &Path) -> Result<(), Distrust> {
    check_file(log, Writers::Group)
}

/// Whether who is in the list of a file, and neither the user nor trusted anyway, may change it.
fn is_let_in(sid: &str, writers: Writers) -> bool {
    writers == Writers::Group && sid != EVERYBODY
}

/// Who owns a file, and who may do what; without a list, everybody may do everything.
struct Rights {
    owner: String,
    entries: Option<Vec<(String, u32)>>,
}

/// Memory that the system gave away.
struct Local(*mut std::ffi::c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the system allocated it for us, and nothing points into it any more.
        unsafe { LocalFree(self.0) };
    }
}

fn rights(path: &Path) -> io::Result<Rights> {
    let wide: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let (mut owner, mut list, mut descriptor): (PSID, *mut ACL, PSECURITY_DESCRIPTOR) =
        (null_mut(), null_mut(), null_mut());
    // SAFETY: the path ends with 0, and the pointers are there to be written.
    let status = unsafe {
        GetNamedSecurityInfoW(
            wide.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            &raw mut owner,
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        )
    };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status.cast_signed()));
    }
    let _descriptor = Local(descriptor);
    let owner = sid_text(owner)?;
    if list.is_null() {
        return Ok(Rights { owner, entries: None });
    }
    // SAFETY: the list is part of the descriptor, which is still there.
    let count = unsafe { (*list).AceCount };
    let mut entries = Vec::new();
    for index in 0..u32::from(count) {
        let mut entry = null_mut();
        // SAFETY: the index is below the number of entries.
        if unsafe { GetAce(list, index, &raw mut entry) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let entry = entry.cast::<ACCESS_ALLOWED_ACE>().cast_const();
        // SAFETY: every entry begins with this header.
        let header = unsafe { (*entry).Header };
        if header.AceType != ALLOWS || u32::from(header.AceFlags) & INHERIT_ONLY_ACE != 0 {
            continue;
        }
        // SAFETY: an entry of this type has a mask and, from `SidStart` on, whom it is for.
        let (mask, sid) = unsafe { ((*entry).Mask, (&raw const (*entry).SidStart).cast_mut().cast()) };
        entries.push((sid_text(sid)?, mask));
    }
    let entries = Some(entries);
    Ok(Rights { owner, entries })
}

/// `S-1-...`.
fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: the caller's identifier is whole; the pointer is there to be written.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let _text = Local(text.cast());
    // SAFETY: the system ended the text with 0.
    let units = unsafe {
        let mut length = 0;
        while *text.add(length) != 0 {
            length += 1;
        }
        std::slice::from_raw_parts(text, length)
    };
    Ok(String::from_utf16_lossy(units))
}

/// The user that this process runs as.
fn own_sid() -> io::Result<String> {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
    use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser};
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

    let mut token = null_mut();
    // SAFETY: the handle stands for this process; the pointer is there to be written.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new and has no other owner.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // As u64, so that the struct is aligned. An identifier has 68 bytes at most.
    let mut buffer = [0_u64; 32];
    let (mut needed, size) = (0, size_of_val(&buffer) as u32);
    // SAFETY: the buffer is as long as it is said to be.
    let told = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            size,
            &raw mut needed,
        )
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call filled in this struct.
    let user = unsafe { &*buffer.as_ptr().cast::<TOKEN_USER>() };
    sid_text(user.User.Sid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_sys::Win32::Security::Authorization::{
        ConvertStringSecurityDescriptorToSecurityDescriptorW, SetNamedSecurityInfoW,
    };
    use windows_sys::Win32::Security::{GetSecurityDescriptorDacl, PROTECTED_DACL_SECURITY_INFORMATION};

    /// Gives a file exactly this access list.
    fn set_list(path: &Path, list: &str) {
        let wide = |text: &std::ffi::OsStr| text.encode_wide().chain([0]).collect::<Vec<u16>>();
        let mut descriptor = null_mut();
        let (mut present, mut defaulted, mut dacl) = (0, 0, null_mut());
        // SAFETY: the texts end with 0, and the pointers are there to be written.
        let status = unsafe {
            let text = wide(list.as_ref());
            let read = ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                1,
                &raw mut descriptor,
                null_mut(),
            );
            assert_ne!(read, 0, "{}", io::Error::last_os_error());
            GetSecurityDescriptorDacl(descriptor, &raw mut present, &raw mut dacl, &raw mut defaulted);
            SetNamedSecurityInfoW(
                wide(path.as_os_str()).as_ptr(),
                SE_FILE_OBJECT,
                DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
                null_mut(),
                null_mut(),
                dacl,
                std::ptr::null(),
            )
        };
        assert_eq!(status, 0);
        drop(Local(descriptor));
    }

    /// By itself, for Wine keeps no such lists.
    #[test]
    fn a_group_may_be_let_in_and_everybody_not() {
        let users = "S-1-5-32-545";
        assert!(is_let_in(users, Writers::Group));
        assert!(!is_let_in(users, Writers::User));
        assert!(!is_let_in(EVERYBODY, Writers::Group));
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.dll");
        std::fs::write(&file, "").unwrap();
        let own = own_sid().unwrap();
        let private = format!("D:P(A;;FA;;;{own})(A;;FA;;;SY)");
        set_list(folder.path(), &private);
        set_list(&file, &private);
        let check = |writers| check_file(&file, writers).map_err(|why| why.to_string());
        assert_eq!(check(Writers::User), Ok(()));
        set_list(&file, &format!("{private}(A;;FR;;;WD)"));
        assert_eq!(check(Writers::User), Ok(()), "reading does no harm");
        set_list(&file, &format!("{private}(A;;FA;;;WD)"));
        for writers in [Writers::User, Writers::Group] {
            let said = check(writers).unwrap_err();
            assert!(said.contains("is writable by S-1-1-0"), "{said}");
        }
        set_list(&file, &private);
        set_list(folder.path(), &format!("{private}(A;;FA;;;WD)"));
        let said = check(Writers::User).unwrap_err();
        assert!(said.contains("icacls"), "{said}");
    }
}
