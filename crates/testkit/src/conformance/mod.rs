//! What every backend of the store must do. A backend's tests call [`conformance_suite!`] with how to make a fresh,
//! empty store; each check becomes a test of its own. Where no store can be made, each is skipped by its name.
//!
//! Every check that changes a job keeps a bystander: a job that must not change.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queuectl_core::settings::Key;
use queuectl_core::{
    Attempt, BlockedBy, Event, Job, JobId, JobRef, JobSpec, NodeId, OutcomeKind, Start, State, Timestamp,
    ValidJob, Waits,
};
use queuectl_storage::{
    Cancelled, Claimed, Cycle, CycleResult, JobFilter, ListFilter, NodeGuard, Only, PurgeFilter, Queues,
    Record, StopRequest, Store, StoreError,
};

use crate::{TempStore, job, new_node, record, valid};

/// Makes a test of every check.
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr; $($check:ident),* $(,)?) => {
        $(
            #[test]
            fn $check() {
                match $fresh {
                    Some(store) => $crate::conformance::$check(store),
                    None => $crate::skipped(
                        concat!(module_path!(), "::", stringify!($check)),
                        $crate::conformance::NO_SERVER,
                    ),
                }
            }
        )*
    };
    ($fresh:expr) => {
        $crate::conformance_suite! { $fresh;
            enqueued_jobs_are_stored_as_given,
            a_batch_is_stored_whole_or_not_at_all,
            a_large_batch_keeps_its_order,
            numbers_are_never_reused,
            claims_go_by_priority_then_age,
            claims_respect_queues_and_limits,
            two_nodes_never_claim_the_same_job,
            a_claim_counts_an_attempt_and_moves_the_fence,
            an_outcome_is_recorded_once,
            records_end_the_same_together_as_one_by_one,
            a_node_that_has_jobs_stays,
            stale_outcomes_change_nothing,
            a_failed_job_waits_and_becomes_due,
            a_retry_is_never_further_off_than_its_own_wait,
            scheduled_jobs_wait_for_their_time,
            a_job_given_back_keeps_its_attempt,
            a_cancelled_job_does_not_run_again,
            cancelling_depends_on_the_state,
            a_held_job_is_not_claimed_until_it_is_released,
            a_held_job_keeps_its_time,
            only_jobs_that_have_not_started_can_be_held,
            a_started_job_is_claimed_first_whatever_it_waits_for,
            a_started_job_counts_for_its_limits,
            a_start_passes_over_no_other_job,
            a_start_passes_over_no_retried_parent,
            only_starts_that_count_are_limited,
            a_start_is_taken_back_by_another_change,
            a_start_waits_for_a_node_of_its_queue,
            two_nodes_never_claim_a_started_job_twice,
            an_edit_changes_what_it_says_and_nothing_else,
            what_runs_or_has_ended_is_not_edited,
            a_dead_job_runs_again_as_it_was_edited,
            an_edited_job_is_placed_by_its_new_limits,
            an_edited_job_starts_at_its_new_time,
            many_jobs_are_edited_in_steps,
            a_claim_beside_edits_takes_whole_jobs,
            the_ledger_says_what_was_edited,
            a_signal_is_of_one_attempt,
            jobs_without_processes_are_sent_no_signals,
            a_suspension_is_of_one_attempt,
            a_refused_suspension_says_why,
            a_report_is_of_the_attempt_that_runs,
            progress_has_a_rate_and_keeps_what_is_not_given,
            reports_are_purged_with_their_job,
            reports_come_back_with_their_job,
            a_job_starts_after_those_it_waits_for,
            only_the_end_of_a_job_settles_what_waits_for_it,
            a_cancelled_dependant_is_revived_with_its_parent,
            a_revived_job_waits_for_its_other_parents,
            an_unmet_job_can_be_held_or_run,
            parents_that_have_ended_settle_at_once,
            a_purged_parent_is_remembered,
            a_retried_dependant_waits_for_a_retried_parent,
            what_revives_a_job_is_known,
            a_dependant_can_be_held_and_has_its_time,
            a_long_chain_ends_with_its_first_job,
            a_wide_fan_out_is_settled_together,
            a_released_dependant_waits_for_its_other_parents,
            a_revived_dependant_needs_its_key,
            a_retry_changes_nothing_that_has_run,
            parents_that_end_at_once_release_each_job_once,
            retrying_gives_fresh_attempts_and_keeps_history,
            dead_jobs_are_retried_together,
            dead_jobs_are_read_in_pages,
            a_dead_job_says_why_it_died,
            ended_jobs_are_read_in_pages,
            history_has_every_end_once,
            several_nodes_count_a_job_once,
            old_minutes_become_hours,
            further_queues_are_counted_together,
            dead_jobs_are_changed_as_they_were_read,
            dead_letters_are_imported_once,
            imported_jobs_take_nothing_from_others,
            dead_letters_of_this_store_are_known,
            imports_at_once_store_each_letter_once,
            purging_removes_only_what_fits,
            purging_goes_in_steps,
            counts_follow_every_change,
            lists_are_in_order_and_have_pages,
            pages_are_bounded_in_bytes,
            paused_queues_are_not_claimed_from,
            a_pause_ends_by_itself,
            pausing_no_queue_is_no_operation,
            the_order_beside_a_paused_queue_is_that_of_all_others,
            so_many_queues_can_be_paused,
            what_is_said_of_a_claim_is_what_a_claim_does,
            no_claim_is_under_way_when_a_pause_has_returned,
            settings_are_stored_and_checked,
            queues_have_settings_of_their_own,
            nodes_live_while_their_guard_is_held,
            rescued_jobs_are_counted,
            stop_requests_reach_the_node_and_never_soften,
            counts_and_drain_questions,
            every_stored_change_matches_the_transition_table,
            schedules_are_kept_as_given,
            a_tick_makes_one_job_however_many_nodes_try,
            without_the_key_ticks_are_made_twice,
            jobs_of_ticks_know_their_schedule,
            missed_ticks_follow_the_policy,
            overlapping_ticks_follow_the_policy,
            paused_schedules_account_for_their_ticks,
            a_back_fill_makes_what_has_not_run,
            a_back_fill_with_a_unique_key_fills_one_time,
            a_clock_that_is_set_back_makes_no_tick_twice,
            an_absence_after_a_set_back_clock_is_accounted_for,
            a_copy_has_the_schedules_and_their_ticks,
            a_tick_whose_key_is_taken_says_so,
            queued_runs_wait_for_earlier_ones,
            a_queued_run_waits_for_one_that_was_asked_for,
            a_queued_run_goes_on_after_the_policy_has_changed,
            a_run_that_waits_has_no_place_of_a_limit,
            no_queued_run_is_left_behind,
            the_last_dead_run_pauses_its_schedule,
            a_retried_run_counts_again,
            the_oldest_ticks_are_removed,
            a_key_is_taken_until_its_job_has_ended,
            a_taken_key_can_be_refused,
            a_waiting_job_is_replaced,
            a_batch_settles_its_own_conflicts,
            a_key_can_outlive_its_job,
            calls_are_gathered_into_one_job,
            a_retry_waits_for_the_key,
            a_running_job_has_one_successor,
            calls_during_a_run_are_gathered_behind_it,
            enqueuers_at_once_share_keys,
            a_limit_holds_between_stores,
            what_others_store_counts_in_the_next_cycle,
            a_full_key_parks_jobs,
            a_job_takes_all_its_keys_or_none,
            only_running_jobs_hold_keys,
            a_limit_can_be_changed_and_removed,
            a_removed_limit_is_not_waited_for,
            a_job_that_no_node_claims_keeps_back_no_other,
            what_is_given_up_makes_room,
            a_rate_spreads_starts,
            a_busy_status_puts_off_its_key,
            a_limit_that_was_put_off_is_resumed,
            an_executor_puts_off_limits_with_a_rate,
            without_a_limit_the_job_itself_waits,
            being_busy_ends,
            a_busy_attempt_fires_no_hook,
            a_cancelled_job_is_not_told_to_be_busy,
            starving_limits_are_found,
            a_queue_limit_holds_between_stores,
            room_in_a_full_queue_wakes_other_nodes,
            a_node_of_other_queues_leaves_a_queue_limit_as_it_is,
            a_queue_limit_counts_for_jobs_that_wait,
            a_queue_limit_holds_however_a_queue_is_served,
            a_queue_rate_spreads_starts,
            a_job_is_explained_with_its_groups,
            a_member_that_is_replaced_by_its_own_batch_has_ended,
            a_callback_follows_the_last_member,
            an_empty_group_is_complete_when_it_is_closed,
            a_group_is_filled_and_closed_at_once,
            a_retry_stores_no_second_callback,
            a_job_with_the_key_is_the_member,
            a_group_gives_up_after_so_many_failures,
            a_large_group_is_given_up_in_steps,
            a_cancelled_group_ends_with_its_running_members,
            a_cascade_ends_a_group,
            a_group_outlives_its_jobs,
            a_callback_is_checked_when_it_is_given,
            a_copy_has_the_groups,
            two_last_members_store_one_callback,
            a_rate_that_changes_takes_effect_at_once,
            a_limit_that_is_set_again_counts_what_runs,
            many_that_no_node_claims_keep_back_no_other,
            what_becomes_ready_takes_its_place,
            what_waits_for_something_else_is_in_its_place,
            what_is_cancelled_with_its_parent_leaves_limits,
            a_schedule_names_limits_that_are_there,
            limits_hold_whatever_happens,
            an_end_stores_the_hooks_of_its_job,
            a_hook_is_told_the_groups_of_its_job,
            cancelling_and_giving_back_fire_no_hooks,
            hooks_of_all_jobs_and_of_queues,
            hooks_of_hooks_are_bounded,
            hooks_are_kept_with_their_job,
            an_alert_runs_once_when_so_many_are_dead,
            a_dead_hook_runs_no_alert,
            two_last_deaths_run_one_alert,
            labels_stay_with_their_job,
            jobs_are_found_by_their_labels,
            a_copy_has_the_labels,
            tokens_are_kept_and_revoked,
            tokens_are_bounded,
            a_copy_has_the_tokens,
            a_request_with_a_key_is_stored_once,
            answers_are_kept_for_their_time,
            two_that_send_the_same_key_store_it_once,
            a_selector_means_the_jobs_that_fit,
            a_selector_is_found_in_pages,
            jobs_are_sorted_by_any_key,
            a_filter_narrows_jobs_that_are_named,
            many_jobs_are_changed_in_steps,
            a_mass_change_goes_on_where_it_stopped,
            a_frozen_filter_means_no_later_job,
            a_mass_retry_leaves_taken_keys,
            commands_are_operations,
            a_cancel_is_undone,
            an_undo_leaves_what_was_changed_since,
            holds_and_releases_are_undone,
            operations_of_groups_are_entered_and_undone,
            operations_of_schedules_are_entered_and_undone,
            an_edit_is_undone_part_by_part,
            a_purge_is_undone,
            what_is_not_kept_is_not_undone,
            large_jobs_are_purged_in_small_steps,
            large_jobs_are_edited_in_small_steps,
            schedules_are_kept_only_if_they_are_to_be,
            settings_are_set_back,
            many_change_as_one_does,
            a_killed_operation_goes_on,
            a_killed_undo_goes_on,
            two_that_undo_the_same_count_each_job_once,
            operations_are_kept_for_their_time,
            the_ledger_has_every_change,
            the_ledger_says_what_replaced_a_job,
            the_ledger_has_pauses_of_queues,
            the_ledger_has_changes_of_settings_and_limits,
            the_ledger_is_off_unless_it_is_wanted,
        }
    };
}

