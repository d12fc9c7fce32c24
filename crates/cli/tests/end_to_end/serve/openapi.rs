//! `docs/openapi.json`, which the server answers with: made of the table of routes, of what is described of each, and of the
//! schemas in `docs/json/v1`. With `QUEUECTL_UPDATE_DOCS=1` it is written instead of compared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::client::Server;
use super::described::{Described, ROUTES, check, needs_role, schema};
use crate::support::Queue;
use crate::support::schema::{Schemas, folder};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

/// Names that stand for whole schemas in the document.
const OWN: [&str; 8] = [
    "error",
    "job-page",
    "event-page",
    "stored-many",
    "output",
    "pause-request",
    "new-token",
    "new-job",
];

/// What errors of a status mean.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "A mistake in the request",
        401 => "There is no token, or it is not good",
        403 => "The token may not do this, or the request comes from another site",
        404 => "There is no such thing",
        408 => "The body did not come in time",
        409 => "The state of things does not allow it",
        413 => "The body is too large",
        415 => "The body is not JSON",
        421 => "The server is not known by that name",
        422 => "Another request had this Idempotency-Key",
        429 => "Too many wrong tokens came from this address",
        500 => "A bug, or it is not known whether jobs are stored",
        503 => "The server or the queue cannot be used right now",
        status => panic!("say here what {status} means"),
    }
}

fn reference(name: &str) -> Value {
    match name.strip_prefix('[') {
        Some(item) => json!({"type": "array", "items": reference(item.trim_end_matches(']'))}),
        None if ["text", "object", "nothing"].contains(&name) => schema(name),
        None => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

/// Points references to files at the document itself, and notes which are used.
fn point(schema: &mut Value, used: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some((_, name)) = target.split_once("#/$defs/")
            {
                used.push(name.to_owned());
                *target = format!("#/components/schemas/{name}");
            }
            members.values_mut().for_each(|member| point(member, used));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point(item, used)),
        _ => {}
    }
}

