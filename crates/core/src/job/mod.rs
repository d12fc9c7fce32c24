//! A job on its way: as a user describes it ([`JobSpec`]), checked ([`ValidJob`]), and as the store knows it ([`Job`]).

mod payload;
mod secrets;
mod spec;
mod stored;
mod valid;

pub use payload::{Command, Payload};
pub use secrets::Shown;
pub use spec::{JobSpec, Start};
pub use stored::Job;
pub use valid::{JobError, ValidJob};
