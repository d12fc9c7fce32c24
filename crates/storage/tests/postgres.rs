//! The conformance suite on PostgreSQL, and what only PostgreSQL has.

use queuectl_testkit::{TempStore, conformance_suite};

conformance_suite!(TempStore::postgres());
