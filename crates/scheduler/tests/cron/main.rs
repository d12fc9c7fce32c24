//! Ten thousand times of expressions, against two other implementations of cron: the values of both are in `ticks.txt`,
//! which `generate.py` makes. Where the two differ, the documented rule decides; [`by_the_rule`] has the cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use queuectl_core::Timestamp;
use queuectl_scheduler::cron::{Expr, Zone, next_tick};

/// What two implementations say of one expression, zone and time: seconds to the next tick, if there is one.
struct Case<'a> {
    zone: &'a str,
    expr: &'a str,
    after: i64,
    cronsim: Option<i64>,
    croner: Option<i64>,
}

/// Here both leave out the second pass of a repeated half hour.
const SKIPPED: &str = "30 * * * *";

/// Why the two differ, which is also what decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Differ {
    /// One or both answer with a time before the one that was asked for: for a fixed time, in the second pass of a repeated hour.
    GoesBack,
    /// A day field like `*/2` beside another: in Debian's cron both must match, and croner has one suffice.
    StarredDay,
    /// The clock changes by half an hour, and cronsim looks at whole ones.
    HalfHour,
    /// The whole day that Apia left out: a fixed time runs right after it, which croner leaves out; what follows the clock does
    /// not run on it, and cronsim has it run.
    LostDay,
    /// A fixed time in the hour that is left out runs right after it, also if there are several; croner leaves those out.
    Gap,
    /// What follows the clock runs in both passes of a repeated hour; croner leaves out the second of some.
    SecondPass,
}

fn by_the_rule(case: &Case<'_>) -> (Differ, Option<i64>) {
    let fields: Vec<&str> = case.expr.split(' ').collect();
    let is_starred = |field: &str| field.starts_with("*/");
    let is_wild = fields[0].starts_with('*') || fields[1].starts_with('*');
    let days = (fields[2], fields[4]);
    let both_given = days.0 != "*" && days.1 != "*";
    if [case.cronsim, case.croner].iter().flatten().any(|to| *to <= 0) {
        (Differ::GoesBack, None)
    } else if both_given && (is_starred(days.0) || is_starred(days.1)) {
        (Differ::StarredDay, case.cronsim)
    } else if case.zone == "Australia/Lord_Howe" && is_wild {
        // In the half hour that is repeated; in one case both leave the second pass out.
        let is_repeated = (1_775_313_000..1_775_314_800).contains(&case.after);
        match case.expr {
            SKIPPED if is_repeated => (Differ::HalfHour, Some(1_775_314_800 - case.after)),
            // Each leaves out some: cronsim those of hours that begin at the half, croner second passes.
            _ => (Differ::HalfHour, case.cronsim.min(case.croner)),
        }
    } else if case.zone == "Pacific/Apia" && (case.after - 1_325_239_200).abs() < 400 * 86_400 {
        let is_overlap = (case.after - 1_333_202_400).abs() < 3600;
        match is_wild && !is_overlap {
            true => (Differ::LostDay, case.croner),
            false => (Differ::LostDay, case.cronsim),
        }
    } else if is_wild {
        (Differ::SecondPass, case.cronsim)
    } else {
        (Differ::Gap, case.cronsim)
    }
}

fn cases() -> Vec<Case<'static>> {
    let mut cases = Vec::new();
    for line in include_str!("ticks.txt").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [zone, expr, pairs] = fields.try_into().unwrap();
        for pair in pairs.split(' ') {
            let (after, said) = pair.split_once('+').unwrap();
            let (cronsim, croner) = said.split_once('/').unwrap_or((said, said));
            cases.push(Case {
                zone,
                expr,
                after: after.parse().unwrap(),
                cronsim: cronsim.parse().ok(),
                croner: croner.parse().ok(),
            });
        }
    }
    cases
}

/// Returns how often which difference was met, and what was wrong.
fn compare(
    next: impl Fn(&Expr, &Zone, Timestamp) -> Option<Timestamp>,
) -> (BTreeMap<Differ, u32>, Vec<String>) {
    let (mut differences, mut wrong) = (BTreeMap::new(), Vec::new());
    for case in cases() {
        let zone = Zone::get(case.zone).unwrap();
        let expr: Expr = case.expr.parse().unwrap();
        let found = next(&expr, &zone, Timestamp(case.after * 1000)).map(|tick| tick.0 / 1000 - case.after);
        let goes_back = case.cronsim.is_some_and(|to| to <= 0);
        let skips_second_pass = case.zone == "Australia/Lord_Howe" && case.expr == SKIPPED;
        let fits = if case.cronsim == case.croner && !goes_back && !skips_second_pass {
            found == case.cronsim && found.is_some()
        } else {
            let (differ, expected) = by_the_rule(&case);
            *differences.entry(differ).or_default() += 1;
            match differ {
                Differ::GoesBack => found.is_some_and(|to| to > 0),
                _ => found == expected,
            }
        };
        if !fits {
            let Case {
                zone,
                expr,
                after,
                cronsim,
                croner,
            } = case;
            wrong.push(format!(
                "{zone} '{expr}' after {after}: {found:?}, not {cronsim:?} or {croner:?}"
            ));
        }
    }
    (differences, wrong)
}

#[test]
fn ten_thousand_times_are_those_of_two_other_implementations() {
    assert!(cases().len() >= 10_000);
    let (differences, wrong) = compare(|expr, zone, after| next_tick(expr, zone, Timestamp(0), after));
    println!("{differences:?}");
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
    assert!(differences.values().sum::<u32>() < 1100, "the two agree on most");
}

/// The control: without the rule for clock changes, hundreds are wrong.
#[test]
fn a_search_on_the_calendar_alone_is_found_out() {
    let (_, wrong) = compare(|expr, zone, after| {
        let here = zone.to_datetime(after.to_jiff());
        let as_utc = Zone::UTC.to_timestamp(here).unwrap();
        let found = next_tick(expr, &Zone::UTC, Timestamp(0), as_utc.into())?;
        let there = Zone::UTC.to_datetime(found.to_jiff());
        zone.to_timestamp(there).ok().map(Timestamp::from)
    });
    assert!(wrong.len() > 100, "{}", wrong.len());
}
