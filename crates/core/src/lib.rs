//! The job model of queuectl: ids, states and their transitions, outcomes, settings, time and limits.
//!
//! Everything here is plain data and pure functions. This crate does no I/O: no SQL, no files, no processes, no clock
//! but the one behind [`Clock`]. Every other crate builds on these types, so a job means the same thing in the store, in a
//! worker process and in the JSON that a user reads.

mod dead_letter;
mod duration;
mod executor_setting;
pub mod explain;
pub mod gates;
pub mod group;
mod id;
mod job;
pub mod json;
mod label;
mod limit;
pub mod limits;
mod outcome;
mod output_index;
mod queue_limit;
mod queue_setting;
mod quote;
pub mod range;
mod rate;
mod reason;
mod redact;
mod report;
pub mod schedule;
pub mod selector;
pub mod settings;
mod state;
mod terminal_size;
mod time;
mod token;
pub mod transition;
mod unique;
pub mod varint;

pub use dead_letter::{DeathId, IMPORTED_FROM};
pub use duration::{parse_duration, show_left, show_rough, show_short, show_time, whole_ms};
pub use executor_setting::{ExecutorSetting, ExecutorSettingError};
pub use gates::{BlockedBy, Gates, Waits};
pub use id::{
    ExecutorName, GroupName, HookName, IdError, JobId, JobName, JobRef, NodeId, OwnerName, QueueName,
    ScheduleName, TokenName,
};
pub use job::{
    After, Alert, Command, Condition, EDITABLE, EnqueuedBy, FIELDS, Field, Form, Hook, HookOn, HookOns, Job,
    JobEdit, JobError, JobHooks, JobSpec, Payload, Shown, Start, Unmet, UnmetParent, ValidJob, check_hook,
    find_cycle, is_editable,
};
pub use label::{LabelError, LabelMatch, check_label};
pub use limit::{Busy, Limit, LimitChange, LimitError, LimitKey, LimitName};
pub use outcome::{Advice, Attempt, Outcome, OutcomeKind, Output};
pub use output_index::{INDEX_EXTENSION, IndexWriter, OutputIndex, OutputMark, OutputStream};
pub use queue_limit::{BurstAlone, QueueLimit, QueueLimitChange, QueueLimitKey};
pub use queue_setting::{Origin, QueueSetting};
pub use quote::{excerpt, quote_argv};
pub use rate::Rate;
pub use reason::parse_reason;
pub use redact::{HIDDEN, SECRET_NAMES};
pub use report::{JobProgress, JobReport, parse_checkpoint, parse_message, parse_percent, parse_result};
pub use selector::{Selector, SelectorError};
pub use settings::Settings;
pub use state::{State, UnknownState};
pub use terminal_size::TerminalSize;
pub use time::{Clock, SystemClock, Timestamp, parse_time};
pub use token::{Role, Roles, Token, TokenScope, UnknownRole};
pub use transition::{Event, Refused, Resume, Transition, transition};
pub use unique::{KeyError, OnConflict, UniqueKey};
