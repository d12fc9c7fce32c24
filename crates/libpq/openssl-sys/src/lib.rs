//! Stands in for the `openssl-sys` that libpq's build asks for: OpenSSL itself, built from source by `build.rs` with
//! what a client of PostgreSQL needs, which takes half the time; of its interface only [`init`].

use std::ffi::{c_int, c_void};
use std::sync::Once;

const OPENSSL_INIT_NO_ATEXIT: u64 = 0x0008_0000;
const OPENSSL_INIT_LOAD_SSL_STRINGS: u64 = 0x0020_0000;

unsafe extern "C" {
    fn OPENSSL_init_ssl(options: u64, settings: *const c_void) -> c_int;
}

static INITIALIZED: Once = Once::new();

/// Prepares OpenSSL. By default it tidies up when the process ends, under the hands of threads that still use it: a
/// node's connections for its lease and its wake-ups live until then. This tells it not to.
pub fn init() {
    // SAFETY: it may be called at any time, and without settings.
    INITIALIZED.call_once(|| unsafe {
        OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_ATEXIT, std::ptr::null());
    });
}
