//! The service, over the wire.
//!
//! Does: translate requests into use cases of [`crate::service`] and their results into responses.
//!
//! Does not: decide, store, or authenticate by itself; nothing here is more than translation.
//!
//! May use: service, and the types it hands out (record, evidence, merkle).
//!
//! Invariants:
//! - Every body is capped before it is read, every request has an end.
//! - Every error is an RFC 9457 problem with a code of `docs/errors.md`.

pub mod http;
