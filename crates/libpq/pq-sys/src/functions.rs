//! The functions of libpq, listed once: the table that the library yields and the functions that callers know follow.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use crate::types::*;

/// Hands the list to a macro; where that is called, the types must be known by these names.
#[macro_export]
macro_rules! for_each_function {
    ($macro:ident) => {
        $macro! {
            fn PQclear(res: *mut PGresult);
            fn PQcmdTuples(res: *mut PGresult) -> *mut c_char;
            fn PQconnectPoll(conn: *mut PGconn) -> PostgresPollingStatusType;
            fn PQconnectStart(conninfo: *const c_char) -> *mut PGconn;
            fn PQconnectdb(conninfo: *const c_char) -> *mut PGconn;
            fn PQconninfoFree(options: *mut PQconninfoOption);
            fn PQconninfoParse(conninfo: *const c_char, message: *mut *mut c_char) -> *mut PQconninfoOption;
            fn PQconsumeInput(conn: *mut PGconn) -> c_int;
            fn PQerrorMessage(conn: *const PGconn) -> *mut c_char;
            fn PQexec(conn: *mut PGconn, query: *const c_char) -> *mut PGresult;
            fn PQfinish(conn: *mut PGconn);
            fn PQfname(res: *const PGresult, field: c_int) -> *mut c_char;
            fn PQfreemem(memory: *mut c_void);
            fn PQftype(res: *const PGresult, field: c_int) -> Oid;
            fn PQgetCopyData(conn: *mut PGconn, buffer: *mut *mut c_char, asynchronous: c_int) -> c_int;
            fn PQgetCurrentTimeUSec() -> pg_usec_time_t;
            fn PQgetResult(conn: *mut PGconn) -> *mut PGresult;
            fn PQgetisnull(res: *const PGresult, tuple: c_int, field: c_int) -> c_int;
            fn PQgetlength(res: *const PGresult, tuple: c_int, field: c_int) -> c_int;
            fn PQgetvalue(res: *const PGresult, tuple: c_int, field: c_int) -> *mut c_char;
            fn PQnfields(res: *const PGresult) -> c_int;
            fn PQnotifies(conn: *mut PGconn) -> *mut pgNotify;
            fn PQntuples(res: *const PGresult) -> c_int;
            fn PQprepare(
                conn: *mut PGconn,
                name: *const c_char,
                query: *const c_char,
                count: c_int,
                types: *const Oid
            ) -> *mut PGresult;
            fn PQputCopyData(conn: *mut PGconn, buffer: *const c_char, bytes: c_int) -> c_int;
            fn PQputCopyEnd(conn: *mut PGconn, message: *const c_char) -> c_int;
            fn PQresultErrorField(res: *const PGresult, field: c_int) -> *mut c_char;
            fn PQresultErrorMessage(res: *const PGresult) -> *mut c_char;
            fn PQresultStatus(res: *const PGresult) -> ExecStatusType;
            fn PQsendQueryParams(
                conn: *mut PGconn,
                command: *const c_char,
                count: c_int,
                types: *const Oid,
                values: *const *const c_char,
                lengths: *const c_int,
                formats: *const c_int,
                result_format: c_int
            ) -> c_int;
            fn PQsendQueryPrepared(
                conn: *mut PGconn,
                name: *const c_char,
                count: c_int,
                values: *const *const c_char,
                lengths: *const c_int,
                formats: *const c_int,
                result_format: c_int
            ) -> c_int;
            fn PQsetErrorVerbosity(conn: *mut PGconn, verbosity: PGVerbosity) -> PGVerbosity;
            fn PQsetNoticeProcessor(
                conn: *mut PGconn,
                processor: PQnoticeProcessor,
                argument: *mut c_void
            ) -> PQnoticeProcessor;
            fn PQsetSingleRowMode(conn: *mut PGconn) -> c_int;
            fn PQsocket(conn: *const PGconn) -> c_int;
            fn PQsocketPoll(socket: c_int, for_read: c_int, for_write: c_int, until: pg_usec_time_t) -> c_int;
            fn PQstatus(conn: *const PGconn) -> ConnStatusType;
            fn PQtransactionStatus(conn: *const PGconn) -> PGTransactionStatusType;
        }
    };
}

macro_rules! declare {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        /// What the library yields: its functions.
        #[repr(C)]
        pub struct Functions {
            /// [`LAYOUT`] of what the library was built with; nothing else may be read before it is compared.
            pub layout: u64,
            $(pub $name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        /// Tells tables apart: it follows from the names and types of all functions, in their order.
        pub const LAYOUT: u64 = hash(concat!($(stringify!($name($($type),*) $(-> $result)?),)*));

        $(
            #[inline]
            pub unsafe fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller keeps to libpq's manual, and the table has been checked when it was loaded.
                unsafe { (loaded().$name)($($argument),*) }
            }
        )*
    };
}

for_each_function!(declare);

/// What `load` found.
pub(crate) static LOADED: OnceLock<&'static Functions> = OnceLock::new();

/// Returns the functions.
///
/// # Panics
/// [`load`](crate::load) was not called, or failed, and the caller went on.
fn loaded() -> &'static Functions {
    LOADED.get().expect("libpq is loaded before it is used")
}

/// FNV-1a, which can be computed by the compiler.
const fn hash(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    hash
}
