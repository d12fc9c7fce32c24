//! The write-ahead log beside the file, which stays when its last user goes.
//!
//! SQLite empties and removes the log whenever the last connection is closed, and syncs the folder whenever a connection
//! first syncs the log. For a command that stores one job this is four waits for the disk besides the one that is needed.
//! So no connection of this program empties the log on closing, and the folder is synced only for a log that is new.
//!
//! What SQLite knows of the log beyond its content goes with the last connection: above all, how much of it is in the file
//! already. So short commands that follow each other would move the same pages into the file again and again, in a log that
//! never begins again: [`leave`] empties it when it has become long.

use std::ffi::{c_char, c_int};
use std::sync::Once;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;
use libsqlite3_sys as ffi;

use crate::StoreError;

/// A connection that closes empties the log if it has at least this many pages. A lone command reads the whole log: this
/// keeps that to a few percent of its work, and the three waits for the disk that emptying takes to one command in forty.
const LONG: i32 = 250;
/// What a log that had to grow is cut to when it begins again, in bytes.
const KEPT: u32 = 8 << 20;

/// Sets SQLite up for this process, once.
pub fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(feature = "sim")]
        large_lookaside();
        // SAFETY: the function has the type that SQLite calls it with, whatever the declaration says of arguments.
        let status = unsafe { ffi::sqlite3_auto_extension(Some(keep_log)) };
        // Without it the log is emptied on closing, as ever.
        if status != ffi::SQLITE_OK {
            tracing::debug!(status, "SQLite does not take the hook for new connections");
        }
        #[cfg(unix)]
        folder::set_up();
    });
}

/// Has each connection set more memory aside: the simulator prepares statements all the time.
#[cfg(feature = "sim")]
fn large_lookaside() {
    // SAFETY: the option takes two numbers. It is refused, and nothing changes, if SQLite is in use.
    unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 1200 as c_int, 200 as c_int) };
}

/// Called by SQLite for each new connection of this process.
unsafe extern "C" fn keep_log(
    conn: *mut ffi::sqlite3,
    _: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    let unused: *mut c_int = std::ptr::null_mut();
    // SAFETY: the connection is SQLite's own, and the option takes a number and a pointer that may be null.
    unsafe { ffi::sqlite3_db_config(conn, ffi::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 as c_int, unused) };
    ffi::SQLITE_OK
}

/// Bounds the log of a connection.
pub fn bound(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    Ok(conn.batch_execute(&format!("PRAGMA journal_size_limit = {KEPT};"))?)
}

#[derive(QueryableByName)]
struct Length {
    #[diesel(sql_type = Integer)]
    log: i32,
}

/// Empties the log before a connection that wrote is closed, if the log is long or `in_any_case`. Does not wait for other
/// connections, and may fail: the next connection tries again.
pub fn leave(conn: &mut SqliteConnection, in_any_case: bool) {
    let length = diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result::<Length>(conn);
    let least = if in_any_case { 1 } else { LONG };
    if length.is_ok_and(|length| length.log >= least) {
        let _ = conn.batch_execute("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE);");
    }
}

/// SQLite syncs the folder of a log that it may have made, and does not look whether it did. Here it is told.
#[cfg(unix)]
mod folder {
    use std::ffi::{CStr, OsStr, c_int};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::ptr::null;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use libsqlite3_sys as ffi;

    /// SQLite's own access to files, to which everything is passed on.
    static OWN: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());

    pub fn set_up() {
        // SAFETY: the structure that SQLite returns lives as long as the process; the copy does, too, for it is never freed.
        // All its functions but one are SQLite's own, which read nothing of it but what was copied.
        unsafe {
            let own = ffi::sqlite3_vfs_find(null());
            if own.is_null() {
                return;
            }
            OWN.store(own, Ordering::Release);
            let mut ours = *own;
            ours.zName = c"queuectl".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1);
        }
    }

    /// Whether there is something in a log.
    fn has_content(log: &Path) -> bool {
        log.metadata().is_ok_and(|log| log.len() > 0)
    }

    /// Opens a file as SQLite does, but a log that has content already as a file that is not to be made.
    unsafe extern "C" fn open(
        _: *mut ffi::sqlite3_vfs,
        name: ffi::sqlite3_filename,
        file: *mut ffi::sqlite3_file,
        flags: c_int,
        flags_out: *mut c_int,
    ) -> c_int {
        let own = OWN.load(Ordering::Acquire);
        // SAFETY: it was found before this function was registered, and lives as long as the process.
        let Some(own_open) = (unsafe { (*own).xOpen }) else {
            return ffi::SQLITE_CANTOPEN;
        };
        if flags & ffi::SQLITE_OPEN_WAL != 0 && !name.is_null() {
            // SAFETY: SQLite's names end with 0 and live longer than the file is open.
            let path = unsafe { CStr::from_ptr(name) };
            if has_content(Path::new(OsStr::from_bytes(path.to_bytes()))) {
                let flags = flags & !ffi::SQLITE_OPEN_CREATE;
                // SAFETY: these are the arguments that SQLite called with, but for the flags.
                let status = unsafe { own_open(own, name, file, flags, flags_out) };
                if status == ffi::SQLITE_OK {
                    return status;
                }
            }
        }
        // SAFETY: as above.
        unsafe { own_open(own, name, file, flags, flags_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpenMode;
    use crate::sqlite::open::open;

    /// Short commands, one after the other, while no other process has the file open.
    #[test]
    fn a_log_stays_and_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let log = crate::os::companions(&file)[0].clone();
        let length = || log.metadata().unwrap().len();
        let (mut longest, mut emptied) = (0, 0);
        for _ in 0..400 {
            let (mut conn, _) = open(&file, OpenMode::Create).unwrap();
            conn.batch_execute(
                "INSERT INTO settings (key, value) VALUES (hex(randomblob(9)), hex(randomblob(9000)))",
            )
            .unwrap();
            leave(&mut conn, false);
            drop(conn);
            longest = longest.max(length());
            emptied += u32::from(length() == 0);
        }
        assert!(emptied >= 1, "it was never emptied");
        assert!(longest > 1 << 19, "it is emptied all the time");
        assert!(longest < 5 << 20, "it grew to {longest} bytes");
        // The writer that finished last leaves everything in the file.
        let (mut conn, _) = open(&file, OpenMode::MustExist).unwrap();
        conn.batch_execute("DELETE FROM settings").unwrap();
        leave(&mut conn, true);
        drop(conn);
        assert_eq!(length(), 0);
        let alone = folder.path().join("alone.db");
        std::fs::copy(&file, &alone).unwrap();
        let count = |file: &std::path::Path| {
            let conn = rusqlite::Connection::open(file).unwrap();
            conn.query_row("SELECT count(*) FROM settings", [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(count(&alone), count(&file));
    }
}
