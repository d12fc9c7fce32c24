//! Who may do what over HTTP: tokens and their roles.

use std::io::{BufRead, BufReader, Read as _, Write};

use queuectl_core::{Role, Roles};
use serde_json::{Value, json};

use super::client::{Answer, Server, read};
use crate::support::{Queue, wait_until};

/// Makes a token and returns it.
fn token(queue: &Queue, name: &str, options: &[&str]) -> String {
    let words = [&["token:add", name], options].concat();
    queue.ok(words).trim().to_owned()
}

/// A request for a route that succeeds if it may be made: the path and the body.
struct Asking<'a> {
    queue: &'a Queue,
    count: usize,
}

impl Asking<'_> {
    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("fresh-{}", self.count)
    }

    fn request(&mut self, method: &str, path: &str) -> (String, String) {
        let fresh = self.fresh();
        let mut body = String::new();
        if !path.starts_with("/api/") {
            // Pages of things that are not there will do.
            let parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part });
            return (parts.collect::<Vec<_>>().join("/"), body);
        }
        match (method, path) {
            ("GET", _) => {}
            ("POST", "/api/v1/jobs") => body = json!({"id": fresh, "command": "exit 0"}).to_string(),
            ("POST", "/api/v1/jobs/{job}/{change}") => {
                self.queue.enqueue(["--id", &fresh, "exit 0"]);
                return (format!("/api/v1/jobs/{fresh}/hold"), body);
            }
            ("DELETE", "/api/v1/jobs/{job}") => {
                self.queue.enqueue(["--id", &fresh, "exit 0"]);
                self.queue.ok(["cancel", &fresh]);
                return (format!("/api/v1/jobs/{fresh}"), body);
            }
            ("POST", "/api/v1/queues/{queue}/pause") => {}
            // It was paused before, or nothing would be done.
            ("POST", "/api/v1/queues/{queue}/resume") => drop(self.queue.ok(["queue:pause", "mail"])),
            ("POST", "/api/v1/tokens") => body = json!({"name": fresh, "roles": ["read"]}).to_string(),
            ("DELETE", "/api/v1/tokens/{token}") => {
                token(self.queue, &fresh, &["--role", "read"]);
                return (format!("/api/v1/tokens/{fresh}"), body);
            }
            (method, path) => panic!("say here how {method} {path} is asked for, so that it succeeds"),
        }
        let path = path.replace("{queue}", "mail").replace("{job}", "seen");
        assert!(!path.contains('{'), "say here what the parts of {path} are");
        (path, body)
    }
}

/// Each role may do what the table of routes says, and nothing else.
#[test]
fn every_route_needs_its_role() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "seen", "--queue", "mail", "exit 0"]);
    let server = Server::start(&queue, &[]);
    let every: Vec<(Roles, String)> = ["read", "enqueue", "operate", "admin", "read,enqueue"]
        .into_iter()
        .map(|roles| {
            let sent = token(&queue, &roles.replace(',', "-"), &["--role", roles]);
            (
                roles
                    .split(',')
                    .map(|role| role.parse::<Role>().unwrap())
                    .collect(),
                sent,
            )
        })
        .collect();
    wait_until("the server to need a token", || {
        server.get("/api/v1/status").status == 401
    });
    let mut asking = Asking {
        queue: &queue,
        count: 0,
    };
    let (mut allowed, mut refused) = (0, 0);
    for (method, path, needed) in queuectl_server::routes() {
        let what = format!("{method} {path}");
        let is_api = path.starts_with("/api/");
        let (to, body) = asking.request(&method, path);
        let answer = send(&server, None, &method, &to, &body);
        match needed {
            None => assert!(answer.status == 200 || !is_api, "{what}: {answer:?}"),
            Some(_) => assert_unauthorized(&answer, &what),
        }
        for (roles, sent) in &every {
            let (to, body) = asking.request(&method, path);
            let answer = send(&server, Some(sent), &method, &to, &body);
            if needed.is_none_or(|role| roles.allow(role)) {
                let passed = match is_api {
                    true => (200..300).contains(&answer.status),
                    false => ![401, 403, 405, 415, 429, 500].contains(&answer.status),
                };
                assert!(passed, "{what} as {roles}: {answer:?}");
                allowed += 1;
                if is_api && method != "GET" && needed != Some(Role::Enqueue) {
                    let newest = queue.json(["op:list", "--limit", "1"]);
                    let by = format!("token {}", roles.to_string().replace(',', "-"));
                    assert_eq!(newest[0]["by"], by, "{what}");
                }
            } else {
                let told = answer.json(403);
                assert_eq!(told["code"], "forbidden", "{what} as {roles}");
                let role = needed.unwrap().name();
                let detail = told["detail"].as_str().unwrap();
                assert!(
                    detail.ends_with(&format!("needs a token with the role {role}")),
                    "{detail}"
                );
                refused += 1;
            }
        }
    }
    assert!(allowed > 30 && refused > 30, "{allowed} {refused}");
    // What is not in the table is not there, for no role.
    for path in ["/api/v1", "/api/v1/jobs/seen/hold/it", "/api/v1/secrets"] {
        assert_eq!(server.ask(&every[3].1, "GET", path, "").status, 404, "{path}");
    }
}

