//! `dlq:list`, `dlq:show`, `dlq:retry`, `dlq:purge`: the dead letter queue.

pub mod list;
pub mod purge;
pub mod retry;
pub mod show;
