//! libpq and the part of OpenSSL that it needs, as a shared library.
//!
//! `queuectl` loads it when a location is on PostgreSQL, and not before: a queue in a file then pays neither for
//! OpenSSL's tables, which take more of a start than everything else, nor for building it.
//! The library exports one function, which yields a table of libpq's; `pq-sys` beside this crate declares the
//! table and loads the library. No decision is made here.

use std::ffi::{c_char, c_int, c_void};

use pq_sys::*;

macro_rules! link {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        mod linked {
            use super::*;

            // `pq-src` links it.
            unsafe extern "C" {
                $(pub fn $name($($argument: $type),*) $(-> $result)?;)*
            }
        }

        static FUNCTIONS: Functions = Functions {
            layout: LAYOUT,
            $($name: linked::$name,)*
        };
    };
}

pq_sys::for_each_function!(link);

// For what it links.
use pq_src as _;

/// Prepares OpenSSL and yields the functions.
#[unsafe(no_mangle)]
pub extern "C" fn queuectl_libpq() -> *const Functions {
    openssl_sys::init();
    &raw const FUNCTIONS
}
