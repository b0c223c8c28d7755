//! Foreseal seals what an AI agent intends to do, and decides whether it may, before it does it.
//!
//! # The rooms
//! Arrows go from a row to rows above it only; `tests/architecture.rs` holds that.
//!
//! | room | purpose | may use |
//! |---|---|---|
//! | [`merkle`] | RFC 6962 hashes, frontier, proofs, tile arithmetic; pure | – |
//! | [`note`] | signed notes, checkpoints, cosignatures, keys, trust policies; pure | merkle |
//! | [`record`] | the nouns: intent, decision, entries, limits, strict JSON, field tree; pure | merkle |
//! | `policy` | Cedar bundles; (intent, facts, policy) -> decision; pure | record |
//! | [`evidence`] | receipts, answers, bundles: make, and verify offline | merkle note record policy |
//! | [`disk`] | the only `std::fs` and fsync; real and fault-injecting | – |
//! | [`journal`] | durable frames in segments; knows bytes, not intents | disk |
//! | [`ledger`] | sequencer, committer, state, snapshots, tiles, index, keyring, recovery, fsck | all above |
//! | `service` | use cases and who may do them; one error type | ledger and below |
//! | `api` | HTTP and gRPC: translate, nothing else | service |
//! | [`cli`] | commands; arguments, config, clock, signals | everything |

#[cfg(feature = "server")]
pub mod api;
pub mod cli;
pub mod disk;
pub mod evidence;
pub mod journal;
pub mod ledger;
pub mod merkle;
pub mod note;
#[cfg(feature = "replay")]
pub mod policy;
pub mod record;
#[cfg(feature = "server")]
pub mod service;
