//! What `queuectl_fuzzing::times` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzzing::times(data));
