//! What `queuectl_fuzz::selectors` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::selectors(data));
