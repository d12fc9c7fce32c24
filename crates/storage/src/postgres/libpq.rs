//! The few calls of libpq that Diesel does not offer: reading a URL as libpq reads it, and waiting for notifications
//! without asking for them again and again.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::time::Duration;

/// The parameters that a URL gives; none if libpq cannot read it. Its own message would quote the URL, which may have
/// a password in it.
pub fn parse_url(url: &str) -> Option<Vec<(String, String)>> {
    let url = CString::new(url).ok()?;
    let mut message = ptr::null_mut();
    // SAFETY: the text ends in a null byte and outlives the call; libpq writes a message or nothing.
    let options = unsafe { pq_sys::PQconninfoParse(url.as_ptr(), &raw mut message) };
    if !message.is_null() {
        // SAFETY: libpq allocated it for us to free, and nothing else has it.
        unsafe { pq_sys::PQfreemem(message.cast()) };
    }
    if options.is_null() {
        return None;
    }
    let mut given = Vec::new();
    let mut option = options;
    // SAFETY: an array from libpq, which ends with an entry without keyword; its texts end in null bytes.
    unsafe {
        while !(*option).keyword.is_null() {
            if !(*option).val.is_null() {
                let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
                given.push((text((*option).keyword), text((*option).val)));
            }
            option = option.add(1);
        }
        pq_sys::PQconninfoFree(options);
    }
    Some(given)
}

/// A connection that does nothing but wait for notifications.
pub struct Ears(NonNull<pq_sys::PGconn>);

// SAFETY: libpq allows the use of a connection by one thread at a time, and `Ears` is neither shared nor copied.
unsafe impl Send for Ears {}

impl Ears {
    /// Connects and listens to a channel, whose name must need no quoting but the quotes. None if that fails.
    pub fn open(conninfo: &str, channel: &str) -> Option<Ears> {
        let conninfo = CString::new(conninfo).ok()?;
        let listen = CString::new(format!("LISTEN \"{channel}\"")).ok()?;
        // SAFETY: the text ends in a null byte and outlives the call.
        let ears = Ears(NonNull::new(unsafe { pq_sys::PQconnectdb(conninfo.as_ptr()) })?);
        // SAFETY: the connection lives as long as `ears`; the result is freed once.
        let heard = unsafe {
            if pq_sys::PQstatus(ears.0.as_ptr()) != pq_sys::ConnStatusType::CONNECTION_OK {
                return None;
            }
            let result = pq_sys::PQexec(ears.0.as_ptr(), listen.as_ptr());
            let status = pq_sys::PQresultStatus(result);
            pq_sys::PQclear(result);
            status == pq_sys::ExecStatusType::PGRES_COMMAND_OK
        };
        heard.then_some(ears)
    }

    /// Waits until a notification comes, at most for so long. Yields what those say that came meanwhile. None if the
    /// connection broke.
    pub fn wait(&mut self, most: Duration) -> Option<Vec<String>> {
        let conn = self.0.as_ptr();
        // SAFETY: a connection that lives as long as `self`; each notification is freed once.
        unsafe {
            let mut heard = self.notified();
            if heard.is_empty() {
                let most = i64::try_from(most.as_micros()).unwrap_or(i64::MAX / 2);
                let until = pq_sys::PQgetCurrentTimeUSec().saturating_add(most);
                if pq_sys::PQsocketPoll(pq_sys::PQsocket(conn), 1, 0, until) < 0
                    || pq_sys::PQconsumeInput(conn) == 0
                {
                    return None;
                }
                heard = self.notified();
            }
            Some(heard)
        }
    }

    /// Takes the notifications that have arrived.
    fn notified(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            // SAFETY: as above.
            let notified = unsafe { pq_sys::PQnotifies(self.0.as_ptr()) };
            if notified.is_null() {
                return heard;
            }
            // SAFETY: libpq allocated it for us to free, and nothing else has it; its text ends in a null byte.
            unsafe {
                heard.push(CStr::from_ptr((*notified).extra).to_string_lossy().into_owned());
                pq_sys::PQfreemem(notified.cast());
            }
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        // SAFETY: made by libpq and finished once.
        unsafe { pq_sys::PQfinish(self.0.as_ptr()) };
    }
}
