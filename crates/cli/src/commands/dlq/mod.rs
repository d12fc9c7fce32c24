//! `dlq:list`, `dlq:causes`, `dlq:show`, `dlq:retry`, `dlq:purge`, `dlq:export`, `dlq:import`: the dead letter queue.

pub mod causes;
pub mod export;
pub mod import;
pub mod list;
pub mod narrow;
pub mod purge;
pub mod retry;
pub mod show;
