//! Runs plans until the given number of steps is done. `cargo xtask torture sim` calls it.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use queuectl_sim::{Backend, GUARDS, Guard, Plan, Report, alike, run, shrink};

const USAGE: &str = "usage: queuectl-sim [--steps N] [--seed S] [--actions N] [--threads N] [--postgres] \
                     [--without GUARD] [--one]\nguards:";

/// How long actions are left out.
const SHRINK: Duration = Duration::from_secs(60);

struct Options {
    steps: u64,
    seed: u64,
    actions: usize,
    threads: u64,
    backend: Backend,
    off: Option<Guard>,
    one: bool,
}

fn options() -> Option<Options> {
    let mut options = Options {
        steps: 1_000_000,
        seed: 1,
        actions: 1500,
        threads: 1,
        backend: Backend::Sqlite,
        off: None,
        one: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--postgres" => options.backend = Backend::Postgres,
            "--one" => options.one = true,
            "--steps" => options.steps = arguments.next()?.replace('_', "").parse().ok()?,
            "--seed" => options.seed = arguments.next()?.parse().ok()?,
            "--actions" => options.actions = arguments.next()?.parse().ok()?,
            "--threads" => options.threads = arguments.next()?.parse().ok()?,
            "--without" => {
                let wanted = arguments.next()?;
                let mut guards = GUARDS.iter();
                options.off = Some(guards.find(|(name, _)| *name == wanted)?.1);
            }
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        let guards = GUARDS.iter().map(|(name, _)| *name);
        eprintln!("{USAGE} {}", guards.collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let (next, steps, plans) = (AtomicU64::new(options.seed), AtomicU64::new(0), AtomicU64::new(0));
    let found: Mutex<Option<(u64, Report)>> = Mutex::new(None);
    let shown = Mutex::new(Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                while steps.load(Ordering::Relaxed) < options.steps {
                    if found.lock().is_ok_and(|found| found.is_some()) {
                        return;
                    }
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let plan = Plan::new(seed, options.actions);
                    let Some(report) = run(&plan, options.backend, options.off) else {
                        eprintln!("there is no server for tests; name one in QUEUECTL_TEST_POSTGRES");
                        return;
                    };
                    let done = steps.fetch_add(report.steps, Ordering::Relaxed) + report.steps;
                    plans.fetch_add(1, Ordering::Relaxed);
                    if let Ok(mut shown) = shown.try_lock()
                        && shown.elapsed() > Duration::from_secs(30)
                    {
                        *shown = Instant::now();
                        println!("{done} steps, next seed {}", seed + 1);
                    }
                    if report.failed()
                        && let Ok(mut found) = found.lock()
                    {
                        found.get_or_insert((seed, report));
                        return;
                    }
                    if options.one {
                        return;
                    }
                }
            });
        }
    });
    let (steps, plans) = (steps.into_inner(), plans.into_inner());
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{steps} steps in {plans} plans, seeds {} to {}, in {seconds:.1} s: {:.0} steps/s",
        options.seed,
        next.into_inner() - 1,
        steps as f64 / seconds
    );
    match found.into_inner() {
        Ok(Some((seed, report))) => {
            tell(seed, &report, &options);
            ExitCode::FAILURE
        }
        Ok(None) if plans > 0 => {
            println!("no promise was broken");
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

/// Shows what was found, with as few actions as it needs.
fn tell(seed: u64, report: &Report, options: &Options) {
    println!("seed {seed} breaks a promise; leaving out what does not matter ...");
    let plan = Plan::new(seed, options.actions);
    let again = |plan: &Plan| run(plan, options.backend, options.off).unwrap_or_default();
    if !alike(report, &again(&plan)) {
        println!("and does not when it is run again: the simulation depends on something outside");
    }
    let until = Instant::now() + SHRINK;
    let small = shrink(&plan, 2000, |plan| {
        Instant::now() < until && alike(report, &again(plan))
    });
    println!(
        "{} machines, {} worker processes a node, {} slots each:",
        small.machines, small.workers, small.slots
    );
    for action in &small.actions {
        println!("    {action:?}");
    }
    let report = again(&small);
    if let Some(broken) = &report.broken {
        println!("{broken}");
    }
    for violation in &report.violations {
        println!("{violation}");
    }
}
