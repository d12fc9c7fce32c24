//! A model of how claims, leases, rescues and fencing play together on a server, of which every state is visited
//! (stateright). It is about the order of things that several machines do; that the statements do what the model's
//! steps say is for the conformance suite and the simulator.
//!
//! Time is in units of a sixth of a lease. A node renews when it likes, asks its jobs to stop and claims no more two
//! thirds into a lease without renewal, and has killed them at five sixths, unless it is suspended: then it does
//! nothing, and its job runs on.

use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// A lease, in units of time.
const LEASE: u8 = 6;
/// After this time without renewal a node claims nothing.
const STOP: u8 = 4;
/// After this time it has killed its jobs.
const KILL: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    Ready,
    Claimed { node: usize, fence: u8 },
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// In the store: until when its lease holds, and whether another has taken it over.
    until: u8,
    taken: bool,
    /// It was rescued, and no node will look at it again.
    gone: bool,
    /// By its own clock: for how long it has not renewed.
    unrenewed: u8,
    suspended: bool,
    /// It is in the middle of a turn that claims.
    claiming: bool,
    /// The token of the claim whose process runs, and of that whose outcome waits to be recorded.
    runs: Option<u8>,
    outcome: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: u8,
    job: Job,
    fence: u8,
    nodes: Vec<Node>,
    /// How often the job ended.
    ends: u8,
    /// A node was taken over that was awake and had a job running.
    early: bool,
    suspensions: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Tick,
    Renew(usize),
    Begin(usize),
    Claim(usize),
    Finish(usize),
    Record(usize),
    Kill(usize),
    Suspend(usize),
    Resume(usize),
    TakeOver(usize),
    Rescue(usize),
}

/// The rules that can be switched off.
struct Leases {
    nodes: usize,
    fencing: bool,
    /// A node is taken over only when its lease is over.
    patience: bool,
    /// A turn locks its node's row, so that a node that was taken over claims nothing.
    holds_row: bool,
}

const ALL: Leases = Leases {
    nodes: 2,
    fencing: true,
    patience: true,
    holds_row: true,
};
/// How long the model's world lasts, and how often a node is suspended in it.
const END: u8 = 10;
const SUSPENSIONS: u8 = 2;
const CLAIMS: u8 = 3;

