//! A store whose every time is given: jobs in all states, with names that are long, wide or hostile, on a node that stands still.

use std::time::Duration;

use queuectl_core::NodeId;
use queuectl_core::{Event, Outcome, OutcomeKind, Output, Timestamp};
use queuectl_storage::{
    Claimed, Cycle, Location, NewNode, NodeGuard, OpenMode, Pause, Queues, Record, Store,
};

use tempfile::TempDir;

use crate::support::{Queue, finish};

/// When the screens are looked at.
pub const NOW: Timestamp = Timestamp(1_800_000_600_500);

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A time before that, in ms.
fn before(ms: u64) -> Timestamp {
    Timestamp(NOW.0 - i64::try_from(ms).unwrap())
}

/// The scene. Its node lives as long.
pub struct Scene {
    pub queue: Queue,
    pub folder: TempDir,
    store: Store,
    node: NodeId,
    _lives: NodeGuard,
}

/// How an attempt went.
struct End {
    kind: OutcomeKind,
    exit: Option<i32>,
    signal: Option<i32>,
    message: &'static str,
    output: &'static str,
    /// When it is tried again, in ms; none if it is dead or done.
    retry: Option<u64>,
}

const DONE: End = End {
    kind: OutcomeKind::Succeeded,
    exit: Some(0),
    signal: None,
    message: "",
    output: "done\n",
    retry: None,
};

const LONG_ID: &str =
    "import-of-the-customer-data-of-the-branch-in-Friedrichshain-Kreuzberg-2027-01-15-part-0017-of-0042";
const LONG_QUEUE: &str = "thumbnails-of-all-the-product-images-in-the-catalogue-of-spring";

impl Scene {
    pub fn new() -> Scene {
        // Its path is as long everywhere.
        let folder = TempDir::new_in("/tmp").unwrap();
        let queue = Queue::new().with_db(folder.path().join("queue.db"));
        define(&queue);
        let location = Location::Sqlite(queue.db().to_owned());
        let mut store = Store::open(&location, OpenMode::MustExist).unwrap();
        let new = NewNode {
            cookie: "scene".to_owned(),
            host: "build-7".to_owned(),
            pid: 4242,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: 4,
            concurrency: 1,
            queues: Queues::All,
        };
        let (node, lives, _) = store.enter_node(&new, before(3 * HOUR)).unwrap();
        let mut scene = Scene {
            queue,
            folder,
            store,
            node,
            _lives: lives,
        };
        scene.run_jobs();
        scene.store.heartbeat(node, before(200)).unwrap();
        scene
    }

    fn run_jobs(&mut self) {
        for (number, minutes) in (1..=24).zip((0..).map(|number| 58 - 2 * number)) {
            add(
                &self.queue,
                minutes * MINUTE + 5000,
                &["--queue", "mail", &format!("send-receipt {number}")],
            );
            let run_ms = 300 + 170 * number;
            self.run(minutes * MINUTE, run_ms, &DONE);
        }
        let refused = End {
            kind: OutcomeKind::Failed,
            exit: Some(3),
            message: "exit status 3",
            output: "connecting to 10.0.0.7:5432\nerror: connection refused by 10.0.0.7:5432\n",
            ..DONE
        };
        for (id, minutes) in [("sync-1", 50), ("sync-2", 45), ("sync-3", 9)] {
            add(
                &self.queue,
                minutes * MINUTE + 1000,
                &["--id", id, "--max-retries", "0", "sync.sh --all"],
            );
            self.run(minutes * MINUTE, 900, &refused);
        }
        add(
            &self.queue,
            31 * MINUTE,
            &[
                "--id",
                "日本語の長い名前のジョブ",
                "--queue",
                LONG_QUEUE,
                "--max-retries",
                "0",
                "convert '春の写真.png' -resize 100x100 \u{1b}[31mout.png\u{202e}",
            ],
        );
        self.run(
            30 * MINUTE,
            61_000,
            &End {
                kind: OutcomeKind::Failed,
                exit: None,
                signal: Some(9),
                message: "killed by signal 9 (SIGKILL)",
                output: "",
                ..DONE
            },
        );
        add(
            &self.queue,
            20 * MINUTE,
            &[
                "--id",
                "flaky",
                "--max-retries",
                "5",
                "curl --fail https://example.org/health",
            ],
        );
        self.run(
            4 * MINUTE,
            2100,
            &End {
                kind: OutcomeKind::Failed,
                exit: Some(22),
                message: "exit status 22",
                output: "curl: (22) The requested URL returned error: 503\n",
                retry: Some(75_000),
                ..DONE
            },
        );
        // What still runs.
        add(
            &self.queue,
            95_000,
            &[
                "--id",
                LONG_ID,
                "--limit",
                "disk",
                "--group",
                "nightly",
                "import --from /var/spool/import/2027-01-15/branches/Friedrichshain-Kreuzberg/part-0017-of-0042.csv.zst --into customers",
            ],
        );
        self.claim(90_000);
        add(
            &self.queue,
            65_000,
            &["--id", "report", "--queue", "reports", "make report"],
        );
        self.claim(60_000);
        let pause = Pause {
            at: before(50_000),
            until: None,
            by: "ops@desk".to_owned(),
            reason: Some("the printer is being repaired".to_owned()),
        };
        self.store
            .pause_queues(&["reports".parse().unwrap()], &pause)
            .unwrap();
        // What waits.
        add(
            &self.queue,
            40_000,
            &[
                "--id",
                "import-2",
                "--limit",
                "disk",
                "--group",
                "nightly",
                "import --from part-0018",
            ],
        );
        add(
            &self.queue,
            39_000,
            &[
                "--id",
                "after-import",
                "--group",
                "nightly",
                "--after",
                "import-2",
                "import --index",
            ],
        );
        add(
            &self.queue,
            38_000,
            &["--id", "held", "--hold", "rm -rf /var/cache/thumbnails"],
        );
        add(
            &self.queue,
            37_000,
            &[
                "--id",
                "later",
                "--delay",
                "90m",
                "--priority",
                "10",
                "backup --full",
            ],
        );
        add(
            &self.queue,
            36_000,
            &["--id", "print", "--queue", "reports", "lp report.pdf"],
        );
        for number in 1..=3 {
            add(
                &self.queue,
                30_000,
                &["--queue", "mail", &format!("send-receipt {}", 100 + number)],
            );
        }
        add(
            &self.queue,
            29_000,
            &["--id", "given-up", "--queue", "mail", "send-receipt 99"],
        );
        ok(&self.queue, 20_000, &["cancel", "given-up"]);
    }

