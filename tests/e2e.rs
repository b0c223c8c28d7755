//! Promised: the program as it is shipped does what the README says, seen from outside. The real binary, real sockets on
//! loopback, real files, real signals; nothing of the library but what a verifier would use, and the table of error codes.
//!
//! Every wait has an end, and every process is killed by its own handle, so that a hanging service fails a test instead
//! of hanging the run.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    missing_docs
)]

#[path = "e2e/agents.rs"]
mod agents;
#[path = "e2e/described.rs"]
mod described;
#[path = "e2e/http.rs"]
mod http;
#[path = "e2e/process.rs"]
mod process;
#[path = "e2e/signing.rs"]
mod signing;

#[path = "e2e/backups.rs"]
mod backups;
#[path = "e2e/bad_policies.rs"]
mod bad_policies;
#[path = "e2e/bundles.rs"]
mod bundles;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/demo.rs"]
mod demo;
#[path = "e2e/errors.rs"]
mod errors;
#[path = "e2e/evidence.rs"]
mod evidence;
#[path = "e2e/export_tiles.rs"]
mod export_tiles;
#[path = "e2e/failed_writes.rs"]
mod failed_writes;
#[path = "e2e/leaves.rs"]
mod leaves;
#[path = "e2e/listening.rs"]
mod listening;
#[path = "e2e/log_reads.rs"]
mod log_reads;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/outcomes.rs"]
mod outcomes;
#[path = "e2e/policies.rs"]
mod policies;
#[path = "e2e/retries.rs"]
mod retries;
#[path = "e2e/secrecy.rs"]
mod secrecy;
#[path = "e2e/sessions.rs"]
mod sessions;
#[path = "e2e/signed.rs"]
mod signed;
#[path = "e2e/starting.rs"]
mod starting;
#[path = "e2e/surface.rs"]
mod surface;
#[path = "e2e/tls.rs"]
mod tls;
#[path = "e2e/walking.rs"]
mod walking;
