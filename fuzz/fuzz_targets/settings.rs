//! What `queuectl_fuzzing::settings` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzzing::settings(data));
