//! Jobs that the SQL functions store as members of groups, by the rules of the command line.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::group::{GroupChange, GroupState};
use queuectl_core::{GroupName, JobId, JobRef, JobSpec, State, Timestamp};
use queuectl_storage::{Store, StoreError, enqueue_within};
use queuectl_testkit::valid;

use super::locks::waiting;
use super::{number, open};

const NOW: Timestamp = Timestamp(1);

fn name(name: &str) -> GroupName {
    name.parse().unwrap()
}

fn member(group: &str, close: bool) -> JobSpec {
    JobSpec {
        group: Some(name(group)),
        close_group: close.then_some(true),
        ..JobSpec::line("member")
    }
}

/// How far the group is, and its members that have not ended.
fn state(store: &mut Store, group: &str) -> (GroupState, u64) {
    let found = store.group(&name(group)).unwrap();
    (found.group.state(), found.progress.open)
}

fn cancel(store: &mut Store, job: i64) {
    store.cancel(&JobRef::Number(JobId(job)), NOW).unwrap();
}

/// By the function and from Rust, alone and beside jobs of the command line: the callback comes after the last of them.
#[test]
fn the_sql_function_adds_members_to_groups_and_closes_them() {
    let Some((mut temp, schema, mut conn)) = open("the_sql_function_adds_members_to_groups_and_closes_them")
    else {
        return;
    };
    let call = |arguments: &str| format!("SELECT {schema}.enqueue({arguments}) AS number");
    let store = &mut temp.store;
    let callback = GroupChange {
        then_failed: Some(JobSpec::line("callback")),
        ..GroupChange::default()
    };
    store.create_group(&name("nightly"), &callback, NOW).unwrap();
    store.enqueue(&[valid(member("other", false))], NOW).unwrap();

    let first = number(&mut conn, &call("'one', \"group\" => 'nightly', queue => 'mail'")).unwrap();
    let second = enqueue_within(&mut conn, &schema, &valid(member("nightly", false))).unwrap();
    cancel(store, first);
    assert_eq!(state(store, "nightly"), (GroupState::Open, 1));
    conn.batch_execute("BEGIN").unwrap();
    let last = call("argv => ARRAY['three'], \"group\" => 'nightly', close_group => TRUE");
    number(&mut conn, &last).unwrap();
    conn.batch_execute("ROLLBACK").unwrap();
    assert_eq!(state(store, "nightly"), (GroupState::Open, 1), "rolled back");
    let third = number(&mut conn, &last).unwrap();
    assert_eq!(state(store, "nightly"), (GroupState::Closed, 2));
    let of_job = store.job(&JobRef::Number(JobId(third))).unwrap();
    assert_eq!(of_job.groups, [name("nightly")]);
    cancel(store, third);
    assert_eq!(state(store, "nightly"), (GroupState::Closed, 1));
    cancel(store, second.0);
    let complete = store.group(&name("nightly")).unwrap();
    assert_eq!(complete.group.state(), GroupState::Complete);
    let callback = store
        .job(&JobRef::Number(complete.group.callback.unwrap()))
        .unwrap();
    assert_eq!(
        (callback.display(true).as_str(), callback.state),
        ("callback", State::Pending)
    );

    // One that there is not is made, and may be closed at once.
    number(&mut conn, &call("'one', \"group\" => 'new'")).unwrap();
    number(&mut conn, &call("'one', \"group\" => 'new', close_group => NULL")).unwrap();
    assert_eq!(state(store, "new"), (GroupState::Open, 2));
    enqueue_within(&mut conn, &schema, &valid(member("at-once", true))).unwrap();
    assert_eq!(state(store, "at-once"), (GroupState::Closed, 1));
    assert_eq!(state(store, "other"), (GroupState::Open, 1), "the bystander");
    assert_eq!(store.check().unwrap().dangling, 0);
}

