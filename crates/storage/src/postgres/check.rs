//! Looking after a store on PostgreSQL: which rows are missing or left over, and how large it is.
//!
//! Whether the server's files are whole is the server's to check (`pg_amcheck`, data checksums).

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::open::{WHOLE_TABLES, number};
use crate::backend::CheckReport;
use crate::counts::WRONG;
use crate::outcome::GROUPS_WRONG;
use crate::{StoreError, limits};

/// Tables that hold rows of jobs.
const BELONGING: [&str; 5] = ["payloads", "attempts", "outputs", "job_hooks", "job_labels"];

/// Looks for jobs without payload and for rows of jobs that are no more.
pub fn check(conn: &mut PgConnection) -> Result<CheckReport, StoreError> {
    conn.transaction(|conn| {
        // One moment for all of them.
        conn.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
        conn.batch_execute(WHOLE_TABLES)?;
        let mut dangling = number(
            conn,
            "SELECT count(*) FROM jobs WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE job_id = jobs.id)",
        )?;
        dangling += number(
            conn,
            "SELECT count(*) FROM edges WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = child)",
        )?;
        for table in BELONGING {
            dangling += number(
                conn,
                &format!(
                    "SELECT count(*) FROM {table} WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = job_id)"
                ),
            )?;
        }
        let pages = number(conn, &format!("({SIZE}) / current_setting('block_size')::BIGINT"))?;
        let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
        Ok(CheckReport {
            damage: Vec::new(),
            dangling: unsigned(dangling),
            miscounted: unsigned(number(conn, WRONG)?),
            misplaced: unsigned(number(conn, limits::WRONG_ON_SERVER)?),
            misgrouped: unsigned(number(conn, GROUPS_WRONG)?),
            pages: unsigned(pages),
            free_pages: 0,
        })
    })
}

/// What the tables of the schema take, with their indexes.
const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(pg_class.oid)), 0) FROM pg_class \
                    JOIN pg_namespace AS ns ON ns.oid = relnamespace WHERE relkind = 'r' AND nspname = current_schema()";

/// Rewrites the tables without removed and outdated rows. Locks one table at a time.
pub fn compact(conn: &mut PgConnection) -> Result<(), StoreError> {
    // One statement at a time: it cannot be part of a transaction, and several at once would be one.
    conn.batch_execute("SET statement_timeout = 0")?;
    for table in [
        "jobs",
        "payloads",
        "attempts",
        "outputs",
        "edges",
        "nodes",
        "settings",
        "counts",
        "job_groups",
        "group_members",
        "limits",
        "job_limits",
        "limit_keys",
        "hooks",
        "tokens",
        "answers",
        "job_hooks",
        "job_labels",
        "signals",
        "starts",
        "suspensions",
        "reports",
        "history",
        "history_state",
    ] {
        conn.batch_execute(&format!("VACUUM (FULL, ANALYZE) {table}"))?;
    }
    conn.batch_execute("RESET statement_timeout")?;
    Ok(())
}

/// The size of the tables and their indexes.
pub fn bytes(conn: &mut PgConnection) -> Result<u64, StoreError> {
    Ok(u64::try_from(number(conn, SIZE)?).unwrap_or(0))
}