/// Why tests are skipped for which there is no server.
pub const NO_SERVER: &str =
    "no PostgreSQL server; install its binaries, or name one in QUEUECTL_TEST_POSTGRES";

mod alerts;
mod answers;
mod busy;
mod claim;
mod dead;
mod dependencies;
mod dependency_changes;
mod edit;
mod ended;
mod enqueue;
mod events;
mod groups;
mod history;
mod hold;
mod hooks;
mod import;
mod kept;
mod labels;
mod limit_changes;
mod limit_model;
mod limits;
mod nodes;
mod operate;
mod operations;
mod operations_of_groups;
mod operations_resumed;
mod outcome;
mod overlap;
mod pause;
mod queue_limits;
mod reports;
mod scale;
mod schedules;
mod selectors;
mod signals;
mod sorted;
mod start;
mod suspensions;
mod tokens;
mod unique;
mod unreadable;

pub use alerts::*;
pub use answers::*;
pub use busy::*;
pub use claim::*;
pub use dead::*;
pub use dependencies::*;
pub use dependency_changes::*;
pub use edit::*;
pub use ended::*;
pub use enqueue::*;
pub use events::*;
pub use groups::*;
pub use history::*;
pub use hold::*;
pub use hooks::*;
pub use import::*;
pub use kept::*;
pub use labels::*;
pub use limit_changes::*;
pub use limit_model::*;
pub use limits::*;
pub use nodes::*;
pub use operate::*;
pub use operations::*;
pub use operations_of_groups::*;
pub use operations_resumed::*;
pub use outcome::*;
pub use overlap::*;
pub use pause::*;
pub use queue_limits::*;
pub use reports::*;
pub use scale::*;
pub use schedules::*;
pub use selectors::*;
pub use signals::*;
pub use sorted::*;
pub use start::*;
pub use suspensions::*;
pub use tokens::*;
pub use unique::*;
pub use unreadable::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn later(ms: u64) -> Timestamp {
    NOW.after(Duration::from_millis(ms))
}

