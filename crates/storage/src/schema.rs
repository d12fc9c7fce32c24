//! The tables as Diesel knows them; the migrations are what makes them.

diesel::table! {
    jobs (id) {
        id -> BigInt,
        name -> Nullable<Text>,
        queue -> Text,
        state -> SmallInt,
        priority -> Integer,
        attempts -> Integer,
        fence -> BigInt,
        system_failures -> Integer,
        max_retries -> Nullable<Integer>,
        backoff_base -> Nullable<Double>,
        timeout_ms -> Nullable<BigInt>,
        executor -> Text,
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
        unique_key -> Nullable<Text>,
        unique_ms -> Nullable<BigInt>,
        follows -> Nullable<BigInt>,
        unmet -> Nullable<BigInt>,
        limits -> Nullable<Text>,
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
    outputs (job_id, fence) {
        job_id -> BigInt,
        fence -> BigInt,
        head -> Binary,
        tail -> Binary,
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

diesel::joinable!(payloads -> jobs (job_id));
diesel::allow_tables_to_appear_in_same_query!(jobs, payloads);

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
