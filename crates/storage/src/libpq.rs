//! The few calls of libpq that Diesel does not offer: reading a URL as libpq reads it, the SQLSTATE of an error, and
//! waiting for notifications without asking for them again and again.

use std::ffi::{CStr, CString, c_int};
use std::ptr::{self, NonNull};
use std::time::Duration;

use diesel::result::DatabaseErrorInformation;

/// The parameters that a URL gives; none if libpq cannot read it. Its own message would quote the URL, which may have
/// a password in it.
pub fn parse_url(url: &str) -> Option<Vec<(String, String)>> {
    // Every use of libpq begins here. A location has reported by now that it cannot be loaded.
    pq_sys::load().ok()?;
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

/// The SQLSTATE of an error that Diesel passes on; none if it is not an answer of a server.
///
/// Diesel has it, and offers all fields of the answer but this one. Its type for that is private and consists of a
/// `PGresult` pointer, which is taken out here; so `Cargo.toml` names one version of Diesel, and a test would notice.
pub fn sqlstate(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> Option<String> {
    type Result = *const pq_sys::PGresult;
    if (size_of_val(info), align_of_val(info)) != (size_of::<Result>(), align_of::<Result>()) {
        return None;
    }
    // SAFETY: a value of the size of a pointer, so the pointer can be read. Of the types that Diesel has for this, only the
    // one of PostgreSQL is so small (the other is a `String`), and that is a pointer to a result which lives as long.
    let field = |field: u8| unsafe {
        let result = ptr::from_ref(info).cast::<Result>().read();
        let text = pq_sys::PQresultErrorField(result, c_int::from(field));
        (!text.is_null()).then(|| CStr::from_ptr(text))
    };
    // The message that Diesel shows is this very field, unless libpq itself made the result.
    let message = field(pq_sys::PG_DIAG_MESSAGE_PRIMARY)?;
    if message.as_ptr().cast::<u8>() != info.message().as_ptr() {
        return None;
    }
    let state = field(pq_sys::PG_DIAG_SQLSTATE)?;
    Some(state.to_string_lossy().into_owned())
}

/// Connects once more, to learn by which SQLSTATE a server refuses that; none if it lets us in now, or does not answer.
pub fn refusal(conninfo: &str) -> Option<String> {
    let conninfo = CString::new(conninfo).ok()?;
    // SAFETY: the text ends in a null byte and outlives the call.
    let conn = Listener(NonNull::new(unsafe {
        pq_sys::PQconnectStart(conninfo.as_ptr())
    })?);
    let raw = conn.0.as_ptr();
    // SAFETY: a connection that lives as long as `conn`; its message ends in a null byte and is copied at once.
    let message = unsafe {
        pq_sys::PQsetErrorVerbosity(raw, pq_sys::PGVerbosity::PQERRORS_VERBOSE);
        use pq_sys::PostgresPollingStatusType as Polling;
        let mut next = Polling::PGRES_POLLING_WRITING;
        while matches!(
            next,
            Polling::PGRES_POLLING_READING | Polling::PGRES_POLLING_WRITING
        ) {
            let writes = c_int::from(next == Polling::PGRES_POLLING_WRITING);
            let until = pq_sys::PQgetCurrentTimeUSec().saturating_add(ANSWER_US);
            if pq_sys::PQsocketPoll(pq_sys::PQsocket(raw), 1 - writes, writes, until) <= 0 {
                return None;
            }
            next = pq_sys::PQconnectPoll(raw);
        }
        CStr::from_ptr(pq_sys::PQerrorMessage(raw))
            .to_string_lossy()
            .into_owned()
    };
    // `FATAL:  28P01: password authentication failed`, for each host that was tried.
    let is_state =
        |code: &&str| code.len() == 5 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let states = message
        .split(":  ")
        .skip(1)
        .filter_map(|rest| rest.split_once(": "));
    states
        .map(|(code, _)| code)
        .filter(is_state)
        .last()
        .map(str::to_owned)
}

/// How long a server that has just answered may take to do so again, at each step, in us.
const ANSWER_US: i64 = 5_000_000;

/// A connection that does nothing but wait for notifications.
pub struct Listener(NonNull<pq_sys::PGconn>);

// SAFETY: libpq allows the use of a connection by one thread at a time, and `Listener` is neither shared nor copied.
unsafe impl Send for Listener {}

impl Listener {
    /// Connects and listens to a channel, whose name must need no quoting but the quotes. None if that fails.
    pub fn open(conninfo: &str, channel: &str) -> Option<Listener> {
        let conninfo = CString::new(conninfo).ok()?;
        let listen = CString::new(format!("LISTEN \"{channel}\"")).ok()?;
        // SAFETY: the text ends in a null byte and outlives the call.
        let listener = Listener(NonNull::new(unsafe { pq_sys::PQconnectdb(conninfo.as_ptr()) })?);
        // SAFETY: the connection lives as long as `listener`; the result is freed once.
        let heard = unsafe {
            if pq_sys::PQstatus(listener.0.as_ptr()) != pq_sys::ConnStatusType::CONNECTION_OK {
                return None;
            }
            let result = pq_sys::PQexec(listener.0.as_ptr(), listen.as_ptr());
            let status = pq_sys::PQresultStatus(result);
            pq_sys::PQclear(result);
            status == pq_sys::ExecStatusType::PGRES_COMMAND_OK
        };
        heard.then_some(listener)
    }

    /// Waits until a notification comes, for `most` at the longest. Yields what those say that came meanwhile. None if the
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

impl Drop for Listener {
    fn drop(&mut self) {
        // SAFETY: made by libpq and finished once.
        unsafe { pq_sys::PQfinish(self.0.as_ptr()) };
    }
}
