//! A graph of jobs for people: as a tree of text, and in the language of Graphviz.

use std::collections::{BTreeMap, HashSet};

use queuectl_core::{JobId, State};
use queuectl_views::{GraphEdgeView, GraphJobView, GraphView};

/// Levels of a tree that are printed; deeper ones are named by their first job.
const DEPTH: usize = 40;

/// Returns the lines of several trees: the jobs that wait for none, and below each those that wait for it.
pub fn forest(view: &GraphView) -> Vec<String> {
    let mut tree = Tree::new(view);
    for job in &view.jobs {
        if !tree.parents.contains_key(&job.number) {
            tree.lines.push(tree.named(job.number));
            tree.below(job.number, Way::Down);
        }
    }
    tree.lines
}

/// Returns the lines of a tree: the jobs that one waits for, and those that wait for it, each below the one that it was
/// reached from. What a job has below it is printed where the job first comes.
pub fn tree(view: &GraphView, root: JobId) -> Vec<String> {
    let mut tree = Tree::new(view);
    tree.lines.push(tree.named(root));
    for (heading, way) in [("waits for", Way::Up), ("is waited for by", Way::Down)] {
        if !tree.next(root, way).is_empty() {
            tree.lines.push(heading.to_owned());
            tree.seen = HashSet::from([root]);
            tree.below(root, way);
        }
    }
    tree.lines
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

struct Tree<'a> {
    jobs: BTreeMap<JobId, &'a GraphJobView>,
    parents: BTreeMap<JobId, Vec<&'a GraphEdgeView>>,
    children: BTreeMap<JobId, Vec<&'a GraphEdgeView>>,
    seen: HashSet<JobId>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    fn new(view: &'a GraphView) -> Tree<'a> {
        let mut tree = Tree {
            jobs: view.jobs.iter().map(|job| (job.number, job)).collect(),
            parents: BTreeMap::new(),
            children: BTreeMap::new(),
            seen: HashSet::new(),
            lines: Vec::new(),
        };
        for edge in &view.edges {
            tree.parents.entry(edge.child).or_default().push(edge);
            tree.children.entry(edge.parent).or_default().push(edge);
        }
        tree
    }

    fn named(&self, job: JobId) -> String {
        match self.jobs.get(&job) {
            Some(job) => format!("{} {}", job.id, state(job)),
            None => job.to_string(),
        }
    }

    /// The edges from a job one way, each with the job at its end.
    fn next(&self, job: JobId, way: Way) -> Vec<(JobId, &'a GraphEdgeView)> {
        let edges = match way {
            Way::Up => self.parents.get(&job),
            Way::Down => self.children.get(&job),
        };
        let end = |edge: &&'a GraphEdgeView| match way {
            Way::Up => (edge.parent, *edge),
            Way::Down => (edge.child, *edge),
        };
        edges.into_iter().flatten().map(end).collect()
    }

    /// Adds what is below a job, with a list of what is still to be printed instead of a recursion.
    fn below(&mut self, job: JobId, way: Way) {
        let mut open = vec![(String::new(), self.next(job, way).into_iter())];
        while let Some((indent, left)) = open.last_mut() {
            let Some((job, edge)) = left.next() else {
                open.pop();
                continue;
            };
            let is_last = left.len() == 0;
            let (branch, below) = if is_last { ("`- ", "   ") } else { ("|- ", "|  ") };
            let (branch, below) = (format!("{indent}{branch}"), format!("{indent}{below}"));
            let depth = open.len();
            let mut line = format!("{branch}{}{}", self.named(job), condition(edge));
            let next = self.next(job, way);
            if !next.is_empty() {
                if !self.seen.insert(job) {
                    line.push_str(", see above");
                } else if depth == DEPTH {
                    let id = self
                        .jobs
                        .get(&job)
                        .map_or_else(|| job.to_string(), |job| job.id.clone());
                    line.push_str(&format!(", and so on: `queuectl show {id} --graph`"));
                } else {
                    open.push((below, next.into_iter()));
                }
            }
            self.lines.push(line);
        }
    }
}

fn state(job: &GraphJobView) -> String {
    let state = job.state.map_or("unknown", State::name);
    match job.removed {
        true => format!("{state}, removed"),
        false => state.to_owned(),
    }
}

