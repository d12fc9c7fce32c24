//! The live view, in a terminal of its own: what it shows, what its keys do, and that it leaves the terminal as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use crate::support::unix::{hear_signals, send};
use crate::support::{Queue, wait_explained, wait_until};

/// A terminal of 80 x 24 in which a program runs.
struct Terminal {
    program: Child,
    /// The side of the user.
    keys: File,
    /// The side of the program, open so that it can be looked at.
    side: File,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
}

const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

impl Terminal {
    fn start(queue: &Queue, args: &[&str]) -> Terminal {
        let pair = openpty(&SIZE, None).unwrap();
        let (keys, side) = (File::from(pair.master), File::from(pair.slave));
        let before = tcgetattr(&side).unwrap();
        let mut command = queue.command(args);
        command
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(side.try_clone().unwrap()))
            .stdout(Stdio::from(side.try_clone().unwrap()))
            .stderr(Stdio::from(side.try_clone().unwrap()));
        hear_signals(&mut command);
        let program = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(
            SIZE.ws_row.try_into().unwrap(),
            SIZE.ws_col.try_into().unwrap(),
            0,
        )));
        let (seen, mut output) = (Arc::clone(&screen), keys.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error once the program's side is closed.
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..read]);
            }
        });
        Terminal {
            program,
            keys,
            side,
            before,
            screen,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let look = || holds(&self.contents()).then_some(());
        wait_explained(what, look, || self.contents());
    }

    fn wait_shows(&self, text: &str) {
        self.wait(text, |screen| screen.contains(text));
    }

    /// Waits for the end, and checks that the terminal is as it was before.
    fn ends(mut self) -> i32 {
        let status = self.program.wait().unwrap().code().unwrap();
        wait_until("the last output", || {
            let screen = self.screen.lock().unwrap();
            let screen = screen.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        assert_eq!(
            tcgetattr(&self.side).unwrap(),
            self.before,
            "the modes of the terminal"
        );
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
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
    let mut terminal = Terminal::start(&queue, &["top"]);
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
    let mut terminal = Terminal::start(&queue, &["top"]);
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
        let terminal = Terminal::start(&queue, &["top"]);
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
    let mut terminal = Terminal::start(&queue, &["top", "--readonly", "--interval", "100ms"]);
    terminal.press("2");
    terminal.wait_shows("> waiting");
    terminal.press("cy");
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
