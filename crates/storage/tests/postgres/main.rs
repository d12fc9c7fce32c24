//! The conformance suite on PostgreSQL, and what only PostgreSQL has: query plans, claims, roles, jobs that are stored by a
//! transaction of somebody else's, schemas of other versions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod copied;
mod flat;
mod groups;
mod labels;
mod ledger;
mod locks;
mod names;
mod refused;
mod unique;

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::{JobId, JobSpec, Start, State, Timestamp};
use queuectl_storage::{Location, OpenMode, Queues, Store, StoreError, enqueue_within};
use queuectl_testkit::{TempStore, conformance, conformance_suite, job, new_node, skipped, valid};

conformance_suite!(TempStore::postgres());

/// A store with its schema's name, and a connection as an application has it.
fn open(test: &str) -> Option<(TempStore, String, PgConnection)> {
    let Some(temp) = TempStore::postgres() else {
        skipped(&format!("postgres::{test}"), conformance::NO_SERVER);
        return None;
    };
    let schema = temp
        .location
        .to_string()
        .split("schema=")
        .nth(1)
        .unwrap()
        .to_owned();
    let conn = PgConnection::establish(&std::env::var("QUEUECTL_TEST_POSTGRES").unwrap()).unwrap();
    Some((temp, schema, conn))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn number(conn: &mut PgConnection, sql: &str) -> Result<i64, diesel::result::Error> {
    let row: Number = diesel::sql_query(sql).get_result(conn)?;
    Ok(row.number)
}

/// A job that is stored by the application's own transaction shares its fate.
#[test]
fn a_job_is_stored_by_the_callers_transaction_or_not_at_all() {
    let name = "a_job_is_stored_by_the_callers_transaction_or_not_at_all";
    let Some((mut temp, schema, mut conn)) = open(name) else {
        return;
    };
    let bystander = temp.store.enqueue(&[job("bystander")], Timestamp(1)).unwrap();
    let new = valid(JobSpec {
        id: Some("receipt".parse().unwrap()),
        queue: Some("mail".parse().unwrap()),
        max_retries: Some(7),
        ..JobSpec::line("send receipt")
    });
    let mut in_transaction = |keep: bool| -> Result<JobId, StoreError> {
        conn.transaction(|conn| {
            let id = enqueue_within(conn, &schema, &new)?;
            if keep {
                Ok(id)
            } else {
                Err(StoreError::NoSuchNode(id.0))
            }
        })
    };
    assert!(matches!(in_transaction(false), Err(StoreError::NoSuchNode(_))));
    assert!(
        temp.store.job(&"receipt".parse().unwrap()).is_err(),
        "rolled back"
    );
    assert_eq!(temp.store.check().unwrap().dangling, 0);
    let id = in_transaction(true).unwrap();
    let stored = temp.store.job(&"receipt".parse().unwrap()).unwrap();
    assert_eq!(
        (stored.id, stored.state, stored.max_retries),
        (id, State::Pending, Some(7))
    );
    assert_eq!(stored.payload, new.payload);
    assert!(matches!(
        in_transaction(true),
        Err(StoreError::NameTaken { index: 0, .. })
    ));
    assert!(matches!(
        enqueue_within(&mut conn, "no\"schema", &new),
        Err(StoreError::BadServer(_))
    ));
    let refused = [
        ("limit", r#"{"command": "true", "limit": ["disk"]}"#),
        ("hold", r#"{"command": "true", "hold": true}"#),
        ("unique", r#"{"command": "true", "unique": "k"}"#),
        ("after", r#"{"command": "true", "after": ["receipt"]}"#),
    ];
    for (field, json) in refused {
        let job = valid(JobSpec::from_written(json).unwrap());
        match enqueue_within(&mut conn, &schema, &job) {
            Err(StoreError::NotWithin(named)) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    // A delay counts by the server's clock, a point in time does not.
    let an_hour = Duration::from_secs(3600);
    for start in [Start::After(an_hour), Start::At(Timestamp(3_000_000_000_000))] {
        let later = valid(JobSpec {
            start: Some(start),
            ..JobSpec::line("later")
        });
        let id = enqueue_within(&mut conn, &schema, &later).unwrap();
        let stored = temp.store.job(&queuectl_core::JobRef::Number(id)).unwrap();
        assert_eq!(stored.state, State::Scheduled);
        let due = stored.due_at.unwrap();
        match start {
            Start::At(time) => assert_eq!(due, time),
            Start::After(_) => {
                let (wait, a_minute) = (due.since(stored.created_at), Duration::from_secs(60));
                assert!(wait <= an_hour && wait > an_hour - a_minute, "{wait:?}");
            }
        }
    }
    assert_eq!(
        temp.store
            .job(&queuectl_core::JobRef::Number(bystander[0]))
            .unwrap()
            .state,
        State::Pending
    );
    assert_eq!(temp.store.check().unwrap().miscounted, 0);
}

/// The same for those who write SQL.
#[test]
fn the_sql_function_stores_what_the_command_line_would() {
    let Some((mut temp, schema, mut conn)) = open("the_sql_function_stores_what_the_command_line_would")
    else {
        return;
    };
    let call = |arguments: &str| format!("SELECT {schema}.enqueue({arguments}) AS number");
    let rolled_back: Result<(), diesel::result::Error> = conn.transaction(|conn| {
        number(conn, &call("'never'"))?;
        Err(diesel::result::Error::RollbackTransaction)
    });
    assert!(rolled_back.is_err());
    let id = number(&mut conn, &call(
        "'echo hello', queue => 'mail', id => 'later', run_at => now() + interval '1 day', timeout => interval '90 s', \
         env => '{\"A\": \"b\"}', payload => '{\"x\": 1, \"y\": null}', cwd => '/tmp'",
    ))
    .unwrap();
    let jobs = temp
        .store
        .list(&queuectl_storage::ListFilter {
            limit: 9,
            ..Default::default()
        })
        .unwrap();
    assert_eq!(jobs.len(), 1, "one was rolled back");
    let stored = &jobs[0];
    assert_eq!(
        (stored.id.0, stored.state, stored.timeout_ms),
        (id, State::Scheduled, Some(90_000))
    );
    assert_eq!(stored.queue.as_str(), "mail");
    assert_eq!(
        stored.payload.to_stored().unwrap(),
        // With the blanks that jsonb makes.
        r#"{"command":"echo hello","env":{"A":"b"},"cwd":"/tmp","payload":{"x": 1, "y": null}}"#
    );
    number(&mut conn, &call("argv => ARRAY['printf', '%s', 'a b']")).unwrap();
    for (wrong, said) in [
        ("", "nothing to run"),
        ("'  '", "nothing to run"),
        ("'x', queue => 'no spaces'", "queue"),
        ("'x', id => '17'", "id"),
        ("'x', priority => 2000000", "priority"),
        ("'x', env => '[]'", "env"),
        ("'x', env => '{\"A\": 1}'", "env"),
        ("'x', payload => '3'", "payload"),
        ("'x', argv => ARRAY['y']", "not both"),
        ("'x', id => 'later'", "jobs_name"),
    ] {
        let error = number(&mut conn, &call(wrong)).expect_err(wrong).to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    let nested = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        format!("'x', payload => '{open}1{close}'")
    };
    let many = "(SELECT jsonb_object_agg('A' || n, 'v') FROM generate_series(1, 4097) AS n)";
    for (wrong, said) in [
        ("argv => ARRAY[NULL, 'a']", "without NULL"),
        ("argv => ARRAY[['a', 'b'], ['c', 'd']]", "one dimension"),
        ("argv => '{}'", "nothing to run"),
        ("argv => ARRAY['']", "nothing to run"),
        ("argv => array_fill('a'::TEXT, ARRAY[4097])", "4096"),
        ("'x', payload => '{\"a\": [1e400]}'", "number"),
        ("'x', payload => '{\"a\": -1e309}'", "number"),
        ("'x', payload => 'null'", "payload"),
        (nested(3000).as_str(), "100 levels"),
        (nested(100).as_str(), "100 levels"),
        ("'x', cwd => 'sub'", "absolute"),
        ("'x', cwd => ''", "absolute"),
        ("'x', env => 'null'", "env"),
        ("'x', env => '{\"A\": null}'", "env"),
        ("'x', env => '{\"A=B\": \"c\"}'", "env"),
        (format!("'x', env => {many}").as_str(), "4096"),
        ("'x', stdin => repeat('a', 1048576)", "1048576 bytes"),
        ("E' \\n\\t'", "nothing to run"),
        ("'x', run_at => 'infinity'", "run_at"),
    ] {
        let error = number(&mut conn, &call(wrong)).expect_err(wrong).to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    // What libraries store as it is.
    let stored = |payload: &str| {
        format!(
            "SELECT {schema}.enqueue_stored(NULL, 'q', 0, NULL, NULL, NULL, 'shell', NULL, '{payload}') AS number"
        )
    };
    for wrong in [
        "nonsense",
        "[]",
        "{\"command\": \"a\", \"command\": \"b\"}",
        "{\"command\": \"a\", \"more\": 1}",
        "{\"command\": [\"a\", [\"b\"]]}",
        "{\"command\": \"a\\u0000b\"}",
        "{\"command\": \"a\", \"stdin\": 3}",
        "{\"command\": \"\\ud800\"}",
        "{\"command\": null, \"payload\": null}",
    ] {
        assert!(number(&mut conn, &stored(wrong)).is_err(), "{wrong}");
    }
    // The control: what is at the limit is stored, and can be read.
    for right in [
        nested(99).as_str(),
        "'x', cwd => 'C:\\dir', payload => '{\"a\": [1e300]}'",
    ] {
        number(&mut conn, &call(right)).unwrap();
    }
    number(
        &mut conn,
        &stored("{\"command\": \"a\", \"stdin\": \"b\\u0000\"}"),
    )
    .unwrap();
    let filter = queuectl_storage::ListFilter {
        limit: 9,
        ..Default::default()
    };
    assert_eq!(temp.store.list(&filter).unwrap().len(), 5);
    assert_eq!(
        temp.store
            .counts(None)
            .unwrap()
            .iter()
            .map(|count| count.jobs)
            .sum::<u64>(),
        5
    );
    assert_eq!(temp.store.check().unwrap().miscounted, 0);
}

/// Every role of a database may listen to any channel and notify it: the nodes' is known to those alone who may store jobs.
#[test]
fn a_role_without_rights_does_not_know_the_channel_of_the_nodes() {
    let name = "a_role_without_rights_does_not_know_the_channel_of_the_nodes";
    let Some((mut temp, schema, mut conn)) = open(name) else {
        return;
    };
    let now = temp.store.now().unwrap();
    let (_, _guard, mut listener) = temp
        .store
        .enter_node(&new_node(format!("cookie-{schema}")), now)
        .unwrap();
    // One who has no rights can but guess: with the name of the schema, as the channel once was called, or without.
    let guesses = [
        format!("queuectl.{schema}"),
        "queuectl".to_owned(),
        schema.clone(),
    ];
    for guess in &guesses {
        conn.batch_execute(&format!("NOTIFY \"{guess}\", 'asked'"))
            .unwrap();
    }
    temp.store.enqueue(&[job("one")], now).unwrap();
    assert_eq!(
        listener.wait().unwrap(),
        queuectl_storage::Wake::Jobs,
        "the first that is heard is the job's, for it asks nothing else"
    );
    number(&mut conn, &format!("SELECT {schema}.enqueue('two') AS number")).unwrap();
    assert_eq!(listener.wait().unwrap(), queuectl_storage::Wake::Jobs);
    conn.batch_execute(&format!("CREATE ROLE {schema}_other; SET ROLE {schema}_other"))
        .unwrap();
    assert!(
        number(
            &mut conn,
            &format!("SELECT count(*) AS number FROM {schema}.store")
        )
        .is_err()
    );
    conn.batch_execute(&format!("RESET ROLE; DROP ROLE {schema}_other"))
        .unwrap();
}

/// In a database whose encoding cannot hold every text, one text would be in the way of all others.
#[test]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let Some((temp, schema, mut conn)) = open("a_database_that_cannot_hold_every_text_is_refused") else {
        return;
    };
    let url = std::env::var("QUEUECTL_TEST_POSTGRES").unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = format!("{schema}_{}", encoding.to_lowercase());
        conn.batch_execute(&format!(
            "CREATE DATABASE {database} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        ))
        .unwrap();
        let location: Location = format!("{server}/{database}?schema={schema}").parse().unwrap();
        let refused = [
            queuectl_storage::migrate(&location).err(),
            queuectl_storage::migrations(&location).err(),
            Store::open(&location, OpenMode::Create).err(),
            Store::open(&location, OpenMode::MustExist).err(),
        ];
        conn.batch_execute(&format!("DROP DATABASE {database}")).unwrap();
        for error in refused {
            assert!(
                matches!(&error, Some(StoreError::Encoding(found)) if found == encoding),
                "{error:?}"
            );
        }
    }
    drop(temp);
}

/// The roles of docs/postgres.md, word for word: each can do its work and no more.
#[test]
fn documented_roles_can_do_their_work_and_no_more() {
    let Some((mut temp, schema, mut conn)) = open("documented_roles_can_do_their_work_and_no_more") else {
        return;
    };
    let documents = include_str!("../../../../docs/postgres.md");
    let sql = documents.split("<!-- roles -->").nth(1).unwrap();
    let sql = sql.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    // Roles belong to the whole server, so these get names of their own, like the schema.
    let own = |text: &str| {
        text.replace("queuectl.", &format!("{schema}."))
            .replace("SCHEMA queuectl", &format!("SCHEMA {schema}"))
            .replace(" queue_", &format!(" {schema}_"))
    };
    conn.batch_execute(&own(sql)).unwrap();
    let url = std::env::var("QUEUECTL_TEST_POSTGRES").unwrap();
    let mut as_role = |role: &str| -> Result<Store, StoreError> {
        conn.batch_execute(&format!("ALTER ROLE {schema}_{role} LOGIN PASSWORD 'secret'"))
            .unwrap();
        let host = url.rsplit('@').next().unwrap();
        let location: Location =
            format!("postgres://{schema}_{role}:secret@{host}?schema={schema}").parse()?;
        Store::open(&location, OpenMode::MustExist)
    };
    let denied = |result: Result<(), StoreError>| {
        let error = result.expect_err("it must not be allowed");
        assert_eq!(
            error.problem(),
            Some(queuectl_storage::Problem::Denied),
            "{error}"
        );
    };
    let mut producer = as_role("producer").unwrap();
    let now = producer.now().unwrap();
    producer.enqueue(&[job("one"), job("two")], now).unwrap();
    denied(
        producer
            .set_setting(queuectl_core::settings::Key::find("lease").unwrap(), "5s")
            .map(drop),
    );
    denied(producer.purge_one(&"1".parse().unwrap(), &State::Dead.into()));
    let mut worker = as_role("worker").unwrap();
    let node = new_node(format!("cookie-{schema}"));
    let (node, _guard, _) = worker.enter_node(&node, now).unwrap();
    let cycle = queuectl_storage::Cycle {
        node,
        records: &[],
        claim: 5,
        queues: &Queues::All,
        now,
    };
    assert_eq!(worker.cycle(&cycle).unwrap().claimed.len(), 2);
    assert!(
        worker
            .renew_lease(node, std::time::Duration::from_secs(5))
            .unwrap()
    );
    denied(
        worker
            .set_setting(queuectl_core::settings::Key::find("lease").unwrap(), "5s")
            .map(drop),
    );
    let mut admin = as_role("admin").unwrap();
    admin
        .set_setting(queuectl_core::settings::Key::find("lease").unwrap(), "6s")
        .unwrap()
        .unwrap();
    assert_eq!(temp.store.settings().unwrap().lease.as_secs(), 6);
    drop((producer, worker, admin));
    conn.batch_execute(&own(
        "DROP OWNED BY queue_producer, queue_worker, queue_admin; DROP ROLE queue_producer, queue_worker, queue_admin",
    ))
    .unwrap();
}

/// A node whose lease is over can be taken over, and is fenced off then: it can neither renew nor claim nor record.
#[test]
fn a_node_that_was_taken_over_can_neither_renew_nor_claim_nor_record() {
    let name = "a_node_that_was_taken_over_can_neither_renew_nor_claim_nor_record";
    let Some((mut temp, _, _)) = open(name) else {
        return;
    };
    let mut other = temp.another();
    let new = |cookie: &str| new_node(cookie);
    let now = temp.store.now().unwrap();
    let (node, _guard, _) = temp.store.enter_node(&new("cut off"), now).unwrap();
    let (bystander, _bystander, _) = temp.store.enter_node(&new("bystander"), now).unwrap();
    temp.store.enqueue(&[job("one"), job("two")], now).unwrap();
    let cycle = |store: &mut Store, records: &[queuectl_storage::Record], claim| {
        let cycle = queuectl_storage::Cycle {
            node,
            records,
            claim,
            queues: &Queues::All,
            now,
        };
        store.cycle(&cycle).unwrap()
    };
    let claimed = cycle(&mut temp.store, &[], 1).claimed;
    assert_eq!(claimed.len(), 1, "the control");
    assert!(
        other.take_over(node).unwrap().is_none(),
        "its lease holds, by the server's clock"
    );
    let short = std::time::Duration::from_millis(1);
    assert!(temp.store.renew_lease(node, short).unwrap());
    // Nothing to wait for but the server's clock; a statement takes longer than that.
    let rescuer = std::iter::repeat_with(|| other.take_over(node).unwrap()).find_map(|taken| taken);
    assert!(rescuer.is_some());
    assert!(!temp.store.node_lives(node).unwrap());
    assert!(temp.store.node_lives(bystander).unwrap() && other.take_over(bystander).unwrap().is_none());

    assert!(
        !temp
            .store
            .renew_lease(node, std::time::Duration::from_secs(60))
            .unwrap()
    );
    assert!(!temp.store.heartbeat(node, now).unwrap());
    assert_eq!(
        cycle(&mut temp.store, &[], 1).claimed,
        [],
        "job two is there, but not for it"
    );
    let event = || queuectl_core::Event::Fail { retry_at: Some(now) };
    let lost = queuectl_testkit::record(&claimed[0], node, event(), queuectl_core::OutcomeKind::Lost, now);
    assert_eq!(cycle(&mut other, &[lost], 0).stale, []);
    other.leave_node(node).unwrap();
    let late = queuectl_testkit::record(
        &claimed[0],
        node,
        queuectl_core::Event::Complete,
        queuectl_core::OutcomeKind::Succeeded,
        now,
    );
    assert_eq!(cycle(&mut temp.store, &[late], 1).stale.len(), 1);
    let attempts = temp.store.attempts(JobId(claimed[0].id)).unwrap();
    assert_eq!(attempts.len(), 1, "nothing came late");
}

/// What an older or newer queuectl made is refused, and what is another program's is left alone.
#[test]
fn schemas_of_other_versions_and_other_programs_are_refused() {
    let Some((temp, schema, mut conn)) = open("schemas_of_other_versions_and_other_programs_are_refused")
    else {
        return;
    };
    let mut version = |version: i32| {
        conn.batch_execute(&format!("UPDATE {schema}.store SET schema_version = {version}"))
            .unwrap();
        Store::open(&temp.location, OpenMode::Create).err()
    };
    assert!(matches!(
        version(99),
        Some(StoreError::NewerSchema { found: 99, .. })
    ));
    assert!(matches!(
        version(1),
        Some(StoreError::OlderSchema { found: 1, .. })
    ));
    let current = queuectl_storage::migrations(&temp.location).unwrap();
    assert_eq!(current.version, Some(1));
    let newest = 1 + i32::try_from(current.missing.len()).unwrap();
    assert!(version(newest).is_none(), "the control");
    conn.batch_execute(&format!("DROP TABLE {schema}.store")).unwrap();
    let error = Store::open(&temp.location, OpenMode::Create).err();
    assert!(matches!(error, Some(StoreError::Foreign)), "{error:?}");
    assert!(
        number(
            &mut conn,
            &format!("SELECT count(*) AS number FROM {schema}.jobs")
        )
        .is_ok()
    );
}

/// A migration waits for the nodes to be gone, and two at once do no harm.
#[test]
fn an_older_schema_is_brought_up_to_date_when_no_node_runs() {
    let Some((mut temp, schema, mut conn)) = open("an_older_schema_is_brought_up_to_date_when_no_node_runs")
    else {
        return;
    };
    temp.store.enqueue(&[job("kept")], Timestamp(1)).unwrap();
    let undo = [
        include_str!("../../../../migrations/postgres/2026-11-30-000024_answers/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000023_tokens/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000022_alerts/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000021_labels/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000020_starts/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000019_history/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000018_streams/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000017_reports/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000016_suspensions/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000015_operations/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000014_signals/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000013_rescues/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000012_sql_groups/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000011_keys/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000010_hooks/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000009_groups/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000008_busy/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-29-000007_flow/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-28-000006_queues/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-28-000005_checked/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-25-000004_sums/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-25-000003_stable/down.sql"),
        include_str!("../../../../migrations/postgres/2026-11-25-000002_flat/down.sql"),
    ]
    .concat();
    conn.batch_execute(&format!(
        "SET search_path = {schema}; BEGIN; {undo} DELETE FROM __diesel_schema_migrations WHERE version > '20261124000001'; \
         COMMIT; INSERT INTO nodes (cookie, host, pid, version, workers, concurrency, queues, started_at, heartbeat_at, \
         stop_requested, lease_until) VALUES ('c', 'h', 1, '0', 1, 1, '[]', 1, 1, 0, now_ms() + 60000)"
    ))
    .unwrap();
    assert!(matches!(
        queuectl_storage::migrate(&temp.location),
        Err(StoreError::NodesLive)
    ));
    conn.batch_execute("DELETE FROM nodes").unwrap();
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| queuectl_storage::migrate(&temp.location)));
        both.into_iter().for_each(|one| one.join().unwrap().unwrap());
    });
    let mut store = Store::open(&temp.location, OpenMode::MustExist).unwrap();
    assert_eq!(store.counts(None).unwrap()[0].jobs, 1);
    assert_eq!(store.check().unwrap().miscounted, 0);
}
