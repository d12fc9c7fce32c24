//! The dashboard of a real server: its pages, its forms, and what it refuses.

use serde_json::json;

use super::client::{Answer, Server};
use super::output::Follow;
use crate::support::{Queue, wait_until};

/// A text that would do something in a browser, on a terminal, or to the eye.
const HOSTILE: &str = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'&";

/// All screens that need no name.
const SCREENS: [&str; 10] = [
    "/",
    "/jobs",
    "/queues",
    "/dead",
    "/limits",
    "/schedules",
    "/groups",
    "/nodes",
    "/operations",
    "/events",
];

impl Server {
    /// A page as a browser asks for it.
    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = self.send("GET", path, &[("Accept", "text/html")], b"");
        assert_eq!(answer.status, 200, "{path}: {}\n{}", answer.head, answer.body);
        check(path, &answer);
        answer.body
    }

    /// A form as a browser sends it from a page of the dashboard. Returns where that leads.
    #[track_caller]
    fn submit(&self, path: &str, fields: &str) -> String {
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let answer = self.send("POST", path, &headers, fields.as_bytes());
        assert_eq!(answer.status, 303, "{path}: {}\n{}", answer.head, answer.body);
        let place = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        place.unwrap().to_owned()
    }
}

/// What holds for every page.
#[track_caller]
fn check(path: &str, answer: &Answer) {
    let head = answer.head.to_ascii_lowercase();
    let policy = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                  connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    assert!(head.contains(policy), "{path}: {head}");
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{path}: {head}"
    );
    assert!(head.contains("cache-control: no-store"), "{path}: {head}");
    let body = &answer.body;
    assert!(body.len() < 200 * 1024, "{path} has {} bytes", body.len());
    for inline in [
        "<style",
        " style=",
        " onclick=",
        "<img",
        "javascript:",
        "<script>",
    ] {
        assert!(!body.contains(inline), "{path} has {inline}");
    }
    for part in [
        "<h1>",
        "<nav ",
        "<main ",
        "lang=\"en\"",
        "href=\"#main\"",
        "<title>",
    ] {
        assert!(body.contains(part), "{path} has no {part}");
    }
    assert_eq!(body.matches("<h1>").count(), 1, "{path}");
    // Every field has a label.
    assert_eq!(
        body.matches("type=\"search\"").count(),
        body.matches("for=\"select\"").count()
    );
}

/// The value of an attribute of the first tag that has this in it.
#[track_caller]
fn attribute(page: &str, tag: &str, name: &str) -> String {
    let at = page.find(tag).unwrap_or_else(|| panic!("no {tag} in {page}"));
    let start = page[..at].rfind('<').unwrap();
    let whole = &page[start..];
    let whole = &whole[..whole.find('>').unwrap()];
    let value = whole.split(&format!("{name}=\"")).nth(1);
    let value = value.unwrap_or_else(|| panic!("no {name} in {whole}"));
    value.split('"').next().unwrap().replace("&amp;", "&")
}

/// The hidden fields of the form that is sent there.
fn hidden(page: &str, action: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    let fields = form.split("<input type=\"hidden\" ").skip(1).map(|input| {
        let value = |name: &str| {
            input
                .split(&format!("{name}=\""))
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
        };
        let value_of = value("value").replace('=', "%3D").replace(' ', "%20");
        format!("{}={value_of}", value("name"))
    });
    fields.collect::<Vec<_>>().join("&")
}

