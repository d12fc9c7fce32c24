//! `dlq:list`, `dlq:causes`, `dlq:show`, `dlq:retry`, `dlq:purge`: the dead letter queue.

pub mod causes;
pub mod list;
pub mod narrow;
pub mod purge;
pub mod retry;
pub mod show;
