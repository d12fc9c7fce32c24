//! What `queuectl_fuzz::json_lines` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::json_lines(data));