#[test]
fn every_screen_shows_what_there_is_and_obeys_nothing_of_it() {
    let queue = Queue::quick();
    queue.ok(["config:set", "event_retention", "7d"]);
    queue.ok(["limit:set", "disk", "--running", "1"]);
    queue.ok(["schedule:add", "nightly", "0 3 * * *", "--", "echo", HOSTILE]);
    let print = format!(
        "printf '%s\\033[31mred\\033[2J\\n' '{}'; exit 7",
        HOSTILE.replace('\'', "'\\''")
    );
    queue.enqueue([
        "--id",
        "sick",
        "--max-retries",
        "0",
        "--label",
        "team=<b>web</b>",
        &print,
    ]);
    queue.enqueue([
        "--id",
        "a.b-c",
        "--limit",
        "disk",
        "--group",
        "night",
        "--comment",
        HOSTILE,
        "echo fine",
    ]);
    queue.drain(&[]);
    queue.enqueue([
        "--id",
        "waits",
        "--queue",
        "mail",
        "--after",
        "a.b-c",
        "--delay",
        "1day",
        "echo later",
    ]);
    queue.ok(["queue:pause", "mail", "--reason", HOSTILE]);
    let server = Server::start(&queue, &[]);
    for path in SCREENS {
        let page = server.page(path);
        assert!(page.contains("aria-current=\"page\""), "{path}");
    }
    let overview = server.page("/");
    assert!(
        overview.contains("<svg") && overview.contains("Jobs that ended"),
        "{overview}"
    );
    for state in ["completed", "dead", "scheduled"] {
        assert!(
            overview.contains(&format!("<b>1</b> {state}")),
            "{state}: {overview}"
        );
    }
    let sick = server.page("/jobs/sick");
    assert!(sick.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{sick}");
    assert!(sick.contains("<span class=\"f1\">red\\x1b[2J"), "{sick}");
    assert!(sick.contains("attempt 1: failed"), "{sick}");
    let waits = server.page("/jobs/waits");
    assert!(
        waits.contains("Why it does not run") && waits.contains("queuectl queue:resume mail"),
        "{waits}"
    );
    assert!(waits.contains("a.b-c"), "{waits}");
    for path in [
        "/jobs/a.b-c",
        "/queues/mail",
        "/limits/disk",
        "/schedules/nightly",
        "/groups/night",
        "/jobs?select=state%3Ddead%20error~exit",
    ] {
        server.page(path);
    }
    let cause = attribute(&overview, "href=\"/dead/", "href");
    assert!(server.page(&cause).contains("sick"));
    // A mistake in a filter is said beside it.
    let wrong = server.page("/jobs?select=state%3D%3Cb%3E");
    assert!(
        wrong.contains("role=\"alert\"") && wrong.contains("&lt;b&gt;") && !wrong.contains("<b>&lt;"),
        "{wrong}"
    );
    for (status, path) in [
        (404, "/jobs/nobody"),
        (404, "/nodes/77"),
        (404, "/operations/77777"),
        (404, "/limits/none"),
        (400, "/jobs?cursor=x"),
        (400, "/dead/x"),
        (404, "/nothing"),
    ] {
        let answer = server.send("GET", path, &[("Accept", "text/html")], b"");
        assert_eq!(answer.status, status, "{path}");
        check(path, &answer);
    }
    assert_eq!(
        server.get("/nothing").json(404)["code"],
        "not_found",
        "a program gets a document"
    );
}

#[test]
fn lists_go_on_from_page_to_page() {
    let queue = Queue::quick();
    let lines: String = (1..=120).map(|number| format!("echo {number}\n")).collect();
    queue
        .run_with(["enqueue", "--from", "-", "--lines"], lines.as_bytes())
        .ok();
    let server = Server::start(&queue, &[]);
    let mut path = "/jobs?select=state%3Dpending".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = server.page(&path);
        let numbers = page
            .split("href=\"/jobs/")
            .skip(1)
            .filter_map(|link| link.split('"').next()?.parse().ok());
        seen.extend(numbers.collect::<Vec<i64>>());
        if !page.contains("rel=\"next\"") {
            break;
        }
        path = attribute(&page, "rel=\"next\"", "href");
    }
    assert_eq!(seen, (1..=120).rev().collect::<Vec<_>>());
}

#[test]
fn a_queue_is_paused_and_goes_on_by_forms() {
    let queue = Queue::quick();
    queue.enqueue(["--queue", "mail", "echo"]);
    queue.enqueue(["--queue", "other", "echo"]);
    let server = Server::start(&queue, &[]);
    let page = server.page("/queues/mail");
    let action = attribute(&page, "class=\"pause\"", "action");
    let next = server.submit(&action, "reason=disk+%3Cfull%3E&for=2h");
    let page = server.page(&next);
    assert!(
        page.contains("disk &lt;full&gt;") && page.contains("role=\"status\""),
        "{page}"
    );
    let paused = queue.json(["queue:show", "mail"]);
    assert_eq!(paused["paused"]["reason"], "disk <full>");
    let action = attribute(&page, "/resume\"", "action");
    server.submit(&action, "");
    assert_eq!(queue.json(["queue:show", "mail"])["paused"], json!(null));
    assert_eq!(queue.json(["queue:show", "other"])["paused"], json!(null));
    let wrong = server.send(
        "POST",
        "/queues/mail/pause",
        &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        b"for=soon",
    );
    assert_eq!(wrong.status, 400);
    check("the form", &wrong);
}