fn document() -> Value {
    let objects = Schemas::read().0.remove("objects.json").unwrap();
    let mut paths = Map::new();
    let mut wanted: Vec<String> = OWN.map(str::to_owned).to_vec();
    let mut statuses = BTreeSet::new();
    for (method, path, role) in queuectl_server::routes().filter(|(_, path, _)| is_described(path)) {
        let described = described(&method, path);
        let errors = described.errors(role.is_some());
        statuses.extend(errors.iter().copied());
        let names = described
            .gives
            .iter()
            .map(|(_, name)| name.trim_matches(['[', ']']));
        wanted.extend(names.map(str::to_owned));
        let operation = operation(described, &errors, role.map(|role| role.name()));
        paths
            .entry(path)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .unwrap()
            .insert(method.to_lowercase(), operation);
    }
    let mut schemas = Map::new();
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) || ["text", "object", "nothing"].contains(&name.as_str()) {
            continue;
        }
        let mut found = match OWN.contains(&name.as_str()) {
            true => schema(&name),
            false => objects["$defs"][&name].clone(),
        };
        assert!(!found.is_null(), "docs/json/v1/objects.json has no {name}");
        point(&mut found, &mut wanted);
        schemas.insert(name, found);
    }
    let responses: Map<String, Value> = statuses
        .into_iter()
        .map(|status| {
            let content = json!({"application/problem+json": {"schema": reference("error")}});
            let mut response = json!({"description": meaning(status), "content": content});
            if [429, 503].contains(&status) {
                response["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}}});
            }
            (format!("e{status}"), response)
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "queuectl",
            "version": "1",
            "description": "A durable background job queue. docs/api.md says more.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// Pages for people are not.
fn is_described(path: &str) -> bool {
    path.starts_with("/api/") || ["/healthz", "/readyz"].contains(&path)
}

fn described(method: &str, path: &str) -> &'static Described {
    let found = ROUTES
        .iter()
        .find(|one| one.method() == method && one.path() == path);
    found.unwrap_or_else(|| panic!("say in serve/described.rs what {method} {path} takes and answers"))
}

fn operation(described: &Described, errors: &[u16], role: Option<&str>) -> Value {
    let mut parameters: Vec<Value> = described
        .path()
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let mut schema = json!({"type": "string"});
            if name == "change" {
                schema["enum"] = json!(["cancel", "hold", "release", "retry", "start"]);
            }
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    for (name, kind, about) in described.query {
        parameters.push(json!({"name": name, "in": "query", "description": about, "schema": {"type": kind}}));
    }
    let mut responses = Map::new();
    for (status, name) in described.gives {
        let kind = if *name == "text" {
            "text/plain"
        } else {
            "application/json"
        };
        let mut schema = reference(name);
        if described.takes_lines && *status == 201 {
            schema = json!({"anyOf": [schema, reference("stored-many")]});
        }
        let mut response = json!({"description": described.about, "content": {kind: {"schema": schema}}});
        let is_output = described.path().ends_with("/logs");
        if described.path() == "/api/v1/events" || is_output {
            response["content"]["text/event-stream"] = json!({"schema": {"type": "string"}});
        }
        if is_output {
            response["content"]["text/plain"] = json!({"schema": {"type": "string"}});
        }
        if *name == "nothing" {
            response = json!({"description": "There is nothing more to come"});
        }
        responses.insert(status.to_string(), response);
    }
    for status in errors {
        responses.insert(
            status.to_string(),
            json!({"$ref": format!("#/components/responses/e{status}")}),
        );
    }
    let mut operation = json!({"summary": described.about, "parameters": parameters, "responses": responses});
    if let Some(name) = described.takes {
        let mut content = json!({"application/json": {"schema": reference(name)}});
        if described.takes_lines {
            content["application/x-ndjson"] = json!({"schema": {"type": "string"}});
            let key = json!({
                "name": "Idempotency-Key", "in": "header", "description": "a text of its own, so that it is done once",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            });
            operation["parameters"].as_array_mut().unwrap().push(key);
        }
        operation["requestBody"] = json!({"required": name != "pause-request", "content": content});
    }
    if let Some(role) = role {
        operation["security"] = json!([{"token": [role]}]);
    }
    operation
}

#[test]
fn the_document_is_that_of_the_routes() {
    for one in ROUTES {
        let is_there =
            queuectl_server::routes().any(|(method, path, _)| method == one.method() && path == one.path());
        assert!(is_there, "{} is described, and is not there", one.route);
    }
    let made = document();
    let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
    if std::env::var("QUEUECTL_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(file(), text).unwrap();
        return;
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    assert!(
        made == kept,
        "docs/openapi.json differs; to update it: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test end_to_end openapi"
    );
    assert!(folder().join("objects.json").exists());
    // Every reference leads somewhere, and nothing is there that none leads to.
    let text = kept.to_string();
    for (name, _) in kept["components"]["schemas"].as_object().unwrap() {
        assert!(
            text.contains(&format!("#/components/schemas/{name}\"")),
            "{name} is not used"
        );
    }
    for part in text.split("\"#/components/").skip(1) {
        let (kind, name) = part.split('"').next().unwrap().split_once('/').unwrap();
        assert!(!kept["components"][kind][name].is_null(), "{kind}/{name}");
    }
    // A role is needed where the table says so.
    for one in ROUTES {
        let security = &kept["paths"][one.path()][one.method().to_lowercase()]["security"];
        assert_eq!(security.is_array(), needs_role(one), "{}", one.route);
    }
}

#[test]
fn the_server_answers_with_the_document() {
    let queue = Queue::quick();
    queue.ok(["token:add", "some", "--role", "read"]);
    let server = Server::start(&queue, &[]);
    let answered = server.get("/api/v1/openapi.json").json(200);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    assert!(
        answered == kept,
        "the server has another document than docs/openapi.json"
    );
}

/// The control of what all tests of the server are checked with.
#[test]
fn answers_that_are_not_described_are_noticed() {
    let json = "content-type: application/json";
    let problem = "content-type: application/problem+json";
    let error = r#"{"type":"about:blank","title":"x","status":404,"code":"not_found","detail":"x"}"#;
    assert_eq!(
        check(
            "DELETE",
            "/api/v1/tokens/x",
            200,
            json,
            r#"{"id":"x","result":"revoked"}"#
        ),
        Ok(())
    );
    assert_eq!(check("GET", "/api/v1/jobs/x", 404, problem, error), Ok(()));
    for (method, path, status, head, body) in [
        ("DELETE", "/api/v1/tokens/x", 200, json, r#"{"id":"x"}"#),
        (
            "DELETE",
            "/api/v1/tokens/x",
            200,
            json,
            r#"{"id":"x","result":"revoked","more":1}"#,
        ),
        (
            "DELETE",
            "/api/v1/tokens/x",
            202,
            json,
            r#"{"id":"x","result":"revoked"}"#,
        ),
        ("GET", "/api/v1/jobs/x", 404, json, error),
        ("GET", "/api/v1/status", 404, problem, error),
        ("GET", "/api/v1/jobs/x", 404, problem, r#"{"detail":"x"}"#),
        ("GET", "/api/v1/what", 200, json, "{}"),
    ] {
        assert!(
            check(method, path, status, head, body).is_err(),
            "{method} {path} {status} {body}"
        );
    }
}
