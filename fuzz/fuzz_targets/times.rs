//! What `queuectl_fuzz::times` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::times(data));
