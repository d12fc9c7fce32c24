//! What an operator did, as it is shown.

use queuectl_storage::{Operation, OperationState, Undo};
use queuectl_views::OperationView;

/// Returns an operation as it is shown.
pub fn view(operation: Operation) -> OperationView {
    let (not_undoable, undone_by) = match &operation.undo {
        Undo::Possible => (None, None),
        Undo::Impossible(why) => (Some(why.clone()), None),
        Undo::Undone(by) => (Some(format!("it was undone by operation {by}")), Some(*by)),
    };
    OperationView {
        id: operation.id,
        kind: operation.kind,
        what: operation.what,
        by: operation.by,
        at: operation.at,
        updated_at: operation.updated_at,
        ended: operation.state == OperationState::Done,
        total: operation.total,
        jobs: operation.done.changed,
        stopping: operation.done.requested,
        left: operation.done.held_back,
        kept: operation.kept,
        kept_bytes: operation.kept_bytes,
        undoable: operation.undo == Undo::Possible,
        not_undoable,
        undo_of: operation.undo_of,
        undone_by,
    }
}
