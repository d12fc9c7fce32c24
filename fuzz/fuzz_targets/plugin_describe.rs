//! What `queuectl_fuzz::plugin_describe` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzz::plugin_describe(data));
