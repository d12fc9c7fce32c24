//! What each route of the API takes and answers: the OpenAPI document is made of it, and every answer that a test gets is checked
//! against it.

use std::sync::OnceLock;

use queuectl_core::{FIELDS, Form};
use serde_json::{Map, Value, json};

use crate::support::schema::Schemas;

/// A route, as it is described.
pub struct Described {
    /// Its method and path.
    pub route: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What stands behind `?`: names, types and what they mean.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of the body.
    pub takes: Option<&'static str>,
    /// Whether it can also have one job a line.
    pub takes_lines: bool,
    /// Statuses of answers that are no errors, with the schemas of their documents.
    pub gives: &'static [(u16, &'static str)],
    /// Errors besides those that every route has that is like it.
    pub refuses: &'static [u16],
}

const PLAIN: Described = Described {
    route: "",
    about: "",
    query: &[],
    takes: None,
    takes_lines: false,
    gives: &[],
    refuses: &[],
};

const LIMIT: (&str, &str, &str) = (
    "limit",
    "integer",
    "most items of the answer, up to 1000; 100 by default",
);

pub const ROUTES: &[Described] = &[
    Described {
        route: "GET /healthz",
        about: "Says that the server lives",
        gives: &[(200, "text")],
        ..PLAIN
    },
    Described {
        route: "GET /readyz",
        about: "Says that the queue can be used",
        gives: &[(200, "text")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/openapi.json",
        about: "This document",
        gives: &[(200, "object")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/status",
        about: "The queue as a whole, as `queuectl status`",
        gives: &[(200, "status")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/queues",
        about: "The queues, as `queuectl queue:list`",
        gives: &[(200, "[queue-list]")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/queues/{queue}",
        about: "One queue, as `queuectl queue:show`",
        gives: &[(200, "queue-list")],
        ..PLAIN
    },
    Described {
        route: "POST /api/v1/queues/{queue}/pause",
        about: "Starts no more jobs of a queue, as `queuectl queue:pause`",
        takes: Some("pause-request"),
        gives: &[(200, "queue-list")],
        refuses: &[409],
        ..PLAIN
    },
    Described {
        route: "POST /api/v1/queues/{queue}/resume",
        about: "Starts jobs of a queue again, as `queuectl queue:resume`",
        gives: &[(200, "queue-list")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/nodes",
        about: "The nodes, as `queuectl worker:list`",
        gives: &[(200, "[node]")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/events",
        about: "What happened, as `queuectl events`; with `Accept: text/event-stream`, as it happens",
        query: &[
            ("after", "integer", "those after the event with this number"),
            LIMIT,
        ],
        gives: &[(200, "event-page")],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/jobs",
        about: "Jobs, page by page, as `queuectl list`",
        query: &[
            ("select", "string", "a selector, such as `state=dead`"),
            LIMIT,
            ("cursor", "string", "what the answer before gave as `next`"),
            ("oldest_first", "boolean", "whether the oldest come first"),
        ],
        gives: &[(200, "job-page")],
        ..PLAIN
    },
    Described {
        route: "POST /api/v1/jobs",
        about: "Stores a job, or many, as `queuectl enqueue`",
        takes: Some("new-job"),
        takes_lines: true,
        gives: &[(201, "enqueue"), (200, "enqueue")],
        refuses: &[404, 409, 422],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/jobs/{job}",
        about: "One job with its attempts, as `queuectl show`",
        query: &[(
            "wait",
            "string",
            "answer when the job has ended, or after this time, such as 30s",
        )],
        gives: &[(200, "show")],
        refuses: &[404],
        ..PLAIN
    },
    Described {
        route: "DELETE /api/v1/jobs/{job}",
        about: "Removes a job that has ended, as `queuectl purge`",
        gives: &[(200, "cancel")],
        refuses: &[404, 409],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/jobs/{job}/explain",
        about: "Why a job does not run, as `queuectl explain`",
        gives: &[(200, "explain")],
        refuses: &[404],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/jobs/{job}/logs",
        about: "What a job printed, as `queuectl logs`; with `Accept: text/event-stream`, as it is printed",
        query: &[
            ("attempt", "integer", "only this attempt"),
            (
                "stream",
                "string",
                "only what came from there: `stdout` or `stderr`",
            ),
            ("after", "string", "what the answer before gave as `next`"),
            ("limit", "integer", "most bytes of the answer, 16 to 1048576"),
            ("raw", "boolean", "of text: the bytes as they are"),
        ],
        gives: &[(200, "output"), (204, "nothing")],
        refuses: &[404],
        ..PLAIN
    },
    Described {
        route: "POST /api/v1/jobs/{job}/{change}",
        about: "Changes a job: `cancel`, `hold`, `release`, `retry` or `start`, as the command of that name",
        gives: &[(200, "cancel")],
        refuses: &[404, 409],
        ..PLAIN
    },
    Described {
        route: "GET /api/v1/tokens",
        about: "The tokens, as `queuectl token:list`",
        gives: &[(200, "[token]")],
        ..PLAIN
    },
    Described {
        route: "POST /api/v1/tokens",
        about: "Makes a token, as `queuectl token:add`",
        takes: Some("new-token"),
        gives: &[(201, "token-add")],
        refuses: &[409],
        ..PLAIN
    },
    Described {
        route: "DELETE /api/v1/tokens/{token}",
        about: "Revokes a token, as `queuectl token:revoke`",
        gives: &[(200, "token-revoke")],
        refuses: &[404],
        ..PLAIN
    },
];

impl Described {
    pub fn method(&self) -> &'static str {
        self.route.split(' ').next().unwrap()
    }

    pub fn path(&self) -> &'static str {
        self.route.split(' ').nth(1).unwrap()
    }

    /// All statuses of its errors. Whether it needs a role is in the table of the server.
    pub fn errors(&self, needs_role: bool) -> Vec<u16> {
        let mut all = vec![400, 403, 421];
        if needs_role {
            all.extend([401, 429]);
        }
        if self.path() != "/healthz" {
            all.extend([500, 503]);
        }
        if self.method() != "GET" {
            all.push(415);
        }
        if self.takes.is_some() {
            all.extend([408, 413]);
        }
        all.extend(self.refuses);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a path is one of this route.
    fn is_at(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let own: Vec<&str> = self.path().split('/').collect();
        let fits = |(own, part): (&&str, &&str)| own == part || own.starts_with('{') && !part.is_empty();
        parts.len() == own.len() && own.iter().zip(&parts).all(fits)
    }
}

/// A schema by its name, with references to `docs/json/v1/objects.json`.
pub fn schema(name: &str) -> Value {
    if let Some(item) = name.strip_prefix('[') {
        return json!({"type": "array", "items": schema(item.trim_end_matches(']'))});
    }
    match name {
        "text" => json!({"type": "string"}),
        "nothing" => json!({}),
        "object" => json!({"type": "object"}),
        "error" => object(
            &[
                ("type", json!({"type": "string"})),
                ("title", json!({"type": "string"})),
                ("status", json!({"type": "integer"})),
                ("code", json!({"type": "string"})),
                ("detail", json!({"type": "string"})),
                ("stored", json!({"type": "integer"})),
                ("line", json!({"type": "integer"})),
            ],
            &["type", "title", "status", "code", "detail"],
        ),
        "job-page" => object(
            &[
                ("jobs", schema("[job]")),
                ("next", json!({"type": ["string", "null"]})),
            ],
            &["jobs", "next"],
        ),
        "event-page" => object(
            &[
                ("events", schema("[events]")),
                ("next", json!({"type": ["integer", "null"]})),
            ],
            &["events", "next"],
        ),
        "stored-many" => object(
            &[
                ("stored", json!({"type": "integer"})),
                ("existing", json!({"type": "integer"})),
                ("ids", json!({"type": "array", "items": {"type": "string"}})),
            ],
            &["stored", "existing", "ids"],
        ),
        "pause-request" => object(
            &[
                ("reason", json!({"type": ["string", "null"]})),
                ("for", json!({"type": ["string", "null"]})),
            ],
            &[],
        ),
        "output" => {
            let chunk = object(
                &[
                    ("offset", json!({"type": "integer"})),
                    ("stream", json!({"type": "string"})),
                    ("at", json!({"type": ["string", "null"], "format": "date-time"})),
                    ("text", json!({"type": "string"})),
                    ("omitted_bytes", json!({"type": "integer"})),
                ],
                &["offset", "stream", "at", "text", "omitted_bytes"],
            );
            object(
                &[
                    ("id", json!({"type": "string"})),
                    ("number", json!({"type": "integer"})),
                    ("attempt", json!({"type": "integer"})),
                    ("chunks", json!({"type": "array", "items": chunk})),
                    ("next", json!({"type": "string"})),
                    ("more", json!({"type": "boolean"})),
                    ("ended", json!({"type": "boolean"})),
                ],
                &["id", "number", "attempt", "chunks", "next", "more", "ended"],
            )
        }
        "new-token" => {
            let texts = json!({"type": "array", "items": {"type": "string"}});
            object(
                &[
                    ("name", json!({"type": "string"})),
                    ("roles", texts.clone()),
                    ("queues", texts.clone()),
                    ("executors", texts),
                    ("expires", json!({"type": ["string", "null"]})),
                ],
                &["name", "roles"],
            )
        }
        "new-job" => new_job(),
        name => json!({"$ref": format!("objects.json#/$defs/{name}")}),
    }
}

fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// A job as `enqueue` takes it.
fn new_job() -> Value {
    let mut properties = Map::new();
    for field in &FIELDS {
        let mut form = match &field.form {
            Form::Command(_) => json!({"type": ["string", "array"], "items": {"type": "string"}}),
            Form::Word(_) | Form::Text(_) | Form::Time(_) => json!({"type": "string"}),
            Form::Flag(_) => json!({"type": "boolean"}),
            Form::List(_) | Form::Words(_) => {
                json!({"type": ["string", "array", "integer"], "items": {"type": ["string", "integer"]}})
            }
            Form::Whole(..) => json!({"type": "integer"}),
            Form::Decimal(..) => json!({"type": "number"}),
            Form::Duration(_) => json!({"type": ["string", "number"]}),
            Form::Variables(_) | Form::Labels(_) => {
                json!({"type": "object", "additionalProperties": {"type": "string"}})
            }
            Form::Object(_) => json!({"type": "object"}),
        };
        form["description"] = field.about.into();
        properties.insert(field.name.to_owned(), form);
    }
    json!({"anyOf": [{"type": "object", "properties": properties}, {"type": "string"}]})
}

/// Checks an answer: its status and its document are described, also if there is no such route.
pub fn check(method: &str, target: &str, status: u16, head: &str, body: &str) -> Result<(), String> {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    let path = target.split('?').next().unwrap_or_default();
    let found = ROUTES
        .iter()
        .filter(|route| route.method() == method && route.is_at(path))
        // A path without a part that varies comes first.
        .min_by_key(|route| route.path().matches('{').count());
    let is_api = path.starts_with("/api/") || ["/healthz", "/readyz"].contains(&path);
    if !is_api {
        return Ok(());
    }
    let is_problem = head.contains("application/problem+json");
    let wanted = if is_problem || status >= 400 {
        let known = match found {
            Some(route) => route.errors(needs_role(route)),
            None => vec![400, 403, 404, 405, 415, 421],
        };
        if !known.contains(&status) || !is_problem {
            return Err(format!(
                "{method} {path}: the error {status} is not described\n{head}{body}"
            ));
        }
        "error"
    } else {
        let route = found.ok_or_else(|| format!("{method} {path} is not described"))?;
        let given = route.gives.iter().find(|(given, _)| *given == status);
        let (_, name) = given.ok_or_else(|| format!("{method} {path}: {status} is not described"))?;
        match *name {
            "text" => return Ok(()),
            "nothing" if body.is_empty() => return Ok(()),
            // What was asked for as text, or as a stream.
            "output" if !head.contains("application/json") => return Ok(()),
            "enqueue" if body.contains("\"ids\"") => "stored-many",
            name => name,
        }
    };
    let document: Value = serde_json::from_str(body).map_err(|error| format!("{method} {path}: {error}"))?;
    let schemas = SCHEMAS.get_or_init(Schemas::read);
    let fits = schemas.fits(&schema(wanted), &document, "");
    fits.map_err(|why| format!("{method} {path}: {status} is not {wanted}: {why}: {document}"))
}

/// Whether the server's table has a role for it.
pub fn needs_role(described: &Described) -> bool {
    let same =
        |(method, path, _): &(String, &str, _)| *method == described.method() && *path == described.path();
    queuectl_server::routes()
        .find(same)
        .is_some_and(|(_, _, role)| role.is_some())
}
