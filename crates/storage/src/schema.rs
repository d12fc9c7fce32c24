//! The tables as Diesel knows them; the migrations are what makes them.

use crate::columns::given;

macro_rules! jobs {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        diesel::table! {
            jobs (id) {
                $($name -> $sql,)*
                id -> BigInt,
                state -> SmallInt,
                attempts -> Integer,
                fence -> BigInt,
                system_failures -> Integer,
                due_at -> Nullable<BigInt>,
                node_id -> Nullable<BigInt>,
                cancel_requested -> Bool,
                created_at -> BigInt,
                updated_at -> BigInt,
                started_at -> Nullable<BigInt>,
                finished_at -> Nullable<BigInt>,
                sum -> Nullable<Integer>,
                gates -> Integer,
                waits -> Integer,
                resume_at -> Nullable<BigInt>,
                follows -> Nullable<BigInt>,
                unmet -> Nullable<BigInt>,
                enqueued_by -> Nullable<BigInt>,
                hook -> Nullable<SmallInt>,
                hook_depth -> SmallInt,
            }
        }
    };
}
given!(jobs);

diesel::table! {
    job_hooks (job_id) {
        job_id -> BigInt,
        on_success -> Nullable<Text>,
        on_failure -> Nullable<Text>,
        on_death -> Nullable<Text>,
        to_queue -> Nullable<Text>,
    }
}

diesel::table! {
    job_labels (job_id, key) {
        job_id -> BigInt,
        key -> Text,
        value -> Text,
        sum -> Nullable<Integer>,
    }
}

