//! The program and the SQL functions take the same names.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Integer, Text};
use queuectl_core::{GroupName, JobName, QueueName};

use super::open;

#[derive(QueryableByName)]
struct Accepts {
    #[diesel(sql_type = Bool)]
    accepts: bool,
}

#[derive(QueryableByName)]
struct Characters {
    #[diesel(sql_type = Array<Integer>)]
    first: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    later: Vec<i32>,
}

/// Whether an enqueue went well; the job is not kept.
fn accepts(conn: &mut PgConnection, call: &str, name: &str) -> bool {
    let stored = conn.transaction(|conn| {
        let query = diesel::sql_query(format!("SELECT {call} > 0 AS accepts"));
        let Accepts { accepts } = query.bind::<Text, _>(name).get_result(conn)?;
        assert!(accepts);
        Err::<(), _>(diesel::result::Error::RollbackTransaction)
    });
    matches!(stored, Err(diesel::result::Error::RollbackTransaction))
}

#[test]
fn there_is_one_list_of_rules_for_names() {
    let Some((_temp, schema, mut conn)) = open("there_is_one_list_of_rules_for_names") else {
        return;
    };
    let long = |bytes: usize| "x".repeat(bytes);
    // 128 bytes and two more, in characters of two.
    let wide = |chars: usize| "\u{e9}".repeat(chars);
    let names = [
        "a",
        "job1",
        "1job",
        "42",
        "mail/2026:a-b_c.d",
        "",
        " ",
        "a b",
        " a",
        "a ",
        "a\n",
        "\na",
        "-x",
        "_x",
        ".x",
        "a'b",
        "a;b",
        "a\\b",
        "a\tb",
        "a\u{1b}[31m",
        "a]b",
        "a^b",
        "caf\u{e9}",
        "cafe\u{301}",
        "\u{301}e",
        "\u{915}\u{94d}\u{937}\u{93f}",
        "\u{e17}\u{e35}\u{e48}",
        "\u{0661}\u{0662}",
        "\u{4e2d}\u{6587}",
        "\u{1f600}",
        "a\u{1f600}",
        "\u{10400}",
        "\u{2167}",
        "\u{00bd}",
        "a\u{00b7}",
        "a\u{200d}b",
        "a\u{200c}b",
        "a\u{202e}b",
        "a\u{2028}b",
        "a\u{00a0}b",
        "a\u{00ad}b",
        "a\u{feff}",
        "a\u{e000}",
        "a\u{fffd}",
    ]
    .map(str::to_owned);
    let made = [long(128), long(129), wide(64), wide(65)];
    let (mut taken, mut refused) = (0, 0);
    for name in names.iter().chain(&made) {
        let queue = format!("{schema}.enqueue('true', queue => $1)");
        let id = format!("{schema}.enqueue('true', id => $1)");
        let group = format!("{schema}.enqueue('true', \"group\" => $1)");
        let shown = name.escape_unicode();
        let (as_queue, as_id) = (name.parse::<QueueName>().is_ok(), name.parse::<JobName>().is_ok());
        assert_eq!(accepts(&mut conn, &queue, name), as_queue, "queue {shown}");
        assert_eq!(accepts(&mut conn, &id, name), as_id, "id {shown}");
        let as_group = name.parse::<GroupName>().is_ok();
        assert_eq!(accepts(&mut conn, &group, name), as_group, "group {shown}");
        taken += usize::from(as_queue);
        refused += usize::from(!as_queue);
    }
    assert!(taken > 15 && refused > 20, "{taken} {refused}");
}

/// A character that SQL takes and the program does not would be a job that cannot run. A newer Unicode has more letters: the
/// program then takes more than the schema, and the next migration should have what this prints.
#[test]
fn the_characters_of_names_are_the_programs() {
    let Some((_temp, schema, mut conn)) = open("the_characters_of_names_are_the_programs") else {
        return;
    };
    let all: Vec<char> = ('\u{1}'..=char::MAX).collect();
    let Characters { first, later } = diesel::sql_query(format!(
        "SELECT ARRAY (SELECT c FROM unnest($1) AS c WHERE {schema}.is_name(chr(c)) ORDER BY c) AS first, \
         ARRAY (SELECT c FROM unnest($1) AS c WHERE {schema}.is_name('a' || chr(c)) ORDER BY c) AS later"
    ))
    .bind::<Array<Integer>, _>(all.iter().copied().map(number).collect::<Vec<_>>())
    .get_result(&mut conn)
    .unwrap();
    compare("first", &first, &taken(&all, ""));
    compare("later", &later, &taken(&all, "a"));
}

fn number(c: char) -> i32 {
    u32::from(c).cast_signed()
}

/// The characters that the program takes in a name behind this.
fn taken(all: &[char], before: &str) -> Vec<i32> {
    let is_taken = |c: &&char| format!("{before}{c}").parse::<QueueName>().is_ok();
    all.iter().filter(is_taken).copied().map(number).collect()
}

fn compare(place: &str, on_server: &[i32], in_program: &[i32]) {
    assert!(on_server.len() > 130_000, "{place}: {}", on_server.len());
    let is_surplus = |c: &&i32| in_program.binary_search(c).is_err();
    let surplus: Vec<&i32> = on_server.iter().filter(is_surplus).collect();
    assert!(surplus.is_empty(), "{place}: {surplus:x?}");
    if on_server != in_program {
        println!("{place}, beside ASCII: {}", ranges(in_program));
    }
}

/// Ranges of characters as a regular expression has them between brackets.
fn ranges(characters: &[i32]) -> String {
    let escaped = |c: i32| match c {
        ..=0xffff => format!("\\u{c:04X}"),
        _ => format!("\\U{c:08X}"),
    };
    let beside_ascii: Vec<i32> = characters.iter().copied().filter(|c| *c > 127).collect();
    let ranges = beside_ascii
        .chunk_by(|a, b| a + 1 == *b)
        .map(|range| match range {
            [first, .., last] => format!("{}-{}", escaped(*first), escaped(*last)),
            single => single.iter().copied().map(escaped).collect(),
        });
    ranges.collect()
}
