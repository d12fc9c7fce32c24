//! What `queuectl_fuzzing::plugin_describe` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queuectl_fuzzing::plugin_describe(data));
