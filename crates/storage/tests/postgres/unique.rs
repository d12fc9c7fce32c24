//! Unique keys where several transactions store jobs at the same time: what the index is for.

use diesel::connection::SimpleConnection;
use queuectl_testkit::conformance;

use super::open;

/// The control of `enqueuers_at_once_share_keys`: without the index, jobs with one key are there twice.
#[test]
fn without_the_index_keys_are_taken_twice() {
    let Some((temp, schema, mut conn)) = open("without_the_index_keys_are_taken_twice") else {
        return;
    };
    conn.batch_execute(&format!("DROP INDEX {schema}.jobs_unique"))
        .unwrap();
    assert!(conformance::doubled(&temp, 8, 200) > 0);
}