/// Sends a request as a program does, or as a browser sends a form of the dashboard.
fn send(server: &Server, token: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let kind = match path.starts_with("/api/") {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    let mut headers = vec![("Content-Type", kind), ("Sec-Fetch-Site", "same-origin")];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    if !path.ends_with("/live") {
        return server.send(method, path, &headers, body.as_bytes());
    }
    // A stream that was let in has no end.
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        server.host
    );
    headers
        .iter()
        .for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let mut stream = BufReader::new(server.connect());
    stream.get_mut().write_all((head + "\r\n").as_bytes()).unwrap();
    let mut first = String::new();
    stream.read_line(&mut first).unwrap();
    if first.contains(" 200 ") {
        return Answer {
            status: 200,
            head: first,
            body: String::new(),
        };
    }
    read(std::io::Cursor::new(first).chain(stream))
}

#[track_caller]
fn assert_unauthorized(answer: &Answer, what: &str) {
    assert_eq!(answer.json(401)["code"], "unauthorized", "{what}");
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("www-authenticate: bearer realm="), "{what}: {head}");
}

/// A port of this machine is everybody's until there is a token, and again when none is listed any more.
#[test]
fn a_port_needs_a_token_once_there_is_one() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &[]);
    server.get("/api/v1/status").json(200);
    let first = token(&queue, "first", &["--role", "read"]);
    let second = token(&queue, "second", &["--role", "read", "--expires", "2s"]);
    assert!(first.starts_with("qctl_") && first.len() == 69, "{first}");
    let listed = queue.json(["token:list"]);
    assert_eq!(listed[0]["state"], "good");
    assert!(!listed.to_string().contains(&first[5..]), "it is shown once");
    wait_until("a token to be needed", || {
        server.get("/api/v1/status").status == 401
    });
    let status = |token: &str| server.ask(token, "GET", "/api/v1/status", "").status;
    assert_eq!((status(&first), server.get("/healthz").status), (200, 200));
    wait_until("the second to expire", || status(&second) == 401);
    assert_eq!(queue.json(["token:list"])[1]["state"], "expired");
    wait_until("the use to be noted", || {
        queue.json(["token:list"])[0]["used_at"] != Value::Null
    });

    // A stream that is open ends with its token.
    let mut following = server.connect();
    let head = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {first}\r\n\r\n",
        server.host
    );
    following.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(following).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().contains("200"));
    queue.ok(["token:revoke", "first"]);
    wait_until("the first to be refused", || status(&first) == 401);
    let rest: Vec<String> = lines.collect();
    assert_eq!(
        rest.last().map(String::as_str),
        Some(""),
        "the last, empty chunk: {rest:?}"
    );
    assert!(
        queue
            .fails(3, ["token:revoke", "none"])
            .contains("no token 'none'")
    );
    assert_eq!(queue.json(["token:list"])[0]["state"], "revoked");
    // No token is good any more, and the port is not open for that.
    assert_eq!(server.get("/api/v1/status").status, 401);
    queue.ok(["token:revoke", "--forget", "first", "second"]);
    assert_eq!(queue.json(["token:list"]), json!([]));
    wait_until("the port to be open", || {
        server.get("/api/v1/status").status == 200
    });
    let kinds = queue.json(["op:list"]);
    let said = |kind: &str| {
        kinds
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["kind"] == kind)
            .count()
    };
    assert_eq!(
        (said("token added"), said("token revoked"), said("token removed")),
        (2, 2, 1)
    );
}