#[test]
fn dead_jobs_are_retried_by_their_cause_after_a_question() {
    let queue = Queue::quick();
    for _ in 0..3 {
        queue.enqueue(["--max-retries", "0", "echo no such host; exit 3"]);
    }
    let bystander = queue.enqueue(["--max-retries", "0", "echo other; exit 4"]);
    queue.drain(&[]);
    let server = Server::start(&queue, &[]);
    let list = server.page("/dead");
    let cause = attribute(&list, "href=\"/dead/", "href");
    let ask = attribute(&server.page(&cause), "class=\"button\"", "href");
    let question = server.page(&ask);
    assert!(question.contains("retry 3 jobs?"), "{question}");
    assert_eq!(queue.state("1"), "dead", "a question changes nothing");
    // One that dies of it meanwhile is not meant.
    let late = queue.enqueue(["--max-retries", "0", "echo no such host; exit 3"]);
    queue.drain(&[]);
    let action = attribute(&question, "class=\"answer\"", "action");
    let next = server.submit(&action, &hidden(&question, &action));
    wait_until("the jobs to be retried", || queue.state("3") == "pending");
    wait_until("the operation to end", || {
        !server.page(&next).contains("It goes on")
    });
    assert_eq!([&late, &bystander].map(|id| queue.state(id)), ["dead", "dead"]);
    let operations = queue.json(["op:list"]);
    assert_eq!(
        (&operations[0]["kind"], &operations[0]["jobs"]),
        (&json!("dlq:retry"), &json!(3))
    );
}

