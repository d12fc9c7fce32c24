//! Seeds that must pass, and controls: with a guard switched off, the checker must find it out. The long run is
//! `cargo xtask torture sim`.

use queuectl_sim::{Backend, Guard, Plan, Report, alike, run, shrink};
use queuectl_testkit::conformance::NO_SERVER;
use queuectl_testkit::history::Verdict;

const ACTIONS: usize = 1500;
/// Plans in which a control must have been found; most are by the first few.
const BUDGET: u64 = 300;

/// Steps over SQLite in `cargo xtask test`, divided between the tests of this file that run at a time.
const STEPS: u64 = 350_000;
const PARTS: u64 = 2;
/// Plans on PostgreSQL, where a step costs a hundred times as much.
const POSTGRES_PLANS: u64 = 6;

fn passes(seed: u64, backend: Backend) -> Option<u64> {
    let report = run(&Plan::new(seed, ACTIONS), backend, None)?;
    assert!(!report.failed(), "seed {seed}: {}", told(&report));
    Some(report.steps)
}

fn told(report: &Report) -> String {
    let violations = report.violations.iter().map(ToString::to_string);
    report.broken.iter().cloned().chain(violations).collect()
}

/// Runs every `PARTS`-th seed from `first` on until the share of the steps is done.
fn half(first: u64) {
    let (mut steps, mut seed) = (0, first);
    while steps < STEPS / PARTS {
        steps += passes(seed, Backend::Sqlite).expect("SQLite is always there");
        seed += PARTS;
    }
}

#[test]
fn even_seeds_keep_every_promise() {
    half(2);
}

#[test]
fn odd_seeds_keep_every_promise() {
    half(1);
}

#[test]
fn the_same_plans_keep_every_promise_on_postgres() {
    for seed in 1..=POSTGRES_PLANS {
        if passes(seed, Backend::Postgres).is_none() {
            queuectl_testkit::skipped(
                "simulation::the_same_plans_keep_every_promise_on_postgres",
                NO_SERVER,
            );
            return;
        }
    }
}

/// A seed gives the same run each time, to the last step.
#[test]
fn a_seed_repeats_itself() {
    for seed in 1..20 {
        let plan = Plan::new(seed, ACTIONS);
        let steps = || run(&plan, Backend::Sqlite, None).expect("SQLite").steps;
        assert_eq!(steps(), steps(), "seed {seed}");
    }
}

/// The first plan in which something is found without the guard, what was found, and that it is the guard's absence that
/// does it.
fn found_without(guard: Guard, wanted: &[Verdict]) -> (Plan, Report) {
    for seed in 1..=BUDGET {
        let plan = Plan::new(seed, ACTIONS);
        let report = run(&plan, Backend::Sqlite, Some(guard)).expect("SQLite");
        // What else breaks without a guard says nothing of the verdict that is wanted.
        if !report.violations.iter().any(|one| wanted.contains(&one.verdict)) {
            continue;
        }
        assert!(
            report.violations.iter().all(|one| !one.history.is_empty()),
            "it shows the history"
        );
        passes(seed, Backend::Sqlite);
        return (plan, report);
    }
    panic!("nothing was found in {BUDGET} plans without {guard:?}");
}

#[test]
fn without_fencing_it_is_found() {
    let wanted = [
        Verdict::DoubleTerminal,
        Verdict::Resurrected,
        Verdict::IllegalTransition,
    ];
    let (plan, report) = found_without(Guard::Fencing, &wanted);
    // A failing plan shrinks, and fails in the same way.
    let again = |plan: &Plan| run(plan, Backend::Sqlite, Some(Guard::Fencing)).expect("SQLite");
    let small = shrink(&plan, 300, |plan| alike(&report, &again(plan)));
    assert!(
        small.actions.len() * 5 < plan.actions.len(),
        "{} actions",
        small.actions.len()
    );
    assert!(alike(&report, &again(&small)));
}

#[test]
fn without_the_lease_it_is_found() {
    // Nodes that rescue the living take each other's jobs for ever.
    let wanted = [
        Verdict::NotFinished,
        Verdict::IllegalTransition,
        Verdict::TooManyAttempts,
    ];
    found_without(Guard::Lease, &wanted);
}

#[test]
fn without_the_sweep_it_is_found() {
    found_without(Guard::Sweep, &[Verdict::Overlap]);
}

#[test]
fn without_a_maximum_it_is_found() {
    found_without(Guard::Attempts, &[Verdict::TooManyAttempts]);
}

#[test]
fn without_commits_it_is_found() {
    found_without(
        Guard::Commit,
        &[Verdict::Lost, Verdict::IllegalTransition, Verdict::Unexpected],
    );
}

#[test]
fn without_limits_it_is_found() {
    found_without(Guard::Limits, &[Verdict::OverLimit, Verdict::OverRate]);
}

#[test]
fn a_place_that_is_kept_is_found() {
    found_without(Guard::Slots, &[Verdict::Misplaced]);
}

#[test]
fn a_start_of_a_key_that_was_found_busy_is_found() {
    found_without(Guard::Busy, &[Verdict::NotPutOff]);
}

#[test]
fn a_tick_that_makes_two_jobs_is_found() {
    found_without(Guard::Ticks, &[Verdict::Tick]);
}

#[test]
fn a_dependant_that_is_left_waiting_is_found() {
    found_without(Guard::Dependencies, &[Verdict::NotFinished]);
}

#[test]
fn a_dependant_that_starts_too_early_is_found() {
    let (plan, report) = found_without(Guard::Order, &[Verdict::TooEarly]);
    // Plans that use more than plain jobs shrink, too.
    let again = |plan: &Plan| run(plan, Backend::Sqlite, Some(Guard::Order)).expect("SQLite");
    let small = shrink(&plan, 200, |plan| alike(&report, &again(plan)));
    assert!(
        small.actions.len() * 5 < plan.actions.len(),
        "{} actions",
        small.actions.len()
    );
}

#[test]
fn a_key_that_two_jobs_have_is_found() {
    found_without(Guard::Keys, &[Verdict::KeyShared]);
}

#[test]
fn a_job_that_comes_back_after_it_was_replaced_is_found() {
    found_without(Guard::Successors, &[Verdict::Superseded]);
}

#[test]
fn a_start_from_a_paused_queue_is_found() {
    found_without(Guard::Pauses, &[Verdict::NotHeldBack]);
}

#[test]
fn what_an_operator_did_and_is_not_there_is_found() {
    found_without(Guard::Ledger, &[Verdict::Unrecorded]);
}

#[test]
fn a_callback_that_comes_too_early_is_found() {
    found_without(Guard::Groups, &[Verdict::Callback]);
}

#[test]
fn a_second_callback_is_found() {
    found_without(Guard::Callbacks, &[Verdict::Callback]);
}

#[test]
fn an_added_hook_that_is_not_stored_is_found() {
    found_without(Guard::AddedHooks, &[Verdict::Hook]);
}

#[test]
fn a_hook_that_is_not_stored_is_found() {
    found_without(Guard::Hooks, &[Verdict::Hook]);
}
