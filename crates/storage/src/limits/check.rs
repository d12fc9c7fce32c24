//! Whether the rows of limits are what the jobs say.

use crate::states::sql;

/// Rows that do not fit the state of their jobs, and jobs that lack a row. None is right.
pub const WRONG: &str = sql!(
    "SELECT count(*) FROM (\
     SELECT job_limits.job_id FROM job_limits LEFT JOIN jobs ON jobs.id = job_limits.job_id \
     WHERE jobs.limits IS NULL OR jobs.state <> \
     CASE phase WHEN 1 THEN {blocked} WHEN 2 THEN {processing} ELSE {pending} END \
     UNION ALL \
     SELECT jobs.id FROM jobs WHERE node_id IS NOT NULL AND limits IS NOT NULL AND NOT EXISTS (\
     SELECT 1 FROM job_limits WHERE job_limits.job_id = jobs.id AND phase = 2) \
     UNION ALL \
     SELECT jobs.id FROM jobs WHERE state = {blocked} AND waits >= 4 AND (\
     SELECT count(*) FROM job_limits WHERE job_limits.job_id = jobs.id AND phase = 1) <> 1) AS wrong"
);
