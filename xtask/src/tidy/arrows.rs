//! Which crate may depend on which, and where SQL libraries may appear.
//!
//! Declared dependencies are checked for every platform; which versions were chosen is checked for this one.

use cargo_metadata::{DependencyKind, Package, semver::Version};

use super::Violation;
use crate::workspace::Workspace;

/// What each folder may depend on. Tests may use [`FOR_TESTS`] besides.
const ARROWS: &[(&str, &[&str])] = &[
    ("crates/core", &[]),
    ("crates/plugin-api", &[]),
    ("crates/sys", &[]),
    ("crates/storage", &["crates/core", "crates/sys"]),
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
            "crates/dlq",
        ],
    ),
    (
        "crates/cli",
        &[
            "crates/worker",
            "crates/dlq",
            "crates/storage",
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
        "crates/fuzzing",
        &["crates/core", "crates/executor", "crates/worker", "crates/cli"],
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
const SQL_LIBRARIES: &[&str] = &[
    "diesel",
    "diesel_migrations",
    "rusqlite",
    "libsqlite3-sys",
    "pq-sys",
    "openssl-sys",
];
const SQL_FOLDERS: &[&str] = &["crates/storage", TESTKIT];
/// Earlier ones bundle an SQLite that can corrupt a write-ahead log with several writers.
const OLDEST_SQLITE: Version = Version::new(0, 38, 0);

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

/// Every version of `libsqlite3-sys` that gets linked.
pub fn sqlite_versions(workspace: &Workspace) -> Vec<Version> {
    let packages = workspace.metadata.packages.iter();
    packages
        .filter(|package| package.name.as_str() == "libsqlite3-sys")
        .map(|package| package.version.clone())
        .collect()
}

/// Checks the arrows between members and the place of the SQL libraries.
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
        if SQL_LIBRARIES.contains(&on.as_str()) && !SQL_FOLDERS.contains(&member.folder.as_str()) {
            let advice = format!(
                "remove {on}; only {} may know it: ask the store instead",
                SQL_FOLDERS.join(" and ")
            );
            violations.push(Violation::new(&manifest, advice));
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

/// Checks that one SQLite is linked and that it is recent enough.
pub fn check_sqlite(versions: &[Version]) -> Option<Violation> {
    let advice = match versions {
        [version] if *version >= OLDEST_SQLITE => return None,
        [version] => format!("libsqlite3-sys is {version}; it must be {OLDEST_SQLITE} or later"),
        [] => "libsqlite3-sys is missing; storage must bundle it".to_owned(),
        several => {
            let list: Vec<String> = several.iter().map(Version::to_string).collect();
            format!(
                "libsqlite3-sys is there as {}; choose diesel and rusqlite versions that share one",
                list.join(", ")
            )
        }
    };
    Some(Violation::new("Cargo.lock", advice))
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
            "crates/storage/Cargo.toml: remove crates/worker; crates/storage may depend on crates/core, crates/sys"
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

    #[test]
    fn sql_libraries_stay_in_storage() {
        for library in SQL_LIBRARIES {
            assert_eq!(advice("crates/storage", library, false), None);
            assert_eq!(advice("crates/testkit", library, false), None);
            assert!(advice("crates/dlq", library, false).unwrap().contains(library));
            assert!(advice("crates/dlq", library, true).is_some(), "in tests too");
        }
    }

    #[test]
    fn one_recent_sqlite_is_linked() {
        let check = |versions: &[&str]| {
            let versions: Vec<Version> = versions.iter().map(|version| version.parse().unwrap()).collect();
            check_sqlite(&versions)
        };
        assert_eq!(check(&["0.38.0"]), None);
        assert_eq!(check(&["0.40.1"]), None);
        assert!(check(&[]).unwrap().advice.contains("missing"));
        assert!(check(&["0.37.9"]).unwrap().advice.contains("0.38.0 or later"));
        assert!(
            check(&["0.38.0", "0.40.0"])
                .unwrap()
                .advice
                .contains("0.38.0, 0.40.0")
        );
    }
}
