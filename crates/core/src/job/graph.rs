//! Finding jobs that wait for each other.

use std::collections::HashMap;

use super::valid::ValidJob;
use crate::id::JobRef;

/// Returns the ids of jobs that wait for each other, from one round to the same one, if there are such jobs among these.
pub fn find_cycle(jobs: &[ValidJob]) -> Option<Vec<String>> {
    let named = jobs
        .iter()
        .enumerate()
        .filter_map(|(index, job)| Some((job.id.as_ref()?.as_str(), index)));
    let by_name: HashMap<&str, usize> = named.collect();
    let parents = |index: usize| {
        jobs[index].after.iter().filter_map(|after| match &after.job {
            JobRef::Name(name) => by_name.get(name.as_str()).copied(),
            JobRef::Number(_) => None,
        })
    };
    // Not recursive: a chain may be as long as a file.
    let mut is_done = vec![false; jobs.len()];
    let mut is_on_path = vec![false; jobs.len()];
    for start in 0..jobs.len() {
        if is_done[start] {
            continue;
        }
        let mut path = vec![(start, parents(start))];
        is_on_path[start] = true;
        while let Some((index, left)) = path.last_mut() {
            let index = *index;
            match left.next() {
                None => {
                    (is_done[index], is_on_path[index]) = (true, false);
                    path.pop();
                }
                Some(parent) if is_on_path[parent] => {
                    let from = path.iter().position(|(on_path, _)| *on_path == parent)?;
                    let round = path[from..].iter().map(|(on_path, _)| *on_path).chain([parent]);
                    let name = |index: usize| jobs[index].id.as_ref().map(ToString::to_string);
                    return round.map(name).collect();
                }
                Some(parent) if !is_done[parent] => {
                    is_on_path[parent] = true;
                    path.push((parent, parents(parent)));
                }
                Some(_) => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobSpec, Timestamp};

    fn jobs(graph: &[(&str, &[&str])]) -> Vec<ValidJob> {
        let job = |(id, after): &(&str, &[&str])| {
            let spec = JobSpec {
                id: Some(id.parse().unwrap()),
                after: after.iter().map(|text| text.parse().unwrap()).collect(),
                ..JobSpec::line("true")
            };
            spec.validate(Timestamp(0)).unwrap()
        };
        graph.iter().map(job).collect()
    }

    #[test]
    fn a_round_is_found_and_a_diamond_is_none() {
        let none = jobs(&[
            ("a", &[]),
            ("b", &["a", "9", "elsewhere"]),
            ("c", &["a:any"]),
            ("d", &["b", "c"]),
        ]);
        assert_eq!(find_cycle(&none), None);
        let two = jobs(&[("x", &["a"]), ("a", &["b"]), ("b", &["a:failed"])]);
        assert_eq!(find_cycle(&two), Some(vec!["a".into(), "b".into(), "a".into()]));
        let own = jobs(&[("a", &["a"])]);
        assert_eq!(find_cycle(&own), Some(vec!["a".into(), "a".into()]));
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let names: Vec<String> = (0..50_000).map(|n| format!("n{n}")).collect();
        let after: Vec<[&str; 1]> = names[1..].iter().map(|name| [name.as_str()]).collect();
        let mut graph: Vec<(&str, &[&str])> = names
            .iter()
            .zip(&after)
            .map(|(name, after)| (name.as_str(), after.as_slice()))
            .collect();
        assert_eq!(find_cycle(&jobs(&graph)), None);
        graph.push((&names[49_999], &["n0"]));
        assert_eq!(find_cycle(&jobs(&graph)).map(|path| path.len()), Some(50_001));
    }
}