fn enqueue(store: &mut Store, jobs: &[ValidJob]) -> Vec<JobId> {
    store.enqueue(jobs, NOW).expect("jobs are stored")
}

fn get(store: &mut Store, id: JobId) -> Job {
    store.job(&JobRef::Number(id)).expect("the job is there")
}

/// Cookies are unique in the world.
static COOKIES: AtomicUsize = AtomicUsize::new(0);

fn node(store: &mut Store) -> (NodeId, NodeGuard) {
    let new = new_node(format!("cookie-{}", COOKIES.fetch_add(1, Ordering::Relaxed)));
    let (id, guard, _) = store.enter_node(&new, NOW).expect("a node enters");
    (id, guard)
}

fn turn(store: &mut Store, node: NodeId, records: &[Record], claim: u32, now: Timestamp) -> CycleResult {
    store
        .cycle(&Cycle {
            node,
            records,
            claim,
            queues: &Queues::All,
            now,
        })
        .expect("a cycle")
}

fn claim(store: &mut Store, node: NodeId, limit: u32) -> Vec<Claimed> {
    turn(store, node, &[], limit, NOW).claimed
}

fn claim_one(store: &mut Store, node: NodeId) -> Claimed {
    claim(store, node, 1).pop().expect("a job to claim")
}

/// A store with one dead job, and the node that ran it.
fn dead_job(store: &mut Store) -> (JobId, NodeId, NodeGuard) {
    let id = enqueue(store, &[job("exit 1")])[0];
    let (node, guard) = node(store);
    let claimed = claim_one(store, node);
    let died = record(
        &claimed,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Failed,
        NOW,
    );
    turn(store, node, &[died], 0, NOW);
    assert_eq!(get(store, id).state, State::Dead);
    (id, node, guard)
}
