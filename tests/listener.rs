//! Promised: who holds a connection, an answer or the queue cannot make others wait for ever, and what waits for the disk
//! is not answered before it is there. The listener as the service has it, over real sockets, with limits that a test
//! can wait for; the limits that are shipped are tested in `tests/e2e/listening.rs`.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    missing_docs
)]

#[path = "listener/connections.rs"]
mod connections;
#[path = "listener/gated_disk.rs"]
mod gated_disk;
#[path = "listener/pending.rs"]
mod pending;
#[path = "listener/serving.rs"]
mod serving;
