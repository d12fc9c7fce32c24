//! Hooks: jobs that the end of another job's attempt stores.

use std::collections::BTreeMap;

use queuectl_core::{Command, EnqueuedBy, Hook, HookOn, JobHooks};

use super::*;

fn line(text: &str) -> Command {
    Command::Line(text.to_owned())
}

fn hooked(hooks: JobHooks) -> JobSpec {
    JobSpec {
        hooks,
        queue: Some("mail".parse().expect("a queue")),
        priority: Some(3),
        ..JobSpec::line("send")
    }
}

fn all_three() -> JobHooks {
    JobHooks {
        on_success: Some(line("yes")),
        on_failure: Some(line("no")),
        on_death: Some(Command::Argv(vec!["dead".into(), "a b".into()])),
        to_queue: None,
    }
}

fn hook(name: &str, on: &str) -> Hook {
    Hook {
        name: name.parse().expect("a name"),
        on: on.parse().expect("events"),
        queue: None,
        schedule: None,
        to_queue: None,
        command: line(name),
        cwd: Some("/".to_owned()),
        created_at: NOW,
        alert: None,
    }
}

/// Ends the attempt of a job.
fn end(store: &mut Store, node: NodeId, job: &Claimed, event: Event, kind: OutcomeKind) {
    let done = record(job, node, event, kind, NOW);
    assert_eq!(turn(store, node, &[done], 0, NOW).stale, []);
}

const DEAD: Event = Event::Fail { retry_at: None };

fn failed(ms: u64) -> Event {
    Event::Fail {
        retry_at: Some(later(ms)),
    }
}

/// The jobs that are hooks of a job: what they are for and what they run.
fn hooks_of(store: &mut Store, id: JobId) -> Vec<(HookOn, String)> {
    let found = store.hooks_of(id).expect("hooks");
    let told = found.into_iter().map(|hook| {
        let job = get(store, hook.id);
        (hook.on.expect("an event"), job.payload.display())
    });
    told.collect()
}

fn env_of(store: &mut Store, of: JobId, at: usize) -> BTreeMap<String, String> {
    let id = store.hooks_of(of).expect("hooks")[at].id;
    get(store, id).payload.env
}

fn is_sound(store: &mut Store) {
    let report = store.check().expect("a report");
    let found = (report.damage, report.dangling, report.miscounted);
    assert_eq!(found, (vec![], 0, 0));
}

/// Each failed attempt, death and success store their hooks, which know what ended.
pub fn an_end_stores_the_hooks_of_its_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut spec = hooked(all_three());
    spec.id = Some("mine".parse().expect("an id"));
    spec.payload.cwd = Some("/srv".to_owned());
    let ids = enqueue(
        store,
        &[valid(spec), valid(hooked(all_three())), job("bystander")],
    );
    assert_eq!(get(store, ids[0]).hooks, all_three());
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 9, NOW).claimed;
    end(store, node, &claimed[0], failed(1000), OutcomeKind::Failed);
    assert_eq!(hooks_of(store, ids[0]), [(HookOn::Failure, "no".to_owned())]);
    let id = store.hooks_of(ids[0]).expect("hooks")[0].id;
    let hook = get(store, id);
    assert_eq!(
        (hook.queue.as_str(), hook.priority, hook.state),
        ("mail", 4, State::Pending)
    );
    let by = EnqueuedBy {
        job: ids[0],
        hook: Some(HookOn::Failure),
        depth: 1,
    };
    assert_eq!(
        (hook.enqueued_by, hook.payload.cwd.as_deref()),
        (Some(by), Some("/srv"))
    );
    let env = &hook.payload.env;
    for (name, value) in [
        ("QUEUECTL_HOOK", "failure"),
        ("QUEUECTL_HOOK_JOB_ID", "mine"),
        ("QUEUECTL_HOOK_STATE", "failed"),
        ("QUEUECTL_HOOK_QUEUE", "mail"),
        ("QUEUECTL_HOOK_COMMAND", "send"),
        ("QUEUECTL_HOOK_ATTEMPT", "1"),
        ("QUEUECTL_HOOK_OUTCOME", "failed"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!env.contains_key("QUEUECTL_HOOK_NAME") && !env.contains_key("QUEUECTL_HOOK_SCHEDULE"));
    // The last attempt fires both, also if its node died.
    let again = turn(store, node, &[], 9, later(1000)).claimed;
    let again = again
        .iter()
        .find(|job| job.id == ids[0].0)
        .expect("it is tried again");
    end(store, node, again, DEAD, OutcomeKind::Lost);
    let no = (HookOn::Failure, "no".to_owned());
    let dead = (HookOn::Death, "dead 'a b'".to_owned());
    assert_eq!(hooks_of(store, ids[0]), [no.clone(), no, dead]);
    assert_eq!(env_of(store, ids[0], 2)["QUEUECTL_HOOK_OUTCOME"], "lost");
    end(store, node, &claimed[1], Event::Complete, OutcomeKind::Succeeded);
    assert_eq!(hooks_of(store, ids[1]), [(HookOn::Success, "yes".to_owned())]);
    assert_eq!(hooks_of(store, ids[2]), []);
    assert_eq!(get(store, ids[2]).state, State::Processing);
    is_sound(store);
}