    /// Claims what is ready.
    fn claim(&mut self, ms: u64) -> Vec<Claimed> {
        self.cycle(&[], ms)
    }

    fn cycle(&mut self, records: &[Record], ms: u64) -> Vec<Claimed> {
        let cycle = Cycle {
            node: self.node,
            records,
            claim: if records.is_empty() { 10 } else { 0 },
            queues: &Queues::All,
            now: before(ms),
        };
        self.store.cycle(&cycle).unwrap().claimed
    }

    /// Runs what is ready, from `ms` before the end of the scene, for `run_ms`.
    fn run(&mut self, ms: u64, run_ms: u64, end: &End) {
        let claimed = self.claim(ms);
        assert_eq!(claimed.len(), 1, "one job is ready");
        let ended = ms - run_ms;
        let event = match (end.kind, end.retry) {
            (OutcomeKind::Succeeded, _) => Event::Complete,
            (_, retry) => Event::Fail {
                retry_at: retry.map(|after| NOW.after(Duration::from_millis(after))),
            },
        };
        let mut record = queuectl_testkit::record(&claimed[0], self.node, event, end.kind, before(ended));
        let attempt = record.attempt.as_mut().unwrap();
        attempt.started_at = before(ms);
        attempt.worker = 1;
        attempt.outcome = Outcome {
            kind: end.kind,
            exit_code: end.exit,
            signal: end.signal,
            message: end.message.to_owned(),
        };
        attempt.output = Output {
            head: end.output.as_bytes().to_vec(),
            tail: Vec::new(),
            total_bytes: end.output.len() as u64,
            ..Output::default()
        };
        self.cycle(&[record], ended);
    }
}

/// Limits, schedules, groups and settings.
fn define(queue: &Queue) {
    for words in [
        &["config:set", "event_retention", "1d"][..],
        &["limit:set", "disk", "--running", "1"],
        &[
            "limit:set",
            "account-of-a-customer-with-a-long-name",
            "--running",
            "2",
            "--per-key",
        ],
        &["limit:set", "api", "--rate", "100/10s", "--burst", "20"],
        &["queue:set", "mail", "running=2", "rate=50/1m"],
        &["group:create", "nightly", "--then", "notify 'all is imported'"],
        &[
            "schedule:add",
            "nightly-backup",
            "0 3 * * *",
            "--tz",
            "Europe/Berlin",
            "backup --incremental",
        ],
        &[
            "schedule:add",
            "hourly-report-of-all-the-branches-in-all-the-countries",
            "@hourly",
            "report --branches all --countries all --format pdf",
        ],
        &[
            "schedule:add",
            "mondays",
            "30 8 * * 1",
            "--queue",
            "reports",
            "echo '日本語' \u{1b}[2J",
        ],
    ] {
        let is_schedule = words[0] == "schedule:add";
        ok(queue, if is_schedule { 9 * MINUTE } else { 4 * HOUR }, words);
    }
}

fn add(queue: &Queue, ms: u64, words: &[&str]) {
    ok(queue, ms, &[&["enqueue"], words].concat());
}

/// Runs a command at that time.
fn ok(queue: &Queue, ms: u64, words: &[&str]) {
    let mut command = queue.command(words);
    command.current_dir(queue.db().parent().unwrap());
    at(&mut command, before(ms));
    finish(command, None).ok();
}

/// Has a command see that time, in UTC.
pub fn at(command: &mut std::process::Command, time: Timestamp) {
    command
        .env("QUEUECTL_TEST_CLOCK", time.0.to_string())
        .env("TZ", "UTC");
}
