//! What `queuectl_fuzz::frames` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::frames(data));
