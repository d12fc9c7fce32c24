//! What `queuectl_fuzzing::json_lines` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzzing::json_lines(data));
