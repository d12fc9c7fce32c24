//! Labels and comments of jobs that the SQL functions store.

use queuectl_core::JobRef;

use super::*;

#[test]
fn the_sql_functions_store_labels_and_refuse_what_is_none() {
    let Some((mut temp, schema, mut conn)) = open("the_sql_functions_store_labels_and_refuse_what_is_none")
    else {
        return;
    };
    let call = |arguments: &str| format!("SELECT {schema}.enqueue({arguments}) AS number");
    let mut get = |id: i64| temp.store.job(&JobRef::Number(JobId(id))).unwrap();
    let full = "'x', labels => '{\"team\": \"web ü\", \"urgent\": \"\"}', comment => E'a\\nb'";
    let stored = get(number(&mut conn, &call(full)).unwrap());
    let labels: Vec<(&str, &str)> = stored
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(labels, [("team", "web ü"), ("urgent", "")]);
    assert_eq!(stored.comment.as_deref(), Some("a\nb"));
    for none in ["'x'", "'x', labels => '{}'"] {
        let plain = get(number(&mut conn, &call(none)).unwrap());
        assert!(plain.labels.is_empty() && plain.comment.is_none() && plain.gates.is_empty());
    }
    let commented = get(number(&mut conn, &call("'x', comment => 'c'")).unwrap());
    assert_eq!(commented.comment.as_deref(), Some("c"));
    for (wrong, said) in [
        ("labels => '[]'", "object of texts"),
        ("labels => 'null'", "object of texts"),
        ("labels => '{\"a b\": \"c\"}'", "'a b' is not the key"),
        ("labels => '{\"\": \"c\"}'", "'' is not the key"),
        ("labels => '{\"a\": 1}'", "must be a text"),
        ("labels => '{\"a\": \"b,c\"}'", "a comma"),
        ("labels => '{\"a\": \"b\\nc\"}'", "a comma or a control character"),
        (
            "labels => '{\"a\": \"\\u0085\"}'",
            "a comma or a control character",
        ),
        (
            "labels => jsonb_build_object(repeat('k', 65), '')",
            "is not the key",
        ),
        ("labels => jsonb_build_object('k', repeat('v', 257))", "256 bytes"),
        (
            "labels => (SELECT jsonb_object_agg('k' || n, '') FROM generate_series(1, 17) AS n)",
            "more than 16 labels",
        ),
        ("comment => repeat('c', 1025)", "comment"),
    ] {
        let error = number(&mut conn, &call(&format!("'x', {wrong}")))
            .expect_err(wrong)
            .to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    // The control: what is at the limits is stored.
    for right in [
        "labels => jsonb_build_object(repeat('k', 64), repeat('v', 256))",
        "labels => (SELECT jsonb_object_agg('k' || n, '') FROM generate_series(1, 16) AS n)",
        "comment => repeat('c', 1024)",
    ] {
        number(&mut conn, &call(&format!("'x', {right}"))).expect(right);
    }
    // A library's way, with a group and without.
    for group in ["null", "\"g\""] {
        let spec = format!(
            "{{\"command\":\"x\",\"labels\":{{\"team\":\"db\"}},\"comment\":\"c\",\"group\":{group}}}"
        );
        let job = valid(JobSpec::from_written(&spec).unwrap());
        let id = enqueue_within(&mut conn, &schema, &job).unwrap();
        let stored = get(id.0);
        assert_eq!(
            (stored.labels["team"].as_str(), stored.comment.as_deref()),
            ("db", Some("c"))
        );
    }
    let report = temp.store.check().unwrap();
    assert_eq!((report.damage, report.dangling), (vec![], 0));
}
