//! Promised: over gRPC the service says what it says over HTTP, in order and bounded where it streams; a stream tells
//! why it ends, and what was answered is sealed however it ends. The real binary, real sockets on loopback.
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

#[allow(dead_code, reason = "shared with tests/e2e.rs, which uses all of it")]
#[path = "e2e/agents.rs"]
mod agents;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/described.rs"]
mod described;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/http.rs"]
mod http;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/process.rs"]
mod process;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/signing.rs"]
mod signing;

#[path = "grpc/client.rs"]
mod client;
#[path = "grpc/deadlines.rs"]
mod deadlines;
#[path = "grpc/ending.rs"]
mod ending;
#[path = "grpc/following.rs"]
mod following;
#[path = "grpc/health.rs"]
mod health;
#[path = "grpc/intents.rs"]
mod intents;
#[path = "grpc/raw.rs"]
mod raw;
#[path = "grpc/refusals.rs"]
mod refusals;
#[path = "grpc/signed.rs"]
mod signed;
#[path = "grpc/streams.rs"]
mod streams;