/// What was begun while there was no token ends with the first one.
#[test]
fn a_stream_without_a_token_ends_with_the_first_token() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--delay", "1day", "exit 0"]);
    let server = Server::start(&queue, &[]);
    let mut following = server.connect();
    let head = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: text/event-stream\r\n\r\n",
        server.host
    );
    following.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(following).lines().map_while(Result::ok);
    assert!(lines.next().unwrap().contains("200"));
    let sent = token(&queue, "first", &["--role", "read"]);
    wait_until("a token to be needed", || {
        server.get("/api/v1/status").status == 401
    });
    let rest: Vec<String> = lines.collect();
    assert_eq!(
        rest.last().map(String::as_str),
        Some(""),
        "the last, empty chunk: {rest:?}"
    );
    // So does a wait; one with a token, which is the control, does not.
    let path = format!("/api/v1/jobs/{id}?wait=2s");
    assert_eq!(server.ask(&sent, "GET", &path, "").status, 200);
    queue.ok(["token:revoke", "--forget", "first"]);
    wait_until("the port to be open", || {
        server.get("/api/v1/status").status == 200
    });
    let waited = std::thread::scope(|scope| {
        let waited = scope.spawn(|| server.get(&path.replace("2s", "4s")));
        token(&queue, "second", &["--role", "read"]);
        waited.join().unwrap()
    });
    assert_unauthorized(&waited, "a wait");
}

/// A token for some queues and executors stores no other jobs, one by one or many at a time.
#[test]
fn a_token_can_be_for_some_queues_and_executors_only() {
    let queue = Queue::quick();
    let sent = token(
        &queue,
        "shop",
        &[
            "--role",
            "enqueue",
            "--queue",
            "mail",
            "--queue",
            "web",
            "--executor",
            "shell",
        ],
    );
    let all = token(&queue, "all", &["--role", "enqueue"]);
    let server = Server::start(&queue, &[]);
    let store = |token: &str, job: Value| server.ask(token, "POST", "/api/v1/jobs", &job.to_string());
    let good = [
        json!({"command": "exit 0", "queue": "mail"}),
        json!({"command": "exit 0", "queue": "web", "on_death": "exit 0", "hook_queue": "mail"}),
    ];
    let bad = [
        json!({"command": "exit 0"}),
        json!("exit 0"),
        json!({"command": "exit 0", "queue": "other"}),
        json!({"command": "exit 0", "queue": "mail", "on_death": "exit 0", "hook_queue": "other"}),
        json!({"command": "exit 0", "queue": "mail", "unique": "key", "on_conflict": "replace"}),
    ];
    for job in &good {
        store(&sent, job.clone()).json(201);
    }
    for job in &bad {
        let told = store(&sent, job.clone()).json(403);
        assert_eq!(told["code"], "forbidden", "{job}: {told}");
        store(&all, job.clone()).json(201);
    }
    // Another's job with the key is not replaced, and the token sees nothing.
    assert_eq!(server.ask(&sent, "GET", "/api/v1/jobs", "").status, 403);
    let before = queue.jobs().len();
    let lines: String = good
        .iter()
        .chain(&bad[2..3])
        .map(|job| format!("{job}\n"))
        .collect();
    let many = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Content-Type", "application/x-ndjson"),
            ("Authorization", bearer.as_str()),
        ];
        server.send("POST", "/api/v1/jobs", &headers, lines.as_bytes())
    };
    let told = many(&sent).json(403);
    assert!(told["detail"].as_str().unwrap().starts_with("line 3: "), "{told}");
    assert_eq!((&told["stored"], queue.jobs().len()), (&json!(0), before));
    assert_eq!(many(&all).json(201)["stored"], 3);
    for wrong in [
        &["token:add", "x", "--role", "read", "--queue", "mail"][..],
        &["token:add", "x", "--role", "operate", "--executor", "shell"],
        &["token:add", "x"],
        &["token:add", "x", "--role", "king"],
    ] {
        queue.fails(2, wrong);
    }
    assert!(
        queue
            .fails(4, ["token:add", "shop", "--role", "read"])
            .contains("already a token")
    );
}

