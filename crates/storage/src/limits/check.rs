//! Whether the rows of limits are what the jobs say.

use crate::states::sql;

/// Counts rows that do not fit the state of their jobs, and jobs that lack a row, but for running jobs of which `$claimed`
/// says that they may have been claimed and not asked yet whether their keys have room.
macro_rules! wrong {
    ($claimed:literal) => {
        sql!(concat!(
            "SELECT count(*) FROM (\
             SELECT job_limits.job_id FROM job_limits LEFT JOIN jobs ON jobs.id = job_limits.job_id \
             WHERE jobs.limits IS NULL OR jobs.state <> \
             CASE phase WHEN 1 THEN {blocked} WHEN 2 THEN {processing} ELSE {pending} END \
             AND NOT (phase = 3 AND jobs.state = {processing} AND ",
            $claimed,
            ") UNION ALL \
             SELECT jobs.id FROM jobs WHERE node_id IS NOT NULL AND limits IS NOT NULL AND NOT EXISTS (\
             SELECT 1 FROM job_limits WHERE job_limits.job_id = jobs.id AND phase = 2) AND NOT ",
            $claimed,
            " UNION ALL \
             SELECT jobs.id FROM jobs WHERE state = {blocked} AND waits & 4 = 4 AND (\
             SELECT count(*) FROM job_limits WHERE job_limits.job_id = jobs.id AND phase = 1) <> 1) AS wrong"
        ))
    };
}

/// What is wrong in a file, in which a claim is one transaction with what it asks. None is right.
pub const WRONG: &str = wrong!("FALSE");

/// The same on a server, where a claim can be a transaction by itself. If its node dies before it asks, its jobs stay like
/// that until they are rescued.
pub const WRONG_ON_SERVER: &str =
    wrong!("(jobs.updated_at > extract(epoch FROM clock_timestamp()) * 1000 - 60000)");
