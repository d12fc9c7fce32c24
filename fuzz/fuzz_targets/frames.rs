//! What `queuectl_fuzzing::frames` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzzing::frames(data));
