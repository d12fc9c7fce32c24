//! Histories as text: what happened to a job, one line an event.

use std::fmt;

use queuectl_core::JobId;

use super::{Call, History, Reply, What};

impl History {
    /// The events that have to do with a job, and the notes, one a line.
    pub fn of_job(&self, job: Option<JobId>, name: &str) -> String {
        let mut calls = Vec::new();
        let mut text = String::new();
        for event in &self.events {
            let shown = match &event.what {
                What::Invoked(number, call) => {
                    let about = call.is_about(job, name);
                    if about {
                        calls.push(*number);
                    }
                    about
                }
                What::Returned(number, Reply::Claimed(jobs)) => {
                    jobs.iter().any(|(id, _, _)| Some(*id) == job) || calls.contains(number)
                }
                What::Returned(number, _) => calls.contains(number),
                What::Began { job: id, .. } | What::Over { job: id, .. } => Some(*id) == job,
                What::StandsStill(_) | What::GoesOn | What::Note(_) => true,
            };
            if shown {
                text.push_str(&format!("{:>9} ms  {}\n", event.at, event.what));
            }
        }
        text
    }
}

impl Call {
    fn is_about(&self, job: Option<JobId>, name: &str) -> bool {
        match self {
            Call::Enqueue(names) => names.iter().any(|one| one == name),
            Call::Outcome { job: id, .. } | Call::Cancel(id) | Call::Retry(id) | Call::Purge(id) => {
                Some(*id) == job
            }
            Call::SetLimit(..) | Call::Pause(..) => true,
            Call::Claim(..) | Call::Heartbeat(_) => false,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Invoked(number, call) => write!(f, "#{number} {call}"),
            What::Returned(number, reply) => write!(f, "#{number} -> {reply:?}"),
            What::Began {
                job,
                fence,
                attempt,
                machine,
            } => write!(
                f,
                "job {job} began: token {fence}, attempt {attempt}, machine {machine}"
            ),
            What::Over { job, fence, machine } => {
                write!(f, "job {job} is over: token {fence}, machine {machine}")
            }
            What::StandsStill(machine) => write!(f, "-- machine {machine} stands still"),
            What::GoesOn => write!(f, "-- all go on"),
            What::Note(text) => write!(f, "-- {text}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Enqueue(names) => write!(f, "enqueue {}", names.join(", ")),
            Call::Claim(node, now) => write!(f, "node {node} claims at {}", now.0),
            Call::Outcome {
                job,
                fence,
                node,
                change,
                ..
            } => write!(
                f,
                "node {node}: job {job}, token {fence}, becomes {}",
                change.to()
            ),
            Call::Heartbeat(node) => write!(f, "node {node} is alive"),
            Call::Cancel(job) => write!(f, "cancel job {job}"),
            Call::Retry(job) => write!(f, "retry job {job}"),
            Call::Purge(job) => write!(f, "purge job {job}"),
            Call::SetLimit(name, None) => write!(f, "remove limit {name}"),
            Call::SetLimit(name, Some(allowed)) => write!(f, "set limit {name}: {allowed:?}"),
            Call::Pause(queue, by) => write!(f, "{by} pauses queue {queue}"),
        }
    }
}
