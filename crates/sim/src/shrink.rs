//! Leaving out of a failing plan what it fails without.

use crate::plan::Plan;
use crate::run::Report;

/// The smallest failing plan that leaving out actions leads to: ever smaller parts, until no single one can go ("delta
/// debugging", Zeller and Hildebrandt, 2002). `fails` runs a plan and says whether it still shows what it should; it is
/// asked at most this many times.
pub fn shrink(plan: &Plan, most: usize, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let careful = Plan {
        look_every: 1,
        ..plan.clone()
    };
    let mut best = if fails(&careful) { careful } else { plan.clone() };
    let mut asked = 0;
    let mut part = best.actions.len().div_ceil(2);
    loop {
        let mut from = 0;
        let mut any = false;
        while from < best.actions.len() {
            if asked == most {
                return best;
            }
            asked += 1;
            let to = (from + part).min(best.actions.len());
            let mut actions = best.actions.clone();
            actions.drain(from..to);
            let smaller = Plan {
                actions,
                ..best.clone()
            };
            if fails(&smaller) {
                (best, any) = (smaller, true);
            } else {
                from = to;
            }
        }
        match part {
            1 if !any => return best,
            1 => {}
            _ => part = part.div_ceil(2),
        }
    }
}

/// Whether two reports fail in the same way.
pub fn alike(one: &Report, other: &Report) -> bool {
    match (one.violations.first(), other.violations.first()) {
        (Some(one), Some(other)) => one.verdict == other.verdict,
        (None, None) => one.broken.is_some() && other.broken.is_some(),
        _ => false,
    }
}
