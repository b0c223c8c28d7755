//! The nouns: intents, decisions, entries, and what they are made of.
//!
//! Does: strict JSON ([`json`]), canonical JSON ([`canonical`]), instants ([`time`]), every limit ([`limits`]), the
//! field tree that commits to a document ([`field_tree`]), the declared document ([`intent`]), its signature
//! ([`statement`]), what applications and tool servers say ([`session`]), what was decided ([`decision`], [`evaluation`]), log entries ([`entry`]) and the links between them ([`chain`]).
//!
//! Does not: no I/O, no clock, no randomness, no policy; it signs nothing and encrypts nothing.
//!
//! May use: `merkle`.
//!
//! Invariants:
//! - What [`json::parse`] accepts is one value on every implementation; `parse(to_jcs(v)) == v`.
//! - One commitment stands for one document: two documents with one root would be a collision of SHA-256.
//! - Nothing depends on the iteration order of a JSON object, nor on the features of other crates.
//! - An [`entry::Entry`] that parses re-encodes to the same bytes, unknown ones apart, which are only carried.

mod call_digest;
pub mod canonical;
pub mod chain;
pub mod decision;
pub mod entry;
pub mod evaluation;
pub mod field_tree;
pub mod intent;
pub mod json;
pub mod limits;
pub mod session;
mod session_tag;
pub mod statement;
pub mod time;
