//! Which crate of ours may depend on which, for every platform.
//!
//! What may come from outside, and that only storage knows SQL, is for cargo-deny: `deny.toml` says it.

use cargo_metadata::{DependencyKind, Package};

use super::Violation;
use crate::workspace::Workspace;

/// What each folder may depend on. Tests may use [`FOR_TESTS`] besides.
const ARROWS: &[(&str, &[&str])] = &[
    ("crates/core", &[]),
    ("crates/libpq", &[]),
    ("crates/plugin-api", &[]),
    ("crates/sys", &[]),
    (
        "crates/storage",
        &["crates/core", "crates/scheduler", "crates/sys"],
    ),
    ("crates/scheduler", &["crates/core"]),
    (
        "crates/executor",
        &["crates/core", "crates/plugin-api", "crates/sys"],
    ),
    ("crates/dlq", &["crates/core", "crates/storage"]),
    (
        "crates/worker",
        &[
            "crates/core",
            "crates/storage",
            "crates/scheduler",
            "crates/executor",
        ],
    ),
    ("crates/views", &["crates/core"]),
    (
        "crates/frontend",
        &["crates/core", "crates/storage", "crates/dlq", "crates/views"],
    ),
    (
        "crates/conformance",
        &[
            "crates/core",
            "crates/plugin-api",
            "crates/executor",
            "crates/worker",
        ],
    ),
    (
        "crates/pages",
        &["crates/core", "crates/views", "crates/frontend"],
    ),
    (
        "crates/server",
        &[
            "crates/core",
            "crates/scheduler",
            "crates/storage",
            "crates/dlq",
            "crates/views",
            "crates/frontend",
            "crates/pages",
        ],
    ),
    (
        "crates/top",
        &[
            "crates/core",
            "crates/scheduler",
            "crates/storage",
            "crates/dlq",
            "crates/views",
            "crates/frontend",
        ],
    ),
    (
        "crates/cli",
        &[
            "crates/conformance",
            "crates/frontend",
            "crates/server",
            "crates/top",
            "crates/views",
            "crates/worker",
            "crates/dlq",
            "crates/storage",
            "crates/scheduler",
            "crates/core",
            "crates/executor",
            "crates/sys",
        ],
    ),
    (TESTKIT, &["crates/core", "crates/storage"]),
    (
        "crates/sim",
        &["crates/core", "crates/storage", "crates/worker", TESTKIT],
    ),
    (
        "fuzz",
        &[
            "crates/core",
            "crates/scheduler",
            "crates/executor",
            "crates/worker",
            "crates/frontend",
            "crates/cli",
        ],
    ),
    (TEST_ENGINE, &[]),
    (DEVKIT, &[]),
    ("crates/torture", &[DEVKIT, TEST_ENGINE]),
    ("crates/bench", &[DEVKIT]),
    ("xtask", &[DEVKIT, "crates/sys"]),
];
/// Every plugin, whatever its name.
const PLUGIN_ARROWS: &[&str] = &["crates/plugin-api"];

const TESTKIT: &str = "crates/testkit";
const TEST_ENGINE: &str = "crates/test-engine";
const DEVKIT: &str = "crates/devkit";
const FOR_TESTS: &[&str] = &[TESTKIT, TEST_ENGINE, DEVKIT];
/// A workspace member, as far as the rules look at it.
pub struct Member {
    folder: String,
    dependencies: Vec<Dependency>,
}

/// One declared dependency.
struct Dependency {
    /// The folder of one of ours, the name of any other package.
    on: String,
    ours: bool,
    for_tests: bool,
}

/// The members of the workspace.
pub fn packages(workspace: &Workspace) -> Vec<Member> {
    let ours = workspace.metadata.workspace_packages();
    let member = |package: &Package| {
        let dependencies = package.dependencies.iter().map(|dependency| {
            let own = ours
                .iter()
                .find(|package| package.name.as_str() == dependency.name);
            Dependency {
                on: own.map_or_else(|| dependency.name.clone(), |package| workspace.folder(package)),
                ours: own.is_some(),
                for_tests: dependency.kind == DependencyKind::Development,
            }
        });
        Member {
            folder: workspace.folder(package),
            dependencies: dependencies.collect(),
        }
    };
    ours.iter().map(|package| member(package)).collect()
}

/// Checks the arrows between members.
pub fn check(members: &[Member]) -> Vec<Violation> {
    members.iter().flat_map(check_member).collect()
}

fn check_member(member: &Member) -> Vec<Violation> {
    let manifest = format!("{}/Cargo.toml", member.folder);
    let Some(allowed) = allowed_from(&member.folder) else {
        let advice =
            "no rule says what this package may depend on; add it to ARROWS in xtask/src/tidy/arrows.rs";
        return vec![Violation::new(manifest, advice)];
    };
    let mut violations = Vec::new();
    for Dependency { on, ours, for_tests } in &member.dependencies {
        if *ours && !allowed.contains(&on.as_str()) && !(*for_tests && FOR_TESTS.contains(&on.as_str())) {
            let may = if allowed.is_empty() {
                "nothing of ours".to_owned()
            } else {
                allowed.join(", ")
            };
            violations.push(Violation::new(
                &manifest,
                format!("remove {on}; {} may depend on {may}", member.folder),
            ));
        }
    }
    violations
}

fn allowed_from(folder: &str) -> Option<&'static [&'static str]> {
    if folder.starts_with("plugins/") {
        return Some(PLUGIN_ARROWS);
    }
    ARROWS
        .iter()
        .find(|(from, _)| *from == folder)
        .map(|(_, allowed)| *allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(folder: &str, on: &str, for_tests: bool) -> Member {
        let ours = on.contains('/');
        Member {
            folder: folder.to_owned(),
            dependencies: vec![Dependency {
                on: on.to_owned(),
                ours,
                for_tests,
            }],
        }
    }

    fn advice(folder: &str, on: &str, for_tests: bool) -> Option<String> {
        let mut violations = check(&[member(folder, on, for_tests)]);
        assert!(violations.len() <= 1);
        violations.pop().map(|violation| violation.to_string())
    }

    #[test]
    fn arrows_are_allowed_one_way() {
        assert_eq!(advice("crates/worker", "crates/storage", false), None);
        assert_eq!(
            advice("crates/storage", "crates/worker", false).unwrap(),
            "crates/storage/Cargo.toml: remove crates/worker; crates/storage may depend on crates/core, crates/scheduler, \
             crates/sys"
        );
        assert_eq!(
            advice("crates/core", "crates/scheduler", false).unwrap(),
            "crates/core/Cargo.toml: remove crates/scheduler; crates/core may depend on nothing of ours"
        );
    }

    #[test]
    fn the_testkit_is_for_tests() {
        for kit in FOR_TESTS {
            assert_eq!(advice("crates/worker", kit, true), None);
            assert!(advice("crates/worker", kit, false).is_some());
        }
        assert!(
            advice("crates/scheduler", "crates/storage", true).is_some(),
            "tests follow the arrows too"
        );
    }

    #[test]
    fn plugins_know_the_plugin_api_alone() {
        assert_eq!(advice("plugins/anything", "crates/plugin-api", false), None);
        assert!(advice("plugins/anything", "crates/core", false).is_some());
        assert!(advice("plugins/anything", "plugins/shell", false).is_some());
    }

    #[test]
    fn a_package_without_a_rule_is_reported() {
        assert!(
            advice("crates/new", "serde", false)
                .unwrap()
                .contains("add it to ARROWS")
        );
    }
}