#[test]
fn the_sql_function_refuses_what_the_command_line_refuses_of_groups() {
    let name_of_test = "the_sql_function_refuses_what_the_command_line_refuses_of_groups";
    let Some((mut temp, schema, mut conn)) = open(name_of_test) else {
        return;
    };
    let call = |arguments: &str| format!("SELECT {schema}.enqueue({arguments}) AS number");
    let store = &mut temp.store;
    store
        .enqueue(
            &[valid(member("open", false)), valid(member("closed", true))],
            NOW,
        )
        .unwrap();
    let stops = GroupChange {
        max_fails: Some(1),
        ..GroupChange::default()
    };
    store.create_group(&name("stopped"), &stops, NOW).unwrap();
    conn.batch_execute(&format!(
        "UPDATE {schema}.job_groups SET stopped_at = 1 WHERE name = 'stopped'"
    ))
    .unwrap();
    for (group, said) in [
        ("closed", "is closed and takes no further jobs"),
        ("stopped", "too many of its jobs are dead"),
    ] {
        let by_cli = store
            .enqueue(&[valid(member(group, false))], NOW)
            .unwrap_err()
            .to_string();
        assert!(by_cli.contains(said), "{by_cli}");
        let error = number(&mut conn, &call(&format!("'x', \"group\" => '{group}'"))).unwrap_err();
        assert_eq!(error.to_string(), by_cli);
        let error = enqueue_within(&mut conn, &schema, &valid(member(group, true))).unwrap_err();
        assert!(
            matches!(&error, StoreError::Database { detail, .. } if detail.starts_with(&by_cli)),
            "{error:?}"
        );
    }
    for (wrong, said) in [
        ("'x', close_group => TRUE", "the job is in none"),
        ("'x', \"group\" => ''", "group is missing or out of its limits"),
        ("'x', \"group\" => 'a b'", "group is missing or out of its limits"),
    ] {
        let error = number(&mut conn, &call(wrong)).expect_err(wrong).to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    // The most members and groups that there may be.
    conn.batch_execute(&format!(
        "UPDATE {schema}.group_members SET place = 999999; \
         INSERT INTO {schema}.job_groups (name, created_at) SELECT 'g' || n, 1 FROM generate_series(1, 99997) AS n"
    ))
    .unwrap();
    for (group, most) in [("open", "1000000 jobs in a group"), ("one-more", "100000 groups")] {
        let by_cli = store
            .enqueue(&[valid(member(group, false))], NOW)
            .unwrap_err()
            .to_string();
        let error = number(&mut conn, &call(&format!("'x', \"group\" => '{group}'")))
            .unwrap_err()
            .to_string();
        assert!(error == by_cli && error.contains(most), "{error} {by_cli}");
    }
    number(&mut conn, &call("'x', \"group\" => 'g7'")).expect("the control");
    let jobs: u64 = store.counts(None).unwrap().iter().map(|count| count.jobs).sum();
    assert_eq!(jobs, 3, "nothing else was stored");
}

/// A transaction that sees the past does not join a group that was closed since, and one that closes a group waits for those
/// that join it.
#[test]
fn a_member_never_comes_into_a_group_that_is_closed() {
    let Some((mut temp, schema, mut conn)) = open("a_member_never_comes_into_a_group_that_is_closed") else {
        return;
    };
    let nothing = GroupChange::default();
    for (group, level) in [("past", "REPEATABLE READ"), ("present", "READ COMMITTED")] {
        temp.store.enqueue(&[valid(member(group, false))], NOW).unwrap();
        conn.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}"))
            .unwrap();
        number(
            &mut conn,
            &format!("SELECT count(*) AS number FROM {schema}.jobs"),
        )
        .unwrap();
        temp.store.close_group(&name(group), &nothing, NOW).unwrap();
        let late = format!("SELECT {schema}.enqueue('late', \"group\" => '{group}') AS number");
        let refused = number(&mut conn, &late).is_err();
        conn.batch_execute("ROLLBACK").unwrap();
        assert!(refused, "{level}");
        assert_eq!(state(&mut temp.store, group), (GroupState::Closed, 1));
    }
    temp.store.enqueue(&[valid(member("waits", false))], NOW).unwrap();
    conn.batch_execute("BEGIN").unwrap();
    let joins = format!("SELECT {schema}.enqueue('joins', \"group\" => 'waits') AS number");
    number(&mut conn, &joins).unwrap();
    let mut closer = temp.another();
    std::thread::scope(|scope| {
        let closed = scope.spawn(|| closer.close_group(&name("waits"), &nothing, NOW));
        waiting(&mut conn, 1);
        conn.batch_execute("COMMIT").unwrap();
        closed.join().unwrap().unwrap();
    });
    assert_eq!(state(&mut temp.store, "waits"), (GroupState::Closed, 2));
}

