//! Words of other tools, and the commands and options of ours that do the same.

/// Commands of other tools and the tips for them. A name with a colon applies to that group only.
const COMMANDS: &[(&str, &str)] = &[
    (
        "submit push create new put schedule task",
        "`queuectl enqueue COMMAND` stores a job",
    ),
    (
        "jobs queue queues tasks all find search",
        "`queuectl list` lists the jobs, `queuectl status` counts them by queue",
    ),
    ("tail follow", "`queuectl logs -f JOB` follows what a job prints"),
    (
        "ps running active",
        "`queuectl list --state processing` lists the running jobs, `queuectl worker:list` the nodes",
    ),
    (
        "modify update change alter reprioritize renice",
        "`queuectl edit JOB` changes a job that does not run, `queuectl priority N JOB` its priority",
    ),
    (
        "signal",
        "`queuectl kill --signal SIG JOB` sends a signal to a running job",
    ),
    (
        "undo revert history audit journal",
        "`queuectl op:list` lists what commands did, `queuectl op:undo OP` takes it back",
    ),
    (
        "diagnose diagnostics check-health",
        "`queuectl doctor` says whether queuectl can work here",
    ),
    (
        "stash park defer freeze",
        "`queuectl hold JOB` holds a job back until `queuectl release JOB`; `queuectl enqueue --hold` stores it so",
    ),
    (
        "abort terminate",
        "see `queuectl cancel --help` for jobs, `queuectl worker:stop --help` for nodes",
    ),
    (
        "get info inspect describe view details",
        "`queuectl show JOB` shows a job, `queuectl config:get KEY` a setting",
    ),
    ("output", "`queuectl logs JOB` prints what a job printed"),
    (
        "stat statistics metrics metric summary count counts health ping",
        "`queuectl status` counts the jobs and shows the nodes, `queuectl stats` says how long jobs waited and ran; add --json \
         for programs",
    ),
    (
        "dashboard ui web webui gui tui monitor watch server api http",
        "`queuectl top` is a live view in the terminal, and `queuectl serve` answers programs over HTTP; there is no page for browsers",
    ),
    (
        "workers nodes node",
        "`queuectl worker:list` lists the nodes with their worker processes",
    ),
    (
        "dead deadletter dead-letter dead-letters deadletters failed failures dlqs",
        "`queuectl dlq:list` lists the jobs that are out of attempts",
    ),
    (
        "settings setting configure set",
        "`queuectl config:list` lists the settings; `queuectl config:set KEY VALUE` changes one",
    ),
    (
        "plugins executors executor",
        "`queuectl plugin:list` lists the executor plugins",
    ),
    (
        "backup dump export save",
        "`queuectl db:backup FILE` copies the queue to a new file",
    ),
    ("check verify fsck", "`queuectl db:check` checks the queue's file"),
    (
        "reset db:reset db:drop db:delete db:clear",
        "another --db FILE is a fresh queue; `queuectl config:unset KEY` gives a setting its default again",
    ),
    (
        "config:reset config:delete config:remove config:rm config:clear config:default",
        "`queuectl config:unset KEY` gives a setting its default again",
    ),
    (
        "config:edit config:update config:change config:put config:add",
        "`queuectl config:set KEY VALUE` changes a setting",
    ),
    (
        "delete del remove rm clear clean cleanup clean-up drop flush prune empty truncate destroy expire",
        "nodes remove ended jobs after the setting `retention`; how to remove some sooner is in `queuectl purge --help`, \
         how to give jobs up in `queuectl cancel --help`",
    ),
    (
        "dlq:delete dlq:del dlq:remove dlq:rm dlq:clear dlq:clean dlq:drop dlq:flush dlq:empty",
        "see `queuectl dlq:purge --help`",
    ),
    (
        "requeue re-queue re-run redo replay restart retry-all",
        "see `queuectl retry --help` to run failed, dead or cancelled jobs again, `queuectl rerun --help` for a copy of any \
         ended job",
    ),
    (
        "dlq:requeue dlq:rerun dlq:replay dlq:redrive dlq:retry-all dlq:restart",
        "see `queuectl dlq:retry --help`",
    ),
    (
        "work daemon process consume worker:run worker:launch worker:up worker:begin worker:daemon \
         worker:restart worker:scale",
        "a node runs the jobs: see `queuectl worker:start --help`",
    ),
    (
        "stop shutdown quit halt worker:kill worker:down worker:shutdown worker:quit worker:halt \
         worker:stop-all",
        "see `queuectl worker:stop --help` for nodes, `queuectl cancel --help` for jobs",
    ),
    (
        "pause unpause worker:pause worker:resume",
        "`queuectl queue:pause NAME` starts no more jobs of a queue, `queuectl suspend JOB` stops the processes of a running job \
         for a while; `queue:resume` and `resume` go on",
    ),
];

/// Options of other tools and the tips for them. An option after a command and a colon applies to that command only.
const OPTIONS: &[(&str, &str)] = &[
    (
        "worker:start:--daemon worker:start:--daemonize worker:start:--background worker:start:--bg \
         worker:start:--detached worker:start:--fork worker:start:-d worker:start:-D worker:start:-b",
        "`--detach` runs the node in the background",
    ),
    (
        "worker:start:--workers worker:start:--num-workers worker:start:--processes worker:start:-n worker:start:-w \
         worker:start:--threads worker:start:-j",
        "`--count N` starts N worker processes; `--concurrency M` lets each run M jobs at a time",
    ),
    (
        "enqueue:--retries enqueue:--max-attempts enqueue:--attempts enqueue:--retry enqueue:-r",
        "`--max-retries N` limits the retries after the first attempt",
    ),
    (
        "enqueue:--prio enqueue:-p",
        "`--priority N` says which jobs run first",
    ),
    (
        "enqueue:--at enqueue:--schedule enqueue:--run-after enqueue:--in enqueue:--start-at",
        "`--delay DURATION` or `--run-at TIME` starts a job later",
    ),
    (
        "enqueue:--name enqueue:--job-id",
        "`--id ID` gives the job an id of your own",
    ),
    (
        "list:--status list:-s dlq:list:--status",
        "`--state STATE` picks the jobs in one state",
    ),
    (
        "--output -o",
        "`--format FORMAT` prints JSON, JSON lines or CSV, `--json` JSON",
    ),
    (
        "--database --file --db-path --queue-file",
        "`--db PATH` names the queue",
    ),
];

/// Returns the tip for an unknown command.
pub fn command(name: &str) -> Option<&'static str> {
    find(COMMANDS, name)
}

/// Returns the tip for an unknown option, or for `COMMAND:OPTION`.
pub fn option(name: &str) -> Option<&'static str> {
    find(OPTIONS, name)
}

fn find(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    let mut rows = table.iter();
    let row = rows.find(|(names, _)| names.split_whitespace().any(|known| known == name))?;
    Some(row.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;

    #[test]
    fn every_command_that_is_named_is_there_and_every_word_is_not() {
        for (names, tip) in COMMANDS.iter().chain(OPTIONS) {
            for quoted in tip.split('`').skip(1).step_by(2) {
                let Some((_, line)) = quoted.split_once("queuectl ") else {
                    continue;
                };
                let name = line.split(' ').next().unwrap_or_default();
                let entry = commands::find(name);
                assert!(entry.is_some_and(|entry| !entry.is_hidden), "{tip}");
            }
            for name in names.split_whitespace().filter(|name| !name.contains("--")) {
                let shown = commands::find(name).is_some_and(|entry| !entry.is_hidden);
                assert!(!shown, "{name} is a command of ours");
            }
        }
    }
}
