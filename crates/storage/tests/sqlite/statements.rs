//! What SQLite makes of the statements that every job costs: the indexes they use, and that they are prepared once.

use queuectl_testkit::TempStore;
use rusqlite::Connection;

/// What SQLite plans to do for the real statements: every access to `jobs` goes through the index meant for it.
#[test]
fn hot_statements_use_their_indexes() {
    let temp = TempStore::sqlite();
    let conn = Connection::open(temp.path()).unwrap();
    let plan = |sql: &str| -> String {
        let parameters = sql.matches('?').count();
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = rusqlite::params_from_iter((0..parameters).map(|_| 1));
        let lines = statement
            .query_map(values, |row| row.get::<_, String>(3))
            .unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    };
    let wanted = [
        ("ReadyHead", "jobs_ready"),
        ("OthersReadyHead", "others_ready"),
        ("Next", "jobs_ready"),
        ("NextOfOthers", "others_ready"),
        ("NextStarted", "INTEGER PRIMARY KEY"),
        ("Claim", "INTEGER PRIMARY KEY"),
        ("Promote", "jobs_due"),
        ("NextDue", "jobs_due"),
        ("CancelRequested", "jobs_running"),
        ("Release", "INTEGER PRIMARY KEY"),
        ("ReleaseMany", "INTEGER PRIMARY KEY"),
        ("Change", "INTEGER PRIMARY KEY"),
        ("QueueOf", "INTEGER PRIMARY KEY"),
        ("GatesOf", "INTEGER PRIMARY KEY"),
        ("StartBlocked", "INTEGER PRIMARY KEY"),
        ("SetWaits", "INTEGER PRIMARY KEY"),
        ("RemoveJob", "INTEGER PRIMARY KEY"),
        ("KeyRows", "job_limits_holding"),
        ("KeyRows", "job_limits_admitted"),
        ("KeyRows", "job_limits_parked"),
        ("NextParked", "job_limits_parked"),
        ("LetThrough", "job_limits USING PRIMARY KEY"),
        ("HoldKeys", "job_limits USING PRIMARY KEY"),
        ("ClearRows", "job_limits USING PRIMARY KEY"),
    ];
    // They sort what they have found, which is bounded.
    let bounded = [("TopError", "others_finished"), ("TopErrorOf", "jobs_finished")];
    let statements = queuectl_storage::hot_statements();
    for (name, index) in wanted {
        let (_, sql) = statements
            .iter()
            .find(|(statement, _)| *statement == name)
            .unwrap();
        let plan = plan(sql);
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{name} sorts:\n{plan}");
        for line in plan.lines().filter(|line| line.starts_with("SCAN ")) {
            // There are at most a hundred hooks, and none of jobs; an array has what was asked for.
            let harmless = line.contains("USING")
                || line.starts_with("SCAN each VIRTUAL TABLE")
                || ["SCAN CONSTANT ROW", "SCAN hooks"].contains(&line);
            assert!(harmless, "{name} walks over a table:\n{plan}");
        }
    }
    for (name, index) in bounded {
        let (_, sql) = statements
            .iter()
            .find(|(statement, _)| *statement == name)
            .unwrap();
        let plan = plan(sql);
        assert!(
            plan.contains(index) && !plan.contains("SCAN jobs"),
            "{name}:\n{plan}"
        );
    }
    // The control: without its index the claim must fail this very check.
    conn.execute_batch("DROP INDEX jobs_ready").unwrap();
    let (_, next) = statements
        .iter()
        .find(|(statement, _)| *statement == "Next")
        .unwrap();
    assert!(!plan(next).contains("jobs_ready") && plan(next).contains("TEMP B-TREE"));
}

/// Preparing costs more than most of these statements do. SQLite does it again by itself where it planned by a value
/// that was bound.
#[test]
fn hot_statements_are_prepared_once() {
    use rusqlite::StatementStatus;
    let temp = TempStore::sqlite();
    let conn = Connection::open(temp.path()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let prepared_again = |sql: &str| -> i32 {
        let mut statement = conn.prepare(sql).unwrap();
        for round in 1..=3 {
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, round).unwrap();
            }
            let mut rows = statement.raw_query();
            // What these values would do to the table is of no interest, but the statement must have run.
            while let Ok(Some(_)) = rows.next() {}
        }
        statement.get_status(StatementStatus::RePrepare)
    };
    for (name, sql) in queuectl_storage::hot_statements() {
        assert_eq!(prepared_again(sql), 0, "{name}");
    }
    // The control.
    assert_ne!(prepared_again("SELECT id FROM jobs WHERE state = 1 LIMIT ?"), 0);
}
