//! The library with libpq, which is loaded when a location is on PostgreSQL, and only then.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Queue, binary, finish};

/// Where no server listens.
const NOWHERE: &str = "postgres://ann@127.0.0.1:1/jobs?connect_timeout=5";

#[test]
fn it_is_loaded_from_its_installation_and_missed_there_alone() {
    let queue = Queue::new();
    let prefix = queue.path("prefix");
    let program = prefix.join("bin").join(binary().file_name().unwrap());
    let library = prefix
        .join("lib/queuectl")
        .join(format!("{DLL_PREFIX}queuectl_libpq{DLL_SUFFIX}"));
    for file in [&program, &library] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    fs::copy(binary(), &program).unwrap();
    let run = |location: &Path| -> Done {
        let mut command = Command::new(&program);
        let known = queue.bare();
        command
            .env_clear()
            .envs(known.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command
            .arg("--db")
            .arg(location)
            .args(["enqueue", "true"])
            .current_dir(queue.path(""));
        finish(command, None)
    };

    // Not installed, and nothing else is missing.
    let said = run(Path::new(NOWHERE)).fails(5);
    assert!(said.contains(library.to_str().unwrap()), "{said}");
    assert!(said.contains("cargo xtask install"), "{said}");
    assert_eq!(run(queue.db()).ok(), "1");

    // Something else is there.
    fs::write(&library, "no library").unwrap();
    let said = run(Path::new(NOWHERE)).fails(5);
    assert!(said.contains("cannot be loaded"), "{said}");
    assert_eq!(run(queue.db()).ok(), "2");

    // The control: it is there, and the server is missing.
    fs::copy(binary().with_file_name(library.file_name().unwrap()), &library).unwrap();
    let said = run(Path::new(NOWHERE)).fails(6);
    assert!(said.contains("cannot be reached"), "{said}");
}
