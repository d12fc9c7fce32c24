//! The question before many jobs are changed: what became of those that were asked about is said, if it is not what was asked.

use crate::support::Queue;
use crate::terminal::Terminal;

#[test]
fn jobs_that_are_not_changed_after_all_are_counted_by_reason() {
    let queue = Queue::quick();
    for _ in 0..6 {
        queue.enqueue(["exit 0"]);
    }
    let bystander = queue.enqueue(["--queue", "other", "exit 0"]);
    let ask = || {
        let mut command = queue.command(["cancel", "state=pending", "queue=default"]);
        command.env_remove("CI");
        let terminal = Terminal::start(command, (120, 20));
        terminal.wait_shows("cancel 6 jobs in");
        terminal
    };
    let mut terminal = ask();
    queue.ok(["hold", "1"]);
    queue.ok(["cancel", "2", "3"]);
    queue.ok(["purge", "3", "--yes"]);
    terminal.press("y\n");
    terminal.wait_shows("3 jobs cancelled");
    let said = terminal.printed();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains(
            "3 of the 6 jobs asked about were left as before: 1 has ended, 1 was removed, 1 does not fit any more"
        ),
        "{said}"
    );
    // The control: nothing happens meanwhile.
    queue.ok(["release", "1"]);
    queue.ok(["retry", "2"]);
    for _ in 0..4 {
        queue.enqueue(["exit 0"]);
    }
    let mut terminal = ask();
    terminal.press("y\n");
    terminal.wait_shows("6 jobs cancelled");
    let said = terminal.printed();
    assert!(!said.contains("asked about"), "{said}");
    assert_eq!(queue.state(&bystander), "pending");
}
