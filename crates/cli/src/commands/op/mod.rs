//! `op:list`, `op:show`, `op:undo`, `op:resume`: what operators did, and the way back.

pub mod list;
pub mod resume;
pub mod show;
pub mod undo;

use std::io::{self, IsTerminal};

use anyhow::Result;
use queuectl_core::limits::OPERATION;
pub use queuectl_frontend::operation::view;
use queuectl_storage::{NewOperation, Operation, Store, Undo};

use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::number::whole;
use crate::operator;
use crate::output::diagnostics;

/// An operation as a command line names it.
#[derive(Debug, Clone, Copy)]
pub enum OneOperation {
    /// The one with this number.
    Number(i64),
    /// The newest.
    Last,
}

/// Reads a number, or `last`.
pub fn operation(text: &str) -> Result<OneOperation, String> {
    match text {
        "last" => Ok(OneOperation::Last),
        _ => whole::<i64>(OPERATION)(text)
            .map(OneOperation::Number)
            .map_err(|problem| format!("{problem}, or last")),
    }
}

impl OneOperation {
    /// Returns the operation. Fails if there is none.
    pub fn find(self, store: &mut Store) -> Result<Operation> {
        match self {
            OneOperation::Number(id) => Ok(store.operation(id)?),
            OneOperation::Last => {
                let newest = store.operations(None, false, 1)?.pop();
                let none = || Ended {
                    message: "there is no operation that can be looked up".to_owned(),
                    exit: Exit::NOT_FOUND,
                };
                Ok(newest.ok_or_else(none)?)
            }
        }
    }
}

/// Tells people at a terminal how to undo what they just did.
pub fn offer_undo(store: &mut Store, id: Option<i64>, context: &Context) {
    let Some(id) = id.filter(|_| io::stderr().is_terminal() && io::stdin().is_terminal()) else {
        return;
    };
    // What was done is done, whether this can be said or not.
    if let Ok(operation) = store.operation(id)
        && operation.undo == Undo::Possible
    {
        context
            .output
            .remark(&format!("`queuectl op:undo {id}` undoes this"));
    }
}

/// Counts what the store changes from now on as one operation, which is stored with the first change.
pub fn begin_operation(store: &mut Store, kind: &str, what: String) -> Result<()> {
    store.act_as(operator::name());
    let kind = kind.to_owned();
    store.begin_operation(NewOperation {
        kind,
        what,
        ..NewOperation::default()
    })?;
    Ok(())
}

/// Does something to many jobs as an operation, which can go on if it is cut off. Returns the number of that, too.
pub fn as_operation<T>(
    store: &mut Store,
    operation: NewOperation,
    act: impl FnOnce(&mut Store) -> Result<T>,
) -> Result<(T, Option<i64>)> {
    store.act_as(operator::name());
    let now = store.now()?;
    let id = store.open_operation(operation, now)?;
    match act(store) {
        Ok(done) => {
            store.end_operation(now)?;
            Ok((done, Some(id)))
        }
        Err(error) => {
            store.leave_operation();
            diagnostics::note(&format!(
                "operation {id} was cut off; `queuectl op:show {id}` says how far it is, `queuectl op:resume {id}` goes on with it"
            ));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_number_or_the_last() {
        assert!(matches!(operation("12"), Ok(OneOperation::Number(12))));
        assert!(matches!(operation("last"), Ok(OneOperation::Last)));
        for text in ["-1", "0", "newest", ""] {
            let said = operation(text).unwrap_err();
            assert!(said.ends_with(", or last"), "{text}: {said}");
        }
    }
}