diesel::table! {
    hooks (name) {
        name -> Text,
        events -> SmallInt,
        queue -> Nullable<Text>,
        schedule -> Nullable<Text>,
        to_queue -> Nullable<Text>,
        command -> Text,
        cwd -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    alerts (hook) {
        hook -> Text,
        threshold -> Integer,
        again_ms -> Nullable<BigInt>,
        fired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    answers (id) {
        id -> BigInt,
        scope -> Text,
        key -> Text,
        part -> Integer,
        hash -> Binary,
        answer -> Text,
        stored_at -> BigInt,
    }
}

diesel::table! {
    tokens (name) {
        name -> Text,
        hash -> Binary,
        roles -> SmallInt,
        queues -> Nullable<Text>,
        executors -> Nullable<Text>,
        created_at -> BigInt,
        created_by -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    operations (id) {
        id -> BigInt,
        kind -> Text,
        at -> BigInt,
        operator -> Nullable<Text>,
        what -> Text,
        request -> Nullable<Text>,
        state -> SmallInt,
        total -> Nullable<BigInt>,
        changed -> BigInt,
        requested -> BigInt,
        held_back -> BigInt,
        kept -> BigInt,
        kept_bytes -> BigInt,
        after_ended -> Nullable<BigInt>,
        after_id -> Nullable<BigInt>,
        updated_at -> BigInt,
        undo_of -> Nullable<BigInt>,
        undone_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    operation_jobs (operation_id, job_id) {
        operation_id -> BigInt,
        job_id -> BigInt,
        fence -> BigInt,
        updated_at -> BigInt,
        kept -> Text,
    }
}

diesel::table! {
    edges (child, parent) {
        child -> BigInt,
        parent -> BigInt,
        condition -> SmallInt,
        unmet -> SmallInt,
        outcome -> Nullable<SmallInt>,
    }
}

diesel::table! {
    payloads (job_id) {
        job_id -> BigInt,
        payload -> Text,
    }
}

diesel::table! {
    attempts (job_id, fence) {
        job_id -> BigInt,
        fence -> BigInt,
        attempt -> Integer,
        node_id -> BigInt,
        worker -> Integer,
        outcome -> SmallInt,
        exit_code -> Nullable<Integer>,
        signal -> Nullable<Integer>,
        message -> Text,
        started_at -> BigInt,
        finished_at -> BigInt,
        output_bytes -> BigInt,
        sum -> Nullable<Integer>,
    }
}

diesel::table! {
    suspensions (job_id) {
        job_id -> BigInt,
        fence -> BigInt,
        since -> Nullable<BigInt>,
        refused -> Nullable<Text>,
    }
}

diesel::table! {
    reports (job_id) {
        job_id -> BigInt,
        fence -> BigInt,
        percent -> Nullable<SmallInt>,
        message -> Nullable<Text>,
        reported_at -> Nullable<BigInt>,
        result -> Nullable<Text>,
        checkpoint -> Nullable<Text>,
    }
}

diesel::table! {
    outputs (job_id, fence) {
        job_id -> BigInt,
        fence -> BigInt,
        head -> Binary,
        tail -> Binary,
        marks -> Nullable<Binary>,
    }
}

diesel::table! {
    history (span_ms, at, queue, executor) {
        span_ms -> BigInt,
        at -> BigInt,
        queue -> Text,
        executor -> Text,
        completed -> BigInt,
        dead -> BigInt,
        cancelled -> BigInt,
        retries -> BigInt,
        failed -> BigInt,
        timed_out -> BigInt,
        crashed -> BigInt,
        lost -> BigInt,
        system_failures -> BigInt,
        busy -> BigInt,
        waited -> Binary,
        ran -> Binary,
    }
}

diesel::table! {
    history_state (id) {
        id -> SmallInt,
        counted_at -> BigInt,
        counted_id -> BigInt,
        removed_to -> BigInt,
    }
}

diesel::table! {
    nodes (id) {
        id -> BigInt,
        cookie -> Text,
        host -> Text,
        pid -> BigInt,
        version -> Text,
        workers -> Integer,
        concurrency -> Integer,
        queues -> Text,
        started_at -> BigInt,
        heartbeat_at -> BigInt,
        stop_requested -> SmallInt,
    }
}

diesel::table! {
    settings (key) {
        key -> Text,
        value -> Text,
    }
}

diesel::table! {
    queues (name) {
        name -> Text,
        paused_at -> Nullable<BigInt>,
        paused_until -> Nullable<BigInt>,
        paused_by -> Nullable<Text>,
        pause_reason -> Nullable<Text>,
    }
}

diesel::table! {
    queue_limits (name) {
        name -> Text,
        running -> Nullable<Integer>,
        rate_count -> Nullable<Integer>,
        rate_period_ms -> Nullable<BigInt>,
        burst -> Nullable<Integer>,
    }
}

diesel::table! {
    job_groups (id) {
        id -> BigInt,
        name -> Text,
        then_job -> Nullable<Text>,
        failed_job -> Nullable<Text>,
        max_fails -> Nullable<Integer>,
        created_at -> BigInt,
        closed_at -> Nullable<BigInt>,
        stopped_at -> Nullable<BigInt>,
        completed_at -> Nullable<BigInt>,
        callback_id -> Nullable<BigInt>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    group_members (group_id, job_id) {
        group_id -> BigInt,
        job_id -> BigInt,
        place -> BigInt,
        outcome -> Nullable<SmallInt>,
    }
}

diesel::joinable!(payloads -> jobs (job_id));
diesel::allow_tables_to_appear_in_same_query!(jobs, payloads);
diesel::allow_tables_to_appear_in_same_query!(job_groups, group_members);
diesel::allow_tables_to_appear_in_same_query!(jobs, nodes);

diesel::table! {
    limits (name) {
        name -> Text,
        running -> Nullable<Integer>,
        per_key -> Bool,
        rate_count -> Nullable<Integer>,
        rate_period_ms -> Nullable<BigInt>,
        burst -> Nullable<Integer>,
        busy_status -> Nullable<Integer>,
        busy_wait_ms -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    job_limits (job_id, key) {
        job_id -> BigInt,
        key -> Text,
        priority -> Integer,
        phase -> SmallInt,
    }
}

diesel::table! {
    limit_keys (key) {
        key -> Text,
        tat -> Nullable<BigInt>,
        wake_at -> Nullable<BigInt>,
        busy_until -> Nullable<BigInt>,
    }
}

/// Where SQLite has the number of the store: among the settings, under a name that no setting has.
pub const NUMBER_KEY: &str = ":store";

diesel::table! {
    schedules (name) {
        name -> Text,
        expression -> Text,
        zone -> Text,
        template -> Text,
        missed -> SmallInt,
        missed_ms -> BigInt,
        overlap -> SmallInt,
        jitter_ms -> Nullable<BigInt>,
        pause_after -> Nullable<Integer>,
        owner -> Nullable<Text>,
        start_at -> BigInt,
        next_due -> Nullable<BigInt>,
        paused_at -> Nullable<BigInt>,
        paused_reason -> Nullable<Text>,
        runs -> Text,
        dead_runs -> Integer,
        tick_rows -> BigInt,
        seen_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    ticks (schedule, at) {
        schedule -> Text,
        at -> BigInt,
        result -> SmallInt,
        made_at -> BigInt,
        job_id -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        count -> Integer,
        more -> Bool,
        last_at -> BigInt,
    }
}