/// The migration makes other functions with more parameters: they stay their owner's, and those may call them who could before.
#[test]
fn a_migration_keeps_the_owner_of_the_functions_and_who_may_call_them() {
    let name_of_test = "a_migration_keeps_the_owner_of_the_functions_and_who_may_call_them";
    let Some((temp, schema, mut conn)) = open(name_of_test) else {
        return;
    };
    let (up, down) = (
        include_str!("../../../../migrations/postgres/2026-11-30-000021_labels/up.sql"),
        include_str!("../../../../migrations/postgres/2026-11-30-000021_labels/down.sql"),
    );
    let [owner, may, grants, no] =
        ["owner", "may", "grants", "no"].map(|role| format!("\"{role}-of-{schema}\""));
    let roles = [&owner, &may, &grants, &no].map(String::as_str).join(", ");
    for role in roles.split(", ") {
        conn.batch_execute(&format!("CREATE ROLE {role}")).unwrap();
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        conn.batch_execute(&format!(
            "SET search_path = {schema}; GRANT ALL ON SCHEMA {schema} TO {owner}; \
             ALTER FUNCTION enqueue OWNER TO {owner}; ALTER FUNCTION enqueue_stored OWNER TO {owner}; \
             GRANT EXECUTE ON FUNCTION enqueue TO {may}; GRANT EXECUTE ON FUNCTION enqueue TO {grants} WITH GRANT OPTION; \
             ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {no};"
        ))
        .unwrap();
        // As text: the order does not matter, nor that the owner is named.
        let rights = "SELECT proname || ' ' || proowner::REGROLE || ': ' || coalesce((SELECT string_agg(concat(\
             CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::REGROLE::TEXT END, CASE WHEN is_grantable THEN '*' END), ' ' \
             ORDER BY grantee::REGROLE::TEXT) FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee <> proowner), '') \
             AS words FROM pg_proc WHERE pronamespace = current_schema()::TEXT::REGNAMESPACE AND proname LIKE 'enqueue%' ORDER BY 1";
        let rights = |conn: &mut PgConnection| -> Vec<String> {
            let rows: Vec<Words> = diesel::sql_query(rights).load(conn).unwrap();
            rows.into_iter().map(|row| row.words).collect()
        };
        let before = rights(&mut conn);
        let both = |after: &str| format!("enqueue {owner}: {grants}* {may}{after}");
        assert_eq!(before, [both(""), format!("enqueue_stored {owner}: ")]);
        for step in [down, up] {
            conn.batch_execute(&format!("BEGIN; {step} COMMIT")).unwrap();
            assert_eq!(rights(&mut conn), before);
        }
        let joins = "SELECT has_function_privilege(proowner, 'label_fault(JSONB)', 'EXECUTE')::INTEGER::BIGINT \
             AS number FROM pg_proc WHERE pronamespace = current_schema()::TEXT::REGNAMESPACE AND proname = 'enqueue_stored'";
        assert_eq!(
            number(&mut conn, joins).unwrap(),
            1,
            "whose rights it has, may call what it calls"
        );
        // The control: others can be seen.
        conn.batch_execute("GRANT EXECUTE ON FUNCTION enqueue TO PUBLIC")
            .unwrap();
        assert_ne!(rights(&mut conn), before);
    }));
    drop(temp);
    conn.batch_execute(&format!("DROP OWNED BY {roles} CASCADE; DROP ROLE {roles}"))
        .unwrap();
    outcome.unwrap();
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = diesel::sql_types::Text)]
    words: String,
}
