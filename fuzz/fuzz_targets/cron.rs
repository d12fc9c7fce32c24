//! What `queuectl_fuzz::cron` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::cron(data));