/// A client that guesses is told to wait, which keeps no other client of its address out.
#[test]
fn wrong_tokens_are_refused_and_counted() {
    let queue = Queue::quick();
    let right = token(&queue, "right", &["--role", "read"]);
    let server = Server::start(&queue, &[]);
    let ask = |token: &str| server.ask(token, "GET", "/api/v1/status", "");
    let wrong = |number: usize| format!("qctl_{number:064x}");
    for _ in 0..30 {
        assert_unauthorized(&ask(&wrong(0)), "the same wrong token");
    }
    assert_unauthorized(
        &server.send("GET", "/api/v1/status", &[("Authorization", "Basic eDp5")], b""),
        "Basic",
    );
    assert_unauthorized(&ask(&right.to_uppercase()), "other letters");
    assert_eq!(ask(&right).status, 200, "the control");
    // As a browser sends it that has asked for a name and a password.
    let basic = |token: &str| {
        let sent = base64(format!("me:{token}").as_bytes());
        server.send(
            "GET",
            "/jobs",
            &[("Authorization", &format!("Basic {sent}"))],
            b"",
        )
    };
    assert_eq!(basic(&right).status, 200);
    assert_unauthorized(&basic(&wrong(0)), "a wrong password");
    for number in 1..8 {
        assert_unauthorized(&ask(&wrong(number)), "a guess");
    }
    let told = ask(&wrong(8));
    assert_eq!(told.json(429)["code"], "guesses");
    let head = told.head.to_ascii_lowercase();
    let wait = head
        .split("retry-after: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    assert!((1..=6).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    assert_eq!(ask(&right).status, 200, "a right token of the same address");
    assert_eq!(basic(&right).status, 200);
    assert_eq!(ask(&wrong(8)).status, 429);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn an_address_that_others_can_reach_needs_tokens() {
    let queue = Queue::quick();
    let place = "0.0.0.0:0";
    let said = queue.fails(2, ["serve", "--listen", place]);
    assert!(
        said.contains("other machines could reach 0.0.0.0:0") && said.contains("--insecure-plain"),
        "{said}"
    );
    let said = queue.fails(2, ["serve", "--listen", place, "--insecure-plain"]);
    assert!(
        said.contains("there is no token yet") && said.contains("token:add"),
        "{said}"
    );
    let sent = token(&queue, "reader", &["--role", "read"]);
    let server = Server::start_on(place, &queue, &["--insecure-plain"]);
    assert_unauthorized(&server.get("/api/v1/status"), "no token");
    server.ask(&sent, "GET", "/api/v1/status", "").json(200);
    // Nor does it open up when no token is left.
    queue.ok(["token:revoke", "--forget", "reader"]);
    wait_until("the token to be refused", || {
        server.ask(&sent, "GET", "/api/v1/status", "").status == 401
    });
    assert_unauthorized(&server.get("/api/v1/status"), "no token is left");
    queue.fails(2, ["serve", "--listen", place, "--insecure-plain"]);
}

/// The Unix socket is its owner's, who needs no token. One that is sent counts.
#[cfg(unix)]
#[test]
fn the_owner_needs_no_token_on_the_unix_socket() {
    use std::os::unix::net::UnixStream;

    use crate::support::Node;

    let queue = Queue::quick();
    let sent = token(&queue, "reader", &["--role", "read"]);
    let socket = queue.path("api.sock");
    let node = Node::start_command(
        &queue,
        &["serve", "--listen", &format!("unix:{}", socket.display())],
        |_| {},
    );
    node.wait_log("listening on unix:");
    let ask = |method: &str, path: &str, more: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        super::client::read(stream)
    };
    ask("POST", "/api/v1/queues/mail/pause", "").json(200);
    ask("GET", "/api/v1/tokens", "").json(200);
    let bearer = format!("Authorization: Bearer {sent}\r\n");
    ask("GET", "/api/v1/status", &bearer).json(200);
    ask("GET", "/api/v1/tokens", &bearer).json(403);
    let wrong = format!("Authorization: Bearer {sent}0\r\n");
    assert_unauthorized(&ask("GET", "/api/v1/status", &wrong), "a wrong token");
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { letter as char } else { '=' });
        }
    }
    text
}
