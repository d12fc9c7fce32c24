//! What `queuectl_fuzz::settings` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::settings(data));