impl Model for Leases {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let node = Node {
            until: LEASE,
            taken: false,
            gone: false,
            unrenewed: 0,
            suspended: false,
            claiming: false,
            runs: None,
            outcome: None,
        };
        vec![World {
            now: 0,
            job: Job::Ready,
            fence: 0,
            nodes: vec![node; self.nodes],
            ends: 0,
            early: false,
            suspensions: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        // An awake node kills in time, whatever else it does.
        let late = |node: &Node| !node.suspended && node.runs.is_some() && node.unrenewed >= KILL;
        if world.now < END && !world.nodes.iter().any(late) {
            steps.push(Step::Tick);
        }
        for (index, node) in world.nodes.iter().enumerate() {
            if node.runs.is_some() {
                steps.push(Step::Finish(index));
            }
            if node.suspended {
                steps.push(Step::Resume(index));
            } else {
                if world.suspensions < SUSPENSIONS {
                    steps.push(Step::Suspend(index));
                }
                if !node.taken {
                    steps.push(Step::Renew(index));
                }
                if node.claiming {
                    steps.push(Step::Claim(index));
                } else if node.runs.is_none() && node.outcome.is_none() && node.unrenewed < STOP {
                    steps.push(Step::Begin(index));
                }
                if node.outcome.is_some() {
                    steps.push(Step::Record(index));
                }
                if late(node) {
                    steps.push(Step::Kill(index));
                }
            }
            // By any other node.
            let other = |(number, other): (usize, &Node)| number != index && !other.suspended && !other.taken;
            if !node.gone && world.nodes.iter().enumerate().any(other) {
                if !node.taken {
                    steps.push(Step::TakeOver(index));
                } else {
                    steps.push(Step::Rescue(index));
                }
            }
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step {
            Step::Tick => {
                world.now += 1;
                world
                    .nodes
                    .iter_mut()
                    .for_each(|node| node.unrenewed = (node.unrenewed + 1).min(LEASE));
            }
            Step::Renew(index) => {
                world.nodes[index].until = world.now + LEASE;
                world.nodes[index].unrenewed = 0;
            }
            Step::Begin(index) => {
                // The first statement of a turn asks for the row, and holds it.
                if self.holds_row && world.nodes[index].taken {
                    return None;
                }
                world.nodes[index].claiming = true;
            }
            Step::Claim(index) => {
                world.nodes[index].claiming = false;
                if world.job == Job::Ready && world.fence < CLAIMS {
                    world.fence += 1;
                    world.job = Job::Claimed {
                        node: index,
                        fence: world.fence,
                    };
                    world.nodes[index].runs = Some(world.fence);
                }
            }
            Step::Finish(index) => world.nodes[index].outcome = world.nodes[index].runs.take(),
            Step::Kill(index) => world.nodes[index].runs = None,
            Step::Record(index) => {
                let fence = world.nodes[index].outcome.take()?;
                if !self.fencing || world.job == (Job::Claimed { node: index, fence }) {
                    world.job = Job::Ended;
                    world.ends += 1;
                }
            }
            Step::Suspend(index) => {
                world.nodes[index].suspended = true;
                world.suspensions += 1;
            }
            Step::Resume(index) => world.nodes[index].suspended = false,
            Step::TakeOver(index) => {
                let node = &mut world.nodes[index];
                if self.patience && node.until > world.now || self.holds_row && node.claiming {
                    return None;
                }
                // Who slept for longer finds out when it wakes up, and kills.
                world.early |= !node.suspended && node.runs.is_some() && node.unrenewed < KILL;
                node.taken = true;
            }
            Step::Rescue(index) => {
                if matches!(world.job, Job::Claimed { node, .. } if node == index) {
                    world.job = Job::Ready;
                }
                world.nodes[index].gone = true;
            }
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Leases>> {
        vec![
            Property::always(ONCE, |_, world: &World| world.ends <= 1),
            Property::always(NOT_EARLY, |_, world: &World| !world.early),
            Property::always(NO_ORPHAN, |_, world: &World| match world.job {
                Job::Claimed { node, .. } => !world.nodes[node].gone,
                _ => true,
            }),
            // That it is not all in vain.
            Property::sometimes("a stale outcome comes", |_, world: &World| {
                world.nodes.iter().enumerate().any(|(index, node)| {
                    node.outcome
                        .is_some_and(|fence| world.job != Job::Claimed { node: index, fence })
                })
            }),
            Property::sometimes("it ends", |_, world: &World| world.ends == 1),
        ]
    }
}

const ONCE: &str = "a job ends once";
const NOT_EARLY: &str = "who is awake has no job running any more when it is taken over";
const NO_ORPHAN: &str = "no claim is left with one who was rescued";

/// What was found, and how many states there are.
fn explore(model: Leases) -> (Vec<&'static str>, usize) {
    let checker = model
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let mut found: Vec<&str> = checker.discoveries().into_keys().collect();
    found.sort_unstable();
    (found, checker.unique_state_count())
}

#[test]
fn leases_and_fencing_hold_in_every_state() {
    let (found, states) = explore(ALL);
    println!("{states} states");
    assert_eq!(found, ["a stale outcome comes", "it ends"]);
    assert!(states > 100_000, "{states} states");
}

#[test]
fn without_fencing_a_job_ends_twice() {
    let (found, _) = explore(Leases {
        fencing: false,
        ..ALL
    });
    assert!(found.contains(&ONCE), "{found:?}");
}

#[test]
fn without_patience_the_living_are_rescued() {
    let (found, _) = explore(Leases {
        patience: false,
        ..ALL
    });
    assert!(found.contains(&NOT_EARLY), "{found:?}");
}

#[test]
fn without_holding_its_row_a_node_claims_after_its_rescue() {
    let (found, _) = explore(Leases {
        holds_row: false,
        ..ALL
    });
    assert!(found.contains(&NO_ORPHAN), "{found:?}");
}
