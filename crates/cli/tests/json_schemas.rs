//! `docs/json/v1` is what the tables of docs/json.md say, as JSON Schema. With `QUEUECTL_UPDATE_DOCS=1` the files are written
//! instead of compared.

#[path = "support/schema.rs"]
mod schema;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use self::schema::{Schemas, file_of, folder};

/// The file of what several commands print.
const OBJECTS: &str = "objects.json";

/// Commands that print an array.
const ARRAYS: [&str; 15] = [
    "list",
    "worker:list",
    "limit:list",
    "group:list",
    "hook:list",
    "config:list",
    "dlq:list",
    "dlq:causes",
    "events",
    "queue:list",
    "schedule:list",
    "schedule:next",
    "schedule:import",
    "plugin:list",
    "token:list",
];

/// What commands print that has no heading with their names.
const OTHERS: [(&str, &str); 21] = [
    ("list", "job"),
    ("worker:list", "node"),
    ("limit:list", "limit"),
    ("limit:set", "limit"),
    ("group:list", "group"),
    ("group:close", "group"),
    ("hook:list", "hook"),
    ("hook:add", "hook"),
    ("hook:show", "hook"),
    ("token:list", "token"),
    ("config:list", "setting"),
    ("config:get", "setting"),
    ("config:set", "setting"),
    ("config:unset", "setting"),
    ("rerun", "enqueue"),
    ("schedule:run", "enqueue"),
    ("wait", "cancel"),
    ("purge", "cancel"),
    // Of a range, a group or a filter.
    ("retry", "dlq-retry-all"),
    ("dlq:retry", "dlq-retry-all"),
    ("dlq:purge", "dlq-purge-all"),
];
/// Those that print a count for a range, a group or a filter.
const COUNTED: [&str; 7] = ["kill", "hold", "release", "start", "edit", "priority", "move"];

