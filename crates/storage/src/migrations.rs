//! The steps of the schema, one line each: a migration has the same name on both databases, in a folder of each.

/// A step from one version of the schema to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The version that it makes.
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}

macro_rules! migrations {
    (@$dialect:literal $($version:literal $name:literal),*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../migrations/", $dialect, "/", $name, "/up.sql")),
        }),*]
    };
    ($($version:literal $name:literal),* $(,)?) => {
        /// Those of SQLite.
        pub const SQLITE: &[Migration] = migrations!(@"sqlite" $($version $name),*);
        /// Those of PostgreSQL.
        pub const POSTGRES: &[Migration] = migrations!(@"postgres" $($version $name),*);
        /// The newest version of the schema, which is the one that this version of the program uses.
        pub const NEWEST: i32 = *[$($version),*].last().expect("there is one");
    };
}

migrations! {
    1 "2026-11-24-000001_initial",
    2 "2026-11-25-000002_flat",
    3 "2026-11-25-000003_stable",
    4 "2026-11-25-000004_sums",
    5 "2026-11-28-000005_checked",
    6 "2026-11-28-000006_queues",
    7 "2026-11-29-000007_flow",
    8 "2026-11-29-000008_busy",
    9 "2026-11-29-000009_groups",
    10 "2026-11-29-000010_hooks",
    11 "2026-11-29-000011_keys",
    12 "2026-11-29-000012_sql_groups",
    13 "2026-11-29-000013_rescues",
    14 "2026-11-29-000014_signals",
    15 "2026-11-30-000015_operations",
    16 "2026-11-30-000016_suspensions",
    17 "2026-11-30-000017_reports",
    18 "2026-11-30-000018_streams",
    19 "2026-11-30-000019_history",
    20 "2026-11-30-000020_starts",
    21 "2026-11-30-000021_labels",
    22 "2026-11-30-000022_alerts",
    23 "2026-11-30-000023_tokens",
    24 "2026-11-30-000024_answers",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_known_by_name() {
        for (dialect, all) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let folder = format!("{}/../../migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
            let mut names: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(all.iter().map(|step| step.name).collect::<Vec<_>>(), names);
            assert!(all.iter().map(|step| step.version).eq(1..=NEWEST));
        }
    }
}
