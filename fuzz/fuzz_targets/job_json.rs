//! What `queuectl_fuzz::job_json` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::job_json(data));
