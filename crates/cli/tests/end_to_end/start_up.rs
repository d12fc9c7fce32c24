//! What the system does for each command before its first line.

use crate::support::binary;

/// Another library costs each command a tenth of the page faults of its start, and a mathematical function is enough for
/// one; see `math.rs` in `crates/sys`.
#[test]
fn no_library_is_loaded_but_that_of_c() {
    let binary = std::fs::read(binary()).unwrap();
    let needs = |name: &[u8]| binary.windows(name.len()).any(|bytes| bytes == name);
    assert!(needs(b"\0libc.so.6\0"));
    for library in [&b"\0libm.so.6\0"[..], b"\0libgcc_s.so.1\0", b"\0libz.so.1\0"] {
        assert!(!needs(library), "{}", String::from_utf8_lossy(library));
    }
}
