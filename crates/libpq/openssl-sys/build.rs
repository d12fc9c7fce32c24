//! Builds OpenSSL, without what a client of PostgreSQL has no use for.
//!
//! `openssl-src` knows how to build it for every system, and has no options for parts. It calls perl to configure
//! OpenSSL; where scripts can stand in for programs, one that adds the options stands in for perl.

/// Protocols and formats that libpq does not speak, and algorithms that no TLS 1.2 or 1.3 with a server of PostgreSQL
/// agrees on.
const LEFT_OUT: &[&str] = &[
    // Protocols, formats and interfaces.
    "afalgeng", "apps", "async", "capieng", "cmp", "cms", "ct", "docs", "dtls", "engine", "http", "nextprotoneg",
    "ocsp", "padlockeng", "psk", "quic", "rfc3779", "srp", "srtp", "ssl-trace", "ts",
    // Algorithms.
    "argon2", "aria", "bf", "blake2", "cast", "dsa", "ec2m", "gost", "md4", "mdc2", "ml-dsa", "multiblock", "ocb",
    "rc2", "rc4", "rmd160", "scrypt", "siphash", "siv", "slh-dsa", "sm2", "sm3", "sm4", "whirlpool",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(unix)]
    configure_less();
    openssl_src::Build::new().build().print_cargo_metadata();
}

/// Puts a script in perl's place. OpenSSL's own Makefile knows perl by itself.
#[cfg(unix)]
fn configure_less() {
    use std::os::unix::fs::PermissionsExt;
    let options: Vec<String> = LEFT_OUT.iter().map(|part| format!("no-{part}")).collect();
    let script = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("perl");
    let text = format!("#!/bin/sh\nexec perl \"$@\" {}\n", options.join(" "));
    std::fs::write(&script, text).expect("the script for perl can be written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    // SAFETY: nothing else runs in this process.
    unsafe { std::env::set_var("OPENSSL_SRC_PERL", &script) };
}