/// A hook is told the groups of the job that ended.
pub fn a_hook_is_told_the_groups_of_its_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let member = |group: Option<&str>, unique: Option<&str>| {
        valid(JobSpec {
            group: group.map(|name| name.parse().expect("a group")),
            unique: unique.map(|key| key.parse().expect("a key")),
            ..hooked(all_three())
        })
    };
    let ids = enqueue(store, &[member(Some("nightly"), Some("one")), member(None, None)]);
    // The job that has the key becomes a member of this group, too.
    let again = enqueue(store, &[member(Some("daily"), Some("one"))]);
    assert_eq!(again, ids[..1]);
    let (node, _guard) = node(store);
    for job in turn(store, node, &[], 9, NOW).claimed {
        end(store, node, &job, Event::Complete, OutcomeKind::Succeeded);
    }
    let told = |store: &mut Store, id| env_of(store, id, 0).remove("QUEUECTL_HOOK_GROUP");
    assert_eq!(told(store, ids[0]).as_deref(), Some("daily,nightly"));
    assert_eq!(told(store, ids[1]), None);
    is_sound(store);
}

/// What ends without a failed attempt fires nothing.
pub fn cancelling_and_giving_back_fire_no_hooks(mut temp: TempStore) {
    let store = &mut temp.store;
    store
        .add_hook(&hook("all", "success,failure,death"))
        .expect("added");
    let spec = || valid(hooked(all_three()));
    let ids = enqueue(store, &[spec(), spec(), spec(), spec(), job("bystander")]);
    store.cancel(&JobRef::Number(ids[0]), NOW).expect("cancelled");
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 3, NOW).claimed;
    store.cancel(&JobRef::Number(ids[2]), NOW).expect("asked for");
    end(store, node, &claimed[0], Event::Return, OutcomeKind::Returned);
    end(store, node, &claimed[1], failed(1), OutcomeKind::Failed);
    end(store, node, &claimed[2], Event::Cancel, OutcomeKind::Cancelled);
    for id in &ids {
        assert_eq!(hooks_of(store, *id), []);
    }
    let states = [ids[0], ids[1], ids[2], ids[3], ids[4]].map(|id| get(store, id).state);
    let [cancelled, pending] = [State::Cancelled, State::Pending];
    assert_eq!(states, [cancelled, pending, cancelled, cancelled, pending]);
}

/// A hook of all jobs, or of a queue's, counts from when it was added until it is removed, for jobs that were there before
/// as well.
pub fn hooks_of_all_jobs_and_of_queues(mut temp: TempStore) {
    let store = &mut temp.store;
    let mail = || valid(hooked(JobHooks::default()));
    let ids = enqueue(
        store,
        &[
            mail(),
            mail(),
            mail(),
            mail(),
            job("a"),
            job("b"),
            job("bystander"),
        ],
    );
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 7, NOW).claimed;
    let of_mail = Hook {
        queue: Some("mail".parse().expect("a queue")),
        to_queue: Some("alerts".parse().expect("a queue")),
        ..hook("of-mail", "failure")
    };
    let nightly = Hook {
        schedule: Some("nightly".parse().expect("a name")),
        ..hook("of-schedule", "success")
    };
    for hook in [&hook("of-all", "success,death"), &of_mail, &nightly] {
        store.add_hook(hook).expect("added");
    }
    let taken = store.add_hook(&of_mail);
    assert!(matches!(taken, Err(StoreError::HookTaken(_))), "{taken:?}");
    assert_eq!(store.hook(&of_mail.name).expect("it is there"), of_mail);
    let by_id = |id: JobId| {
        claimed
            .iter()
            .find(|job| job.id == id.0)
            .expect("claimed")
            .clone()
    };
    end(
        store,
        node,
        &by_id(ids[0]),
        Event::Complete,
        OutcomeKind::Succeeded,
    );
    end(store, node, &by_id(ids[1]), failed(9000), OutcomeKind::TimedOut);
    end(store, node, &by_id(ids[4]), failed(9000), OutcomeKind::Failed);
    end(store, node, &by_id(ids[5]), DEAD, OutcomeKind::Failed);
    let of = |on, name: &str| (on, name.to_owned());
    assert_eq!(hooks_of(store, ids[0]), [of(HookOn::Success, "of-all")]);
    assert_eq!(hooks_of(store, ids[1]), [of(HookOn::Failure, "of-mail")]);
    assert_eq!(hooks_of(store, ids[4]), []);
    assert_eq!(hooks_of(store, ids[5]), [of(HookOn::Death, "of-all")]);
    let env = env_of(store, ids[1], 0);
    assert_eq!(
        (
            env["QUEUECTL_HOOK_NAME"].as_str(),
            env["QUEUECTL_HOOK_OUTCOME"].as_str()
        ),
        ("of-mail", "timed_out")
    );
    let id = store.hooks_of(ids[1]).expect("hooks")[0].id;
    let made = get(store, id);
    assert_eq!(
        (made.queue.as_str(), made.payload.cwd.as_deref()),
        ("alerts", Some("/"))
    );
    // A job that a user asked to cancel, and that ended by itself.
    store.cancel(&JobRef::Number(ids[2]), NOW).expect("asked for");
    end(store, node, &by_id(ids[2]), failed(1), OutcomeKind::Failed);
    assert_eq!(
        (get(store, ids[2]).state, hooks_of(store, ids[2])),
        (State::Cancelled, vec![])
    );
    let names = [of_mail.name, "of-all".parse().expect("a name"), nightly.name];
    store.remove_hooks(&names).expect("removed");
    assert_eq!(store.hooks().expect("hooks"), []);
    end(store, node, &by_id(ids[3]), DEAD, OutcomeKind::Failed);
    assert_eq!(
        (get(store, ids[3]).state, hooks_of(store, ids[3])),
        (State::Dead, vec![])
    );
    assert_eq!(get(store, ids[6]).state, State::Processing);
    is_sound(store);
}

