//! A job on its way: as a user describes it ([`JobSpec`]), checked ([`ValidJob`]), and as the store knows it ([`Job`]).

mod after;
mod edit;
mod error;
mod form;
mod from_json;
mod graph;
mod hook;
mod other_names;
mod payload;
mod secrets;
mod spec;
mod stored;
mod to_json;
mod valid;

pub use after::{After, Condition, Unmet};
pub use edit::{EDITABLE, JobEdit, is_editable};
pub use error::JobError;
pub use form::{Field, Form};
pub use graph::find_cycle;
pub use hook::{Alert, EnqueuedBy, Hook, HookOn, HookOns, JobHooks};
pub use payload::{Command, Payload};
pub use secrets::Shown;
pub use spec::{FIELDS, JobSpec, Start};
pub use stored::{Job, UnmetParent};
pub use valid::{ValidJob, check_hook};