/// A heading with its table.
struct Section {
    heading: String,
    /// The text between them.
    text: String,
    fields: Vec<(String, String)>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in page.lines() {
        if line.starts_with('#') {
            sections.push(Section {
                heading: line.trim_start_matches(['#', ' ']).to_owned(),
                text: String::new(),
                fields: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        match line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            Some((name, rest)) => {
                let kind = rest.split(" | ").next().unwrap_or_default();
                section.fields.push((name.to_owned(), kind.to_owned()));
            }
            None if section.fields.is_empty() => section.text.push_str(&format!("{line} ")),
            None => {}
        }
    }
    let is_printed = |section: &Section| {
        let other = ["States", "What `enqueue` takes", "`list --columns`"];
        !section.fields.is_empty() && !other.contains(&section.heading.as_str())
    };
    sections.retain(is_printed);
    sections
}

/// The name of what a heading describes: `job` of "The job object", `dlq-list` of "`dlq:list`".
fn name(heading: &str) -> String {
    let plain = heading.trim_start_matches("The ").trim_end_matches(" object");
    let first = match plain.strip_prefix('`') {
        Some(quoted) => {
            let (command, rest) = quoted.split_once('`').expect("a quotation ends");
            match rest.starts_with(" of ") && command == "cancel" {
                true => "cancel-many",
                false => command.trim_end_matches(" JOB..."),
            }
        }
        None => plain.trim_start_matches("A ").trim_start_matches("An "),
    };
    let letters = first.chars().filter(|c| *c != '`');
    let words: String = letters
        .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}

/// The commands that a heading names.
fn commands(heading: &str) -> Vec<String> {
    let quoted = heading.split('`').skip(1).step_by(2);
    let named = quoted.filter(|text| !text.starts_with('-') && heading.starts_with('`'));
    named
        .map(|text| text.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// The anchor of a heading, as links have it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The first link of a text: its anchor.
fn link(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("](#")?;
    Some(rest.split_once(')')?.0)
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{OBJECTS}#/$defs/{name}")})
}

/// The schema of a type in words.
fn of_type(words: &str, names: &BTreeMap<String, String>) -> Value {
    let to = |text: &str| {
        let anchor = link(text).unwrap_or_else(|| panic!("{text:?} has no link"));
        reference(
            names
                .get(anchor)
                .unwrap_or_else(|| panic!("{anchor} is not a heading")),
        )
    };
    let plain = words.split(',').next().unwrap_or_default();
    match plain {
        _ if words == "text, array of texts or null" => json!({"type": ["string", "array", "null"]}),
        "text" => json!({"type": "string"}),
        "text or null" => json!({"type": ["string", "null"]}),
        "integer" => json!({"type": "integer"}),
        "integer or null" => json!({"type": ["integer", "null"]}),
        "number" => json!({"type": "number"}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "time or null" => json!({"type": ["string", "null"], "format": "date-time"}),
        "boolean" | "true or false" => json!({"type": "boolean"}),
        "boolean or null" => json!({"type": ["boolean", "null"]}),
        "any JSON" => json!({}),
        "object" => json!({"type": "object"}),
        "object or null" => json!({"type": ["object", "null"]}),
        "object of texts" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "object of texts or nulls" => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}})
        }
        "array" => json!({"type": "array"}),
        "array of objects" => json!({"type": "array", "items": {"type": "object"}}),
        "array of text" | "array of texts" => json!({"type": "array", "items": {"type": "string"}}),
        "array of text or null" | "array of texts or null" => {
            json!({"type": ["array", "null"], "items": {"type": "string"}})
        }
        "array of integers" => json!({"type": "array", "items": {"type": "integer"}}),
        _ if plain.starts_with('[') && plain.ends_with(')') => to(plain),
        _ if plain.starts_with("array of [") => json!({"type": "array", "items": to(plain)}),
        _ if plain.starts_with('[') && plain.ends_with(" or null") => {
            json!({"anyOf": [to(plain), {"type": "null"}]})
        }
        other => panic!("docs/json.md has the type {other:?}, which is not known here"),
    }
}

/// The schemas of the page, by their files.
fn made(page: &str) -> BTreeMap<String, Value> {
    let sections = sections(page);
    let names: BTreeMap<String, String> = sections
        .iter()
        .map(|section| (anchor(&section.heading), name(&section.heading)))
        .collect();
    let mut objects = Map::new();
    let mut printed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in &sections {
        let own = name(&section.heading);
        let fields: Map<String, Value> = section
            .fields
            .iter()
            .map(|(field, kind)| (field.clone(), of_type(kind, &names)))
            .collect();
        let required: Vec<&String> = section.fields.iter().map(|(field, _)| field).collect();
        let mut schema = json!({"type": "object", "properties": fields, "required": required});
        let continues = ["and these fields", "and this field", "and these ", ", and:"];
        let includes = continues.iter().any(|words| section.text.contains(words));
        if let (true, Some(anchor)) = (includes, link(&section.text)) {
            let other = names
                .get(anchor)
                .unwrap_or_else(|| panic!("{anchor} is not a heading"));
            schema = json!({"allOf": [reference(other), schema]});
        }
        assert!(
            objects.insert(own.clone(), schema).is_none(),
            "{own} is there twice"
        );
        for command in commands(&section.heading) {
            let objects = printed.entry(command).or_default();
            if !objects.contains(&own) {
                objects.push(own.clone());
            }
        }
    }
    for (command, object) in OTHERS
        .into_iter()
        .chain(COUNTED.map(|command| (command, "dlq-purge-all")))
    {
        let objects = printed.entry(command.to_owned()).or_default();
        if !objects.iter().any(|other| other == object) {
            objects.push(object.to_owned());
        }
    }
    let mut files: BTreeMap<String, Value> = BTreeMap::new();
    for (command, names) in printed {
        let mut one = match &names[..] {
            [name] => reference(name),
            several => json!({"anyOf": several.iter().map(|name| reference(name)).collect::<Vec<_>>()}),
        };
        if ARRAYS.contains(&command.as_str()) {
            one = json!({"type": "array", "items": one});
        }
        let head = one.as_object_mut().expect("an object");
        head.insert(
            "title".to_owned(),
            format!("What `queuectl {command} --json` prints").into(),
        );
        files.insert(file_of(&command), with_dialect(one));
    }
    files.insert(OBJECTS.to_owned(), with_dialect(json!({"$defs": objects})));
    files
}

fn with_dialect(mut schema: Value) -> Value {
    let head = schema.as_object_mut().expect("an object");
    head.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema
}

#[test]
fn the_schemas_are_what_the_page_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md"))
        .expect("docs/json.md can be read");
    let made = made(&page.replace("\r\n", "\n"));
    if std::env::var("QUEUECTL_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).expect("a folder");
        for (file, schema) in &made {
            let text = serde_json::to_string_pretty(schema).expect("JSON");
            std::fs::write(folder().join(file), text + "\n").expect("a file");
        }
        return;
    }
    let kept = Schemas::read().0;
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        kept.keys().collect::<Vec<_>>(),
        "the files of docs/json/v1; to update them: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test json_schemas"
    );
    for (file, schema) in &made {
        assert_eq!(
            *schema, kept[file],
            "{file}; to update it: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test json_schemas"
        );
    }
}

/// The control of what other tests check with.
#[test]
fn documents_that_do_not_fit_are_refused() {
    let schemas = Schemas::read();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let check = |line: &str, value: Value| schemas.check(&words(line), &value).err().unwrap_or_default();
    let good = json!({"db": "queue.db", "made": true});
    assert_eq!(check("init", good.clone()), "");
    for (field, value, why) in [
        ("more", json!(1), "/more is not described"),
        ("db", json!(null), "/db is not string"),
        ("made", json!("yes"), "/made is not boolean"),
    ] {
        let mut other = good.clone();
        other[field] = value;
        assert!(check("init", other).contains(why), "{field}");
    }
    assert!(check("init", json!({"db": "queue.db"})).contains("/made is missing"));
    assert!(check("worker list --json", json!({})).contains("is not array"));
    assert!(check("worker:list", json!([{"id": 1}])).contains("/0/"));
    assert!(check("db path", json!({"db": "x", "folder": "y", "z": 1})).contains("/z is not described"));
    assert_eq!(
        check("list --columns id", json!([{"id": "1"}])),
        "",
        "what was chosen is not all"
    );
    let named = json!({"id": "1", "result": "purged"});
    for value in [&named, &json!({"jobs": 2}), &json!({"jobs": 2, "first": ["1"]})] {
        assert_eq!(check("purge", value.clone()), "");
    }
    assert!(check("purge", json!({"jobs": "2"})).contains("or "));
    let time = json!([{"local": "x", "at": "soon"}]);
    assert!(check("schedule:next s", time).contains("/0/at is not a time"));
}
