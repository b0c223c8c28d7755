//! The service, over the wire.
//!
//! Does: translate requests into use cases of [`crate::service`] and their results into responses.
//!
//! Does not: decide, store, or authenticate by itself; nothing here is more than translation.
//!
//! May use: service, and the types it hands out (record, evidence, merkle).
//!
//! Invariants:
//! - Every body is capped before it is read, and read only for whoever has a credential; every request has an end, and
//!   streams end when the service stops.
//! - Every error has a code of `docs/errors.md`: over HTTP in an RFC 9457 problem, over gRPC beside its status.

mod failures;
pub mod grpc;
pub mod http;
