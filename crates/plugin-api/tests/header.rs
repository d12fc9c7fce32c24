//! The header and the Rust types describe the same memory.

use std::mem::offset_of;
use std::process::Command;

use queuectl_plugin_api::abi::{self, *};

/// Pairs of a C expression and the value that Rust has for it.
fn expectations() -> Vec<(String, u64)> {
    let mut list = Vec::new();
    macro_rules! layout {
        ($($name:ident { $($field:ident),* })*) => {$(
            list.push((format!("sizeof({})", stringify!($name)), size_of::<$name>() as u64));
            $(list.push((
                format!("offsetof({}, {})", stringify!($name), stringify!($field)),
                offset_of!($name, $field) as u64,
            ));)*
        )*};
    }
    macro_rules! constants {
        ($($name:ident)*) => { $(list.push((stringify!($name).to_owned(), $name as u64));)* };
    }
    layout! {
        qc_str { ptr, len }
        qc_error { ptr, cap, len }
        qc_pair { name, value }
        qc_run_v1 { size, attempt, run, job_number, fence, timeout_ms, job_id, queue, request, mark }
        qc_spawn_v1 { size, flags, argv, argv_len, env, env_len, env_remove, env_remove_len, cwd, stdin_bytes,
            umask, nice, rlimits, rlimits_len, memory_bytes, pids, env_keep, env_keep_len, user, file_bytes }
        qc_rlimit { resource, reserved, soft, hard }
        qc_exit_v1 { size, kind, code, stopped, message }
        qc_outcome_v1 { size, kind, fields, exit_code, signal, reserved, message, retry_after_ms }
        qc_host_v1 { size, minor, log, output, spawn, finished, features, event, save_handle }
        qc_plugin_v1 {
            size, minor, describe, create, destroy, start, exited, stop, features, fingerprint, validate, signal,
            reattach, recorded, reap, stats, shutdown, discard
        }
    }
    constants! {
        QC_OK QC_INVALID QC_SYSTEM_FAILURE QC_UNHANDLED
        QC_LOG_ERROR QC_LOG_WARN QC_LOG_INFO QC_LOG_DEBUG QC_STDOUT QC_STDERR
        QC_STOP_GRACEFUL QC_STOP_KILL QC_EXIT_CODE QC_EXIT_SIGNAL QC_EXIT_NOT_STARTED
        QC_SUCCEEDED QC_FAILED QC_FAILED_SYSTEM QC_HAS_EXIT_CODE QC_HAS_SIGNAL QC_HAS_RETRY_AFTER QC_IS_FINAL QC_IS_BUSY QC_SPAWN_RAW_LAST
        QC_HOST_ADOPTS QC_HOST_RECORDS QC_HOST_RETRY_AFTER QC_HOST_SPAWN_LIMITS QC_HOST_FINAL QC_HOST_BUSY
        QC_SPAWN_CLEAN_ENV QC_SPAWN_UMASK QC_SPAWN_NICE QC_SPAWN_RLIMITS QC_SPAWN_MEMORY QC_SPAWN_PIDS QC_SPAWN_USER
        QC_SPAWN_FILE QC_RLIMIT_CPU QC_RLIMIT_NOFILE QC_RLIMIT_CORE QC_RLIMIT_FSIZE QC_RLIMIT_AS QC_RLIMIT_NPROC
        QC_RLIMIT_STACK QC_RLIMIT_DATA QC_RLIMIT_MEMLOCK QC_RLIM_UNLIMITED QC_RLIM_KEEP
    }
    list.push(("QC_MAGIC".to_owned(), abi::MAGIC));
    list.push((
        format!("strcmp(QC_SPAWN_FILE_PATH, \"{}\") == 0", abi::SPAWN_FILE_PATH),
        1,
    ));
    list.push(("QC_HANDLE_BYTES".to_owned(), abi::HANDLE_BYTES as u64));
    list.push(("QC_ABI_MAJOR".to_owned(), abi::MAJOR.into()));
    list.push(("QC_ABI_MINOR".to_owned(), abi::MINOR.into()));
    list.push(("sizeof(qc_status)".to_owned(), size_of::<qc_status>() as u64));
    list
}

#[test]
fn header_and_rust_types_agree() {
    if Command::new("cc").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no C compiler, and CI must not skip this test"
        );
        println!("skipped: header_and_rust_types_agree (no C compiler named cc)");
        return;
    }
    let expectations = expectations();
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("layout.c"), folder.path().join("layout"));
    let mut text = String::from(
        "#include <stdio.h>\n#include <string.h>\n#include \"queuectl_plugin.h\"\nint main(void) {\n",
    );
    for (expression, _) in &expectations {
        text += &format!("  printf(\"%llu\\n\", (unsigned long long)({expression}));\n");
    }
    text += "  return 0;\n}\n";
    std::fs::write(&source, text).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let compiled = Command::new("cc")
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-I",
            include,
            "-o",
        ])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let values: Vec<u64> = printed.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), expectations.len());
    for ((expression, rust), c) in expectations.iter().zip(values) {
        assert_eq!(*rust, c, "{expression}");
    }
}
