//! A job on its way: as a user describes it ([`JobSpec`]), checked ([`ValidJob`]), and as the store knows it ([`Job`]).

mod again;
mod form;
mod from_json;
mod other_names;
mod payload;
mod secrets;
mod spec;
mod stored;
mod to_json;
mod valid;

pub use form::{Field, Form};
pub use payload::{Command, Payload};
pub use secrets::Shown;
pub use spec::{FIELDS, JobSpec, Start};
pub use stored::Job;
pub use valid::{JobError, ValidJob};
