//! Plugins as their authors make them: the tutorial in docs/plugins.md word for word, and the examples. All of them
//! keep the rules.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::done::finish_within;
use crate::support::unix::compile;
use crate::support::{Done, PATIENCE_WITH_BUILDS, Queue, binary, finish};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The commands below a mark in docs/plugins.md.
fn tutorial(language: &str) -> String {
    let page = fs::read_to_string(Path::new(HERE).join("../../docs/plugins.md")).unwrap();
    let mark = format!("<!-- tutorial: {language} -->\n\n```sh\n");
    let (_, block) = page.split_once(&mark).expect("a tutorial in docs/plugins.md");
    block.split_once("```").unwrap().0.to_owned()
}

/// A command in which cargo builds what it needs once for all tests, from what was fetched to build queuectl.
fn with_cargo(mut command: Command) -> Command {
    let home = |variable: &str, folder: &str| -> OsString {
        let default = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(folder);
        std::env::var_os(variable).unwrap_or_else(|| default().into())
    };
    command
        .env("CARGO_HOME", home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", home("RUSTUP_HOME", ".rustup"))
        .env(
            "CARGO_BUILD_BUILD_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins"),
        )
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// Types the commands of a tutorial, in a home of their own.
fn follow(queue: &Queue, language: &str) -> Done {
    let command = with_cargo(queue.bare());
    let mut path = vec![binary().parent().unwrap().to_owned()];
    // The same toolchain that builds this test, whatever else there is.
    path.extend(Path::new(env!("CARGO")).parent().map(Path::to_owned));
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    assert_eq!(program, binary());
    shell
        .current_dir(command.get_current_dir().unwrap())
        .args(["-exc", &tutorial(language)])
        .env("PATH", std::env::join_paths(path).unwrap());
    finish_within(PATIENCE_WITH_BUILDS, shell, None)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn tutorial_works(test: &str, language: &str, tools: &[&str]) {
    if let Some(tool) = tools.iter().find(|tool| !is_there(tool)) {
        queuectl_testkit::skipped(test, &format!("there is no `{tool}`"));
        return;
    }
    let queue = Queue::new();
    let done = follow(&queue, language);
    done.expect(0);
    let text = done.text();
    assert!(text.contains(" ok, 0 failed, "), "{text}");
    assert_eq!(text.lines().last(), Some("hello, you"), "{text}");
    assert_eq!(tutorial(language).lines().count(), 9, "docs/plugins.md says so");
}

#[test]
fn the_tutorial_in_rust_works_word_for_word() {
    tutorial_works("the_tutorial_in_rust_works_word_for_word", "rust", &[]);
}

#[test]
fn the_tutorial_in_c_works_word_for_word() {
    tutorial_works("the_tutorial_in_c_works_word_for_word", "c", &["cc", "make"]);
}

/// What `plugin:new` makes builds without make, too, and without a warning.
#[test]
fn a_new_project_in_c_builds_with_a_compiler_alone() {
    let queue = Queue::new();
    queue.ok(["plugin:new", "my-thing", "--lang", "c"]);
    let (project, file) = (
        queue.path("my-thing"),
        queue.path("libqueuectl_plugin_my_thing.so"),
    );
    let options = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-fPIC",
        "-shared",
    ];
    if !compile(&project.join("plugin.c"), &file, &options) {
        queuectl_testkit::skipped(
            "a_new_project_in_c_builds_with_a_compiler_alone",
            "there is no C compiler `cc`",
        );
        return;
    }
    let job = project.join("job.json");
    keeps_the_rules(&queue, &file, &job);
}

/// The recipe in docs/plugins.md: it passes with a plugin that is in order, and finds one that writes where it must not.
#[cfg(target_os = "linux")]
#[test]
fn the_check_runs_under_a_sanitizer() {
    let test = "the_check_runs_under_a_sanitizer";
    let page = fs::read_to_string(Path::new(HERE).join("../../docs/plugins.md")).unwrap();
    assert!(page.contains(
        "ASAN_OPTIONS=detect_leaks=0:log_path=asan.log LD_PRELOAD=$(cc -print-file-name=libasan.so)"
    ));
    let queue = Queue::new();
    queue.ok(["plugin:new", "my-thing", "--lang", "c"]);
    let (project, file) = (
        queue.path("my-thing"),
        queue.path("libqueuectl_plugin_my_thing.so"),
    );
    let options = ["-std=c99", "-fPIC", "-shared", "-fsanitize=address"];
    let runtime = Command::new("cc").arg("-print-file-name=libasan.so").output();
    let runtime = runtime.map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    // Where there is none, the compiler prints the name as it was given.
    let Some(runtime) = runtime.ok().filter(|runtime| runtime.is_absolute()) else {
        queuectl_testkit::skipped(test, "there is no C compiler `cc` with AddressSanitizer");
        return;
    };
    let reports = || -> Vec<String> {
        let entries = fs::read_dir(queue.path("")).unwrap().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("asan.log."));
        named
            .map(|entry| fs::read_to_string(entry.path()).unwrap())
            .collect()
    };
    let check = || {
        let mut command = queue.command(["plugin:check", file.to_str().unwrap(), "--job"]);
        command.arg(project.join("job.json"));
        command
            .env(
                "ASAN_OPTIONS",
                format!("detect_leaks=0:log_path={}", queue.path("asan.log").display()),
            )
            .env("LD_PRELOAD", &runtime);
        finish(command, None)
    };
    assert!(compile(&project.join("plugin.c"), &file, &options));
    let done = check();
    assert_eq!((done.status, reports()), (0, vec![]), "{}", done.err);

    let mut source = fs::read_to_string(project.join("plugin.c")).unwrap();
    source.push_str(
        "\n#include <stdlib.h>\n__attribute__((constructor)) static void beyond(void) {\n    volatile char *text = malloc(1);\n    \
         text[1] = 1;\n    free((void *)text);\n}\n",
    );
    fs::write(project.join("plugin.c"), source).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(compile(&project.join("plugin.c"), &file, &options));
    let done = check();
    assert_ne!(done.status, 0, "{}", done.err);
    let reports = reports();
    assert!(reports[0].contains("heap-buffer-overflow"), "{reports:?}");
}

