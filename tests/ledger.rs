//! The ledger keeps what it acknowledged, in the order it acknowledged it, under heads that never disagree: whatever
//! is submitted, whenever it is killed, whatever the disk does. What it cannot keep it refuses, and what it serves is
//! right or an error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
#![cfg(feature = "server")]

#[path = "ledger/damage.rs"]
mod damage;
#[path = "ledger/faults.rs"]
mod faults;
#[path = "ledger/harness.rs"]
mod harness;
#[path = "ledger/model.rs"]
mod model;
#[path = "ledger/smoke.rs"]
mod smoke;
