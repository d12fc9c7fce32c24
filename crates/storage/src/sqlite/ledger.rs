//! The triggers that write the ledger of events, on SQLite. While they are not there, it costs nothing.
//!
//! They stand where the rows change, so whatever changes a job is in the ledger, and in the same transaction. PostgreSQL has
//! the same in its migrations; the conformance suite holds both to it.

use crate::states::sql;

/// Makes the triggers.
pub const ON: &str = sql!(
    "CREATE TRIGGER IF NOT EXISTS ledger_enqueued AFTER INSERT ON jobs BEGIN \
     INSERT INTO events (at, job_id, kind, fence, due_at) VALUES (NEW.created_at, NEW.id, 'enqueued', NEW.fence, NEW.due_at); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_changed AFTER UPDATE OF state ON jobs WHEN NEW.state <> OLD.state BEGIN \
     INSERT INTO events (at, job_id, kind, node_id, fence, due_at) VALUES (NEW.updated_at, NEW.id, CASE \
     WHEN NEW.state = {processing} THEN 'started' \
     WHEN NEW.state = {completed} THEN 'succeeded' \
     WHEN NEW.state = {dead} THEN 'dead' \
     WHEN NEW.state = {cancelled} THEN 'cancelled' \
     WHEN NEW.state = {blocked} THEN CASE WHEN NEW.waits & 1 THEN 'held' ELSE 'blocked' END \
     WHEN OLD.state = {blocked} THEN CASE WHEN OLD.waits & 1 THEN 'released' ELSE 'unblocked' END \
     WHEN OLD.state = {processing} THEN CASE WHEN NEW.state = {failed} THEN 'failed' ELSE 'returned' END \
     WHEN OLD.state >= {dead} OR OLD.state = {failed} AND OLD.due_at > NEW.updated_at THEN 'retried' \
     WHEN OLD.state = {pending} THEN 'put off' \
     ELSE 'due' END, coalesce(NEW.node_id, OLD.node_id), NEW.fence, NEW.due_at); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_cancel AFTER UPDATE OF cancel_requested ON jobs \
     WHEN NEW.cancel_requested > OLD.cancel_requested BEGIN \
     INSERT INTO events (at, job_id, kind, node_id, fence) VALUES (NEW.updated_at, NEW.id, 'cancel requested', NEW.node_id, NEW.fence); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_removed AFTER DELETE ON jobs BEGIN \
     INSERT INTO events (at, job_id, kind, fence) VALUES (CAST(unixepoch('subsec') * 1000 AS INTEGER), OLD.id, 'purged', OLD.fence); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_queue_new AFTER INSERT ON queues WHEN NEW.paused_at IS NOT NULL BEGIN \
     INSERT INTO events (at, kind, detail) VALUES (NEW.paused_at, 'queue paused', \
     json_object('queue', NEW.name, 'by', NEW.paused_by, 'reason', NEW.pause_reason, 'until', nullif(NEW.paused_until, 9223372036854775807))); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_queue AFTER UPDATE ON queues WHEN NEW.paused_at IS NOT OLD.paused_at BEGIN \
     INSERT INTO events (at, kind, detail) VALUES (coalesce(NEW.paused_at, CAST(unixepoch('subsec') * 1000 AS INTEGER)), \
     CASE WHEN NEW.paused_at IS NULL THEN 'queue resumed' ELSE 'queue paused' END, \
     CASE WHEN NEW.paused_at IS NULL THEN json_object('queue', OLD.name) \
     ELSE json_object('queue', NEW.name, 'by', NEW.paused_by, 'reason', NEW.pause_reason, 'until', nullif(NEW.paused_until, 9223372036854775807)) END); END; \
     CREATE TRIGGER IF NOT EXISTS ledger_queue_gone AFTER DELETE ON queues WHEN OLD.paused_at IS NOT NULL BEGIN \
     INSERT INTO events (at, kind, detail) VALUES (CAST(unixepoch('subsec') * 1000 AS INTEGER), 'queue resumed', \
     json_object('queue', OLD.name)); END;"
);

/// Removes them.
pub const OFF: &str = "DROP TRIGGER IF EXISTS ledger_enqueued; DROP TRIGGER IF EXISTS ledger_changed; \
     DROP TRIGGER IF EXISTS ledger_cancel; DROP TRIGGER IF EXISTS ledger_removed; \
     DROP TRIGGER IF EXISTS ledger_queue_new; DROP TRIGGER IF EXISTS ledger_queue; \
     DROP TRIGGER IF EXISTS ledger_queue_gone;";