#[test]
fn jobs_are_changed_one_by_one_and_by_filter_and_that_is_undone() {
    let queue = Queue::quick();
    for _ in 0..3 {
        queue.enqueue(["--queue", "mail", "echo"]);
    }
    let bystander = queue.enqueue(["--queue", "other", "echo"]);
    let before = queue.job(&bystander);
    let server = Server::start(&queue, &[]);
    let page = server.page("/jobs/1");
    let action = attribute(&page, "/jobs/1/hold", "action");
    let held = server.page(&server.submit(&action, ""));
    assert!(
        held.contains("Held.") && held.contains("queuectl release 1"),
        "{held}"
    );
    assert_eq!(queue.state("1"), "blocked");
    let question = server.page("/change?select=queue%3Dmail&change=cancel");
    assert!(
        question.contains("cancel 3 jobs?") && question.contains("queuectl cancel queue=mail"),
        "{question}"
    );
    let next = server.submit("/change", &hidden(&question, "/change"));
    wait_until("the operation to end", || {
        !server.page(&next).contains("It goes on")
    });
    assert_eq!(["1", "2", "3"].map(|id| queue.state(id)), ["cancelled"; 3]);
    assert_eq!(queue.job(&bystander), before);
    let undo = attribute(&server.page(&next), "/undo", "action");
    let next = server.submit(&undo, "");
    wait_until("the undo to end", || !server.page(&next).contains("It goes on"));
    let undone = server.page(&next);
    assert!(undone.contains("Undoes"), "{undone}");
    assert_eq!(
        ["1", "2", "3"].map(|id| queue.state(id)),
        ["blocked", "pending", "pending"]
    );
    assert_eq!(queue.job(&bystander), before);
    let nothing = server.page("/change?select=queue%3Dmail%20state%3Dpending&change=purge");
    assert!(nothing.contains("No job fits"), "{nothing}");
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    for wrong in [
        "select=queue%3Dmail&change=eat",
        "select=state%3Dodd&change=cancel",
        "select=queue%3Dmail",
    ] {
        let answer = server.send("POST", "/change", &headers, wrong.as_bytes());
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let huge = format!("select={}&change=cancel", "x".repeat(70_000));
    assert_eq!(
        server.send("POST", "/change", &headers, huge.as_bytes()).status,
        413
    );
}

/// A change of a group goes on in the background, and its page says how far it is.
#[test]
fn a_group_is_cancelled_and_retried_by_forms() {
    let queue = Queue::quick();
    for _ in 0..2 {
        queue.enqueue(["--group", "night", "echo"]);
    }
    let bystander = queue.enqueue(["--group", "other", "echo"]);
    let before = queue.job(&bystander);
    let server = Server::start(&queue, &[]);
    let states = || ["1", "2"].map(|id| queue.state(id));
    for (change, state) in [("cancel", "cancelled"), ("retry", "pending")] {
        let path = format!("/groups/night/{change}");
        let question = server.page(&path);
        assert!(question.contains(&format!("{change} 2 jobs?")), "{question}");
        let next = server.submit(&path, "");
        wait_until("the jobs to be changed", || states() == [state; 2]);
        assert_eq!(next, "/groups/night");
        server.page(&next);
        let newest = queue.json(["op:list", "--limit", "1"]);
        assert_eq!(
            (&newest[0]["kind"], &newest[0]["jobs"]),
            (&json!(format!("group:{change}")), &json!(2))
        );
    }
    assert_eq!(queue.job(&bystander), before);
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let none = server.send("POST", "/groups/none/cancel", &headers, b"");
    assert_eq!(none.status, 404);
}

#[test]
fn forms_of_other_sites_are_refused() {
    let queue = Queue::quick();
    let id = queue.enqueue(["echo"]);
    let server = Server::start(&queue, &[]);
    let path = format!("/jobs/{id}/cancel");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let own = format!("http://{}", server.host);
    for (status, headers) in [
        // It does not say where it comes from.
        (415, &[form][..]),
        (403, &[form, ("Sec-Fetch-Site", "cross-site")]),
        (403, &[form, ("Sec-Fetch-Site", "same-site")]),
        (403, &[form, ("Origin", "null")]),
        (403, &[form, ("Origin", "http://evil.example")]),
        (403, &[form, ("Origin", &own), ("Sec-Fetch-Site", "cross-site")]),
        (
            421,
            &[form, ("Host", "evil.example"), ("Origin", "http://evil.example")],
        ),
        (415, &[("Content-Type", "text/plain"), ("Origin", &own)]),
    ] {
        let answer = server.send("POST", &path, headers, b"x=1");
        assert_eq!(answer.status, status, "{headers:?}");
    }
    // Looking changes nothing.
    assert!([404, 405].contains(&server.get(&path).status));
    assert_eq!(queue.state(&id), "pending");
    let control = server.send("POST", &path, &[form, ("Origin", &own)], b"x=1");
    assert_eq!((control.status, queue.state(&id).as_str()), (303, "cancelled"));
}

#[test]
fn a_dashboard_that_only_shows_has_no_forms_and_takes_none() {
    let queue = Queue::quick();
    queue.enqueue(["--max-retries", "0", "exit 3"]);
    queue.drain(&[]);
    queue.enqueue(["--queue", "mail", "--group", "night", "echo"]);
    let server = Server::start(&queue, &["--readonly"]);
    let before = queue.jobs();
    let cause = attribute(&server.page("/dead"), "href=\"/dead/", "href");
    let pages = [
        "/jobs/1",
        "/jobs/2",
        "/queues/mail",
        "/groups/night",
        "/change?select=queue%3Dmail&change=cancel",
        &cause,
    ];
    for path in SCREENS.iter().chain(&pages) {
        let page = server.page(path);
        assert!(!page.contains("method=\"post\""), "{path}");
        assert!(page.contains("read only"), "{path}");
    }
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    for path in [
        "/jobs/2/cancel",
        "/queues/mail/pause",
        "/groups/night/cancel",
        "/change",
        "/operations/1/undo",
    ] {
        assert_eq!(server.send("POST", path, &headers, b"").status, 403, "{path}");
    }
    assert_eq!(queue.jobs(), before);
    assert_eq!(queue.json(["queue:show", "mail"])["paused"], json!(null));
}

#[test]
fn files_are_kept_by_browsers_and_have_a_name_of_their_own() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &[]);
    let page = server.page("/");
    for (path, kind) in [
        (attribute(&page, "rel=\"stylesheet\"", "href"), "text/css"),
        (attribute(&page, "src=\"/static", "src"), "text/javascript"),
    ] {
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        let head = answer.head.to_ascii_lowercase();
        assert!(
            head.contains("cache-control: public, max-age=31536000, immutable"),
            "{head}"
        );
        assert!(head.contains(kind) && head.contains("nosniff"), "{head}");
        assert!(!answer.body.contains("innerHTML ="), "{path}");
    }
    for path in ["/static/style.css", "/static/..%2f..%2fetc%2fpasswd", "/static/"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

/// What the script listens to.
#[test]
fn a_page_learns_of_changes_and_of_what_a_job_prints() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue([
        "printf '\\033[32mone <1>\\033[0m\\n'; echo x >> started; read x < gate; echo 'two & more' >&2",
    ]);
    let server = Server::start(&queue, &[]);
    let mut changes = Follow::begin(&server, "/live", None).unwrap();
    let _node = queue.start(&[]);
    assert_eq!(changes.next().unwrap().kind, "changed");
    queue.wait_started(1);
    wait_until("the first line", || {
        server
            .page(&format!("/jobs/{id}"))
            .contains("<span class=\"f2\">one")
    });
    let page = server.page(&format!("/jobs/{id}"));
    assert!(page.contains("<span class=\"f2\">one &lt;1&gt;</span>"), "{page}");
    let live = Follow::begin(&server, &attribute(&page, "data-live=", "data-live"), None).unwrap();
    gate.open();
    let mut seen = String::new();
    let mut live = live;
    while let Some(message) = live.next() {
        match message.kind.as_str() {
            "end" => break,
            _ => seen += message.data.as_str().unwrap(),
        }
    }
    assert!(
        seen.starts_with("<span class=\"err\">two &amp; more\n</span>"),
        "{seen}"
    );
    assert!(seen.contains("[attempt 1 succeeded after"), "{seen}");
    let ended = server.page(&format!("/jobs/{id}"));
    assert!(
        !ended.contains("data-live") && ended.contains("two &amp; more"),
        "{ended}"
    );
}