/// What is to be said of an edge: nothing of one that needs success and has it, or waits for it.
fn condition(edge: &GraphEdgeView) -> String {
    match (edge.condition, edge.met) {
        ("ok", Some(true) | None) => String::new(),
        (condition, Some(false)) => format!(" ({condition}: not met)"),
        (condition, _) => format!(" ({condition})"),
    }
}

/// Returns the graph in the language of Graphviz. Arrows go from a job to those that wait for it: dashed while it has not
/// ended, red if it did not end as they need.
pub fn dot(view: &GraphView) -> Vec<String> {
    let mut lines = vec![
        "digraph jobs {".to_owned(),
        "  rankdir=LR;".to_owned(),
        "  node [shape=box];".to_owned(),
    ];
    for job in &view.jobs {
        let id = quoted(&job.id);
        lines.push(format!("  {} [label=\"{id}\\n{}\"];", job.number, state(job)));
    }
    for edge in &view.edges {
        let style = match edge.met {
            None => ", style=dashed",
            Some(false) => ", color=red",
            Some(true) => "",
        };
        let (parent, child, condition) = (edge.parent, edge.child, edge.condition);
        lines.push(format!("  {parent} -> {child} [label=\"{condition}\"{style}];"));
    }
    lines.push("}".to_owned());
    lines
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(i64, i64)]) -> GraphView {
        let mut jobs: Vec<i64> = edges
            .iter()
            .flat_map(|(parent, child)| [*parent, *child])
            .collect();
        jobs.sort_unstable();
        jobs.dedup();
        let job = |id: i64| GraphJobView {
            id: format!("j{id}"),
            number: JobId(id),
            state: Some(State::Blocked),
            removed: false,
        };
        let edge = |(parent, child): &(i64, i64)| GraphEdgeView {
            parent: JobId(*parent),
            child: JobId(*child),
            condition: "ok",
            met: None,
        };
        GraphView {
            jobs: jobs.into_iter().map(job).collect(),
            edges: edges.iter().map(edge).collect(),
            more: false,
        }
    }

    #[test]
    fn a_diamond_is_printed_once() {
        let view = graph(&[(1, 2), (1, 3), (2, 4), (3, 4), (0, 1)]);
        assert_eq!(
            tree(&view, JobId(4)),
            [
                "j4 blocked",
                "waits for",
                "|- j2 blocked",
                "|  `- j1 blocked",
                "|     `- j0 blocked",
                "`- j3 blocked",
                "   `- j1 blocked, see above",
            ]
        );
        let down = tree(&view, JobId(1));
        assert_eq!(down[1..3], ["waits for", "`- j0 blocked"]);
        assert_eq!(
            down[3..],
            [
                "is waited for by",
                "|- j2 blocked",
                "|  `- j4 blocked",
                "`- j3 blocked",
                "   `- j4 blocked"
            ]
        );
    }

    #[test]
    fn a_forest_has_a_tree_for_each_job_that_waits_for_none() {
        let mut view = graph(&[(1, 3), (2, 3), (3, 4)]);
        view.jobs.push(GraphJobView {
            id: "alone".to_owned(),
            number: JobId(9),
            state: Some(State::Dead),
            removed: true,
        });
        assert_eq!(
            forest(&view),
            [
                "j1 blocked",
                "`- j3 blocked",
                "   `- j4 blocked",
                "j2 blocked",
                "`- j3 blocked, see above",
                "alone dead, removed",
            ]
        );
    }

    #[test]
    fn a_long_chain_ends_with_how_to_go_on() {
        let edges: Vec<(i64, i64)> = (0..1000).map(|n| (n, n + 1)).collect();
        let lines = tree(&graph(&edges), JobId(0));
        assert_eq!(lines.len(), 2 + DEPTH);
        let last = lines.last().map(|line| line.trim_start().to_owned());
        assert_eq!(
            last.as_deref(),
            Some("`- j40 blocked, and so on: `queuectl show j40 --graph`")
        );
    }

    #[test]
    fn names_cannot_break_out_of_a_label() {
        let mut view = graph(&[(1, 2)]);
        view.jobs[0].id = r#"a"b\"#.to_owned();
        assert_eq!(dot(&view)[3], r#"  1 [label="a\"b\\\nblocked"];"#);
    }
}
