//! The live view, in a terminal of its own: what it shows, what its keys do, and that it leaves the terminal as it was.

use nix::sys::signal::Signal;

use crate::support::Queue;
use crate::support::unix::send;
use crate::terminal::Terminal;

const SIZE: (u16, u16) = (80, 24);

fn start(queue: &Queue, args: &[&str]) -> Terminal {
    Terminal::start(queue.command(args), SIZE)
}

#[test]
fn jobs_are_filtered_marked_and_cancelled() {
    let queue = Queue::quick();
    for (id, to) in [
        ("keep-1", "mail"),
        ("gone-1", "mail"),
        ("gone-2", "mail"),
        ("keep-2", "other"),
    ] {
        queue.enqueue(["--id", id, "--queue", to, "echo \u{1b}[31mred"]);
    }
    let mut terminal = start(&queue, &["top"]);
    terminal.wait_shows("no node is running, and 4 jobs wait to run");
    terminal.press("2");
    terminal.wait_shows("> keep-2");
    assert!(
        terminal.contents().contains("\\x1b[31mred"),
        "{}",
        terminal.contents()
    );
    terminal.press("/queue=mail text~echo\r");
    terminal.wait_shows("> gone-2");
    assert!(!terminal.contents().contains("keep-2"), "{}", terminal.contents());
    terminal.press("  ");
    terminal.wait_shows("2 marked");
    terminal.press("c");
    terminal.wait_shows("cancel 2 marked jobs? [y/N]");
    assert_eq!(
        queue.state("gone-1"),
        "pending",
        "nothing is done before the answer"
    );
    terminal.press("y");
    terminal.wait_shows("2 jobs cancelled");
    for (id, state) in [
        ("keep-1", "pending"),
        ("gone-1", "cancelled"),
        ("gone-2", "cancelled"),
        ("keep-2", "pending"),
    ] {
        assert_eq!(queue.state(id), state, "{id}");
    }
    // What others do is seen, too.
    terminal.press("\u{1b}");
    terminal.wait_shows("keep-2");
    queue.enqueue(["--id", "later", "echo"]);
    terminal.wait_shows("later");
    terminal.press("gy");
    terminal.wait_shows("copied later");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn output_of_a_running_job_is_followed() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&[]);
    queue.enqueue([
        "--id",
        "talker",
        "echo one; echo x >> started; read x < gate; echo two; read x < gate",
    ]);
    queue.wait_started(1);
    let mut terminal = start(&queue, &["top"]);
    terminal.wait_shows("1 processing");
    terminal.press(":jobs state=processing\r");
    terminal.wait_shows("> talker");
    terminal.press("l");
    terminal.wait_shows("is running]");
    terminal.wait_shows("one");
    gate.open();
    terminal.wait_shows("two");
    gate.open();
    terminal.wait_shows("succeeded after");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "waiting", "echo"]);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let terminal = start(&queue, &["top"]);
        terminal.wait_shows("1 pending");
        send(i32::try_from(terminal.program.id()).unwrap(), signal);
        assert_eq!(terminal.ends(), 0, "{signal}");
    }
    assert_eq!(queue.state("waiting"), "pending");
}

#[test]
fn nothing_is_changed_by_who_may_only_look() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "waiting", "echo"]);
    let mut terminal = start(&queue, &["top", "--readonly", "--interval", "100ms"]);
    terminal.press("2");
    terminal.wait_shows("> waiting");
    terminal.press("c");
    terminal.wait_shows("--readonly");
    terminal.press("hp");
    terminal.press("?");
    terminal.wait_shows("(off: --readonly)");
    terminal.press("q");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(queue.state("waiting"), "pending");
    assert_eq!(queue.json(["queue:list"])[0]["paused"], serde_json::Value::Null);
}

#[test]
fn it_needs_a_terminal_and_a_queue() {
    let queue = Queue::quick();
    queue.enqueue(["echo"]);
    let error = queue.fails(2, ["top"]);
    assert!(error.contains("top needs a terminal"), "{error}");
    let error = queue.fails(2, ["top", "--json"]);
    assert!(error.contains("prints no documents"), "{error}");
    let error = queue.fails(2, ["top", "--interval", "1ms"]);
    assert!(error.contains("expected"), "{error}");
}
