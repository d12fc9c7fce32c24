//! What kind of error the store gave, for exit statuses and the statuses of HTTP, which say the same thing in two ways.

use queuectl_storage::{Problem, StoreError};

/// A kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A mistake in what was asked for.
    Usage,
    /// There is no such thing.
    NotFound,
    /// It is there already, or its state does not allow it.
    Conflict,
    /// The queue cannot be used.
    Unusable,
    /// The queue cannot be used right now.
    Unavailable,
    /// A job may or may not be stored.
    Unsure,
    /// A bug in queuectl.
    Internal,
}

/// Returns what kind of error it is.
pub fn kind(error: &StoreError) -> Kind {
    match error {
        StoreError::BadLocation(_)
        | StoreError::BadServer(_)
        | StoreError::BadParameter(_)
        | StoreError::NoFile
        | StoreError::NotWithin(_)
        | StoreError::BadSchedule { .. }
        | StoreError::BadCallback { .. }
        | StoreError::Cycle { .. }
        | StoreError::TooManyDependants { .. }
        | StoreError::LongPath { .. }
        | StoreError::LimitKey { .. }
        | StoreError::QueueBurst { .. }
        | StoreError::Limit(_) => Kind::Usage,
        StoreError::NoSuchJob(_)
        | StoreError::NoSuchParent { .. }
        | StoreError::NoSuchNode(_)
        | StoreError::NoSuchLimit { .. }
        | StoreError::NoSuchGroup(_)
        | StoreError::NoSuchHook(_)
        | StoreError::NoSuchToken(_)
        | StoreError::NoSuchOperation(_)
        | StoreError::NoSuchSchedule(_) => Kind::NotFound,
        StoreError::NameTaken { .. }
        | StoreError::KeyTaken { .. }
        | StoreError::KeyHeld { .. }
        | StoreError::Refused { .. }
        | StoreError::LeftAlone { .. }
        | StoreError::NotEdited { .. }
        | StoreError::NotStarted { .. }
        | StoreError::Operation { .. }
        | StoreError::NoProcesses { .. }
        | StoreError::NotSuspended { .. }
        | StoreError::StaleReport { .. }
        | StoreError::NodesLive
        | StoreError::TooMany { .. }
        | StoreError::ScheduleTaken(_)
        | StoreError::GroupTaken(_)
        | StoreError::GroupClosed { .. }
        | StoreError::GroupStopped { .. }
        | StoreError::GroupBusy { .. }
        | StoreError::TooManySchedules
        | StoreError::HookTaken(_)
        | StoreError::TooManyHooks
        | StoreError::TokenTaken(_)
        | StoreError::TooManyTokens
        | StoreError::NotEmpty
        | StoreError::TooManyLimits
        | StoreError::Exists(_) => Kind::Conflict,
        StoreError::Missing
        | StoreError::Unfinished
        | StoreError::Emptied(_)
        | StoreError::Replaced { .. }
        | StoreError::NotADatabase
        | StoreError::Foreign
        | StoreError::NewerSchema { .. }
        | StoreError::OlderSchema { .. }
        | StoreError::CopyDiffers
        | StoreError::Encoding(_)
        | StoreError::NoPostgres(_)
        | StoreError::UnreadableTick { .. }
        | StoreError::Unreadable { .. } => Kind::Unusable,
        StoreError::File { .. } | StoreError::AnswerTaken => Kind::Unavailable,
        StoreError::MaybeStored { .. } => Kind::Unsure,
        StoreError::SqliteTooOld { .. } | StoreError::Migration(_) => Kind::Internal,
        StoreError::Database { problem, .. } => match problem {
            Problem::Corrupt | Problem::Pooled | Problem::Gone => Kind::Unusable,
            Problem::Refused => Kind::Usage,
            Problem::DiskFull
            | Problem::ReadOnly
            | Problem::Descriptors
            | Problem::FileLimit
            | Problem::Io
            | Problem::Busy
            | Problem::Unreachable
            | Problem::Overloaded
            | Problem::Standby
            | Problem::Denied => Kind::Unavailable,
            Problem::Other => Kind::Internal,
        },
    }
}