#[test]
fn the_example_in_c_keeps_the_rules_and_adds_lines() {
    let queue = Queue::new();
    let (file, include) = (
        queue.path("libqueuectl_plugin_append.so"),
        Path::new(HERE).join("../plugin-api/include"),
    );
    let source = Path::new(HERE).join("../../examples/plugin-c/plugin.c");
    let options = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        include.to_str().unwrap(),
        "-fPIC",
        "-shared",
    ];
    if !compile(&source, &file, &options) {
        queuectl_testkit::skipped(
            "the_example_in_c_keeps_the_rules_and_adds_lines",
            "there is no C compiler `cc`",
        );
        return;
    }
    let log = queue.path("lines");
    let payload = format!(
        r#"{{"payload":{{"file":"{}","line":"it works"}}}}"#,
        log.display()
    );
    let job = queue.write("job.json", payload);
    keeps_the_rules(&queue, &file, &job);
    let lines = queue.lines("lines");
    assert!(
        lines.len() > 100 && lines.iter().all(|line| line == "it works"),
        "{lines:?}"
    );
    let job = queue.write("bad.json", r#"{"payload":{"file":"/nowhere/at/all","line":"x"}}"#);
    let message = queue.fails(1, ["plugin:run", file.to_str().unwrap(), job.to_str().unwrap()]);
    assert!(message.contains("No such file or directory"), "{message}");
}

#[test]
fn the_example_in_rust_keeps_the_rules_and_runs_scripts() {
    let queue = Queue::new();
    // A copy, so that nothing is written into the sources.
    let (example, copy) = (
        Path::new(HERE).join("../../examples/plugin-rust"),
        queue.path("example"),
    );
    fs::create_dir_all(copy.join("src")).unwrap();
    fs::copy(example.join("src/lib.rs"), copy.join("src/lib.rs")).unwrap();
    let api = Path::new(HERE).join("../plugin-api").canonicalize().unwrap();
    let manifest = fs::read_to_string(example.join("Cargo.toml")).unwrap();
    let moved = manifest.replace("../../crates/plugin-api", api.to_str().unwrap());
    assert_ne!(manifest, moved);
    fs::write(copy.join("Cargo.toml"), moved).unwrap();
    let mut build = with_cargo(Command::new(env!("CARGO")));
    build.args(["build", "--release", "--quiet"]).current_dir(&copy);
    let built = build.output().unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let file = copy.join("target/release/libqueuectl_plugin_script.so");

    queue.ok(["config:set", "script.interpreter", "sh"]);
    let job = queue.write("sample.json", r#"{"payload":{"script":"exit 0"}}"#);
    keeps_the_rules(&queue, &file, &job);
    let job = queue.write(
        "job.json",
        r#"{"payload":{"script":"echo $((6 * 7)) $A"},"env":{"A":"b"}}"#,
    );
    let printed = queue.ok(["plugin:run", file.to_str().unwrap(), job.to_str().unwrap()]);
    assert_eq!(printed, "42 b");
}

fn keeps_the_rules(queue: &Queue, file: &Path, job: &Path) {
    let words = ["plugin:check", file.to_str().unwrap(), "--many", "200", "--job"];
    queue.run(words.iter().map(Path::new).chain([job])).expect(0);
}