/// Hooks fire no hooks, and of a chain of jobs that hooks enqueue the last one fires none.
pub fn hooks_of_hooks_are_bounded(mut temp: TempStore) {
    let store = &mut temp.store;
    store.add_hook(&hook("all", "death")).expect("added");
    let mut parent = enqueue(store, &[job("first")])[0];
    enqueue(store, &[job("bystander")]);
    let (node, _guard) = node(store);
    let mut levels = 0;
    loop {
        let claimed = turn(store, node, &[], 9, NOW).claimed;
        let first = claimed
            .iter()
            .find(|job| job.id == parent.0)
            .expect("claimed")
            .clone();
        let others: Vec<Record> = claimed
            .iter()
            .filter(|job| job.id != parent.0)
            .map(|job| record(job, node, Event::Return, OutcomeKind::Returned, NOW))
            .collect();
        turn(store, node, &others, 0, NOW);
        end(store, node, &first, DEAD, OutcomeKind::Failed);
        let Some(hook) = store.hooks_of(parent).expect("hooks").pop() else {
            break;
        };
        levels += 1;
        // The hook enqueues a job while it runs, and dies as well, which fires nothing.
        let claimed = turn(store, node, &[], 1, NOW).claimed;
        assert_eq!(claimed[0].id, hook.id.0, "it goes before the bystander");
        let own = JobRef::Number(hook.id);
        let cookies: Vec<String> = store
            .nodes()
            .expect("nodes")
            .into_iter()
            .map(|node| node.cookie)
            .collect();
        let mark = format!("{}.1", cookies[0]);
        assert_eq!(store.enqueued_by(&own, "other").expect("an answer"), None);
        let by = store.enqueued_by(&own, &mark).expect("an answer");
        assert_eq!(
            by.map(|by| (by.job, by.hook, by.depth)),
            Some((hook.id, None, levels))
        );
        parent = enqueue(store, &[job("next").with_enqueued_by(by)])[0];
        assert_eq!(get(store, parent).enqueued_by, by);
        end(store, node, &claimed[0], DEAD, OutcomeKind::Failed);
        assert_eq!(hooks_of(store, hook.id), []);
    }
    assert_eq!(levels, queuectl_core::limits::HOOK_DEPTH);
}

/// Hooks go with their job, are copied, and jobs with unique keys have them, too.
pub fn hooks_are_kept_with_their_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let keyed = JobSpec {
        unique: Some("key".parse().expect("a key")),
        ..hooked(all_three())
    };
    let ids = enqueue(
        store,
        &[valid(keyed), valid(hooked(all_three())), job("bystander")],
    );
    for number in 0..queuectl_core::limits::HOOKS {
        let name = store.free_hook_name().expect("a name");
        assert_eq!(name.as_str(), format!("hook-{}", number + 1));
        store.add_hook(&hook(name.as_str(), "failure")).expect("added");
    }
    let more = store.add_hook(&hook("more", "death"));
    assert!(matches!(more, Err(StoreError::TooManyHooks)), "{more:?}");
    let mut copy = TempStore::sqlite();
    store.copy_to(&mut copy.store).expect("copied");
    assert_eq!(copy.store.hooks().expect("hooks"), store.hooks().expect("hooks"));
    assert_eq!(get(&mut copy.store, ids[0]).hooks, all_three());
    let names: Vec<_> = store
        .hooks()
        .expect("hooks")
        .into_iter()
        .map(|hook| hook.name)
        .collect();
    store.remove_hooks(&names).expect("removed");
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 2, NOW).claimed;
    end(store, node, &claimed[0], DEAD, OutcomeKind::Failed);
    end(store, node, &claimed[1], DEAD, OutcomeKind::Failed);
    assert_eq!(hooks_of(store, ids[0]).len(), 2);
    let filter = PurgeFilter {
        state: State::Dead,
        queue: None,
        ended_before: None,
        limit: 9,
    };
    assert_eq!(store.purge(&filter).expect("purged").jobs, 2);
    is_sound(store);
    assert_eq!(
        store.hooks_of(ids[0]).expect("hooks").len(),
        2,
        "they are jobs of their own"
    );
    assert_eq!(get(store, ids[2]).hooks, JobHooks::default());
}
