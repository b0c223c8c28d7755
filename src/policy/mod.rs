//! Room `policy`: may this intent run? (intent, facts, bundle) -> decision.
//!
//! It reads bundles of Cedar rules ([`Bundle::load`]), makes them ready ([`Engine::new`]), decides intents
//! ([`Engine::decide`]), derives verdicts again from what was sealed ([`Engine::decide_request`]) and says why they are so
//! ([`Engine::explain`]).
//!
//! # What it does not do
//! No clock, no I/O, no randomness: time comes with the input, files arrive as bytes. (Loading uses a thread,
//! only for its stack.) It does not parse intents, verify signatures, know sessions or remember anything
//! between two decisions.
//!
//! # Whom it may use
//! `record`, for the nouns of a decision.
//!
//! # Invariants
//! - Nothing is allowed unless a permit matched, no rule erred, and no forbid matched. Cedar skips a forbid
//!   that errs and may then answer Allow; here any error denies the call and names the rule.
//! - An agent's JSON never meets Cedar's JSON reader. Values are built by hand from the tool's declared
//!   schema, exactly or not at all; what has no exact form is absent and listed.
//! - A bundle is active only if every rule passes strict validation against the schema that its tools
//!   generate, every annotation is known, and every name it uses exists.
//! - Slicing rules and contexts changes no verdict.
//! - The same input gives the same bytes, in whatever order its maps came.

mod annotation;
mod argument_path;
mod bundle;
mod cases;
mod diff;
mod engine;
mod explain;
mod expression;
mod facts;
mod fault;
mod finding;
pub mod import;
mod json;
mod labels;
mod lint;
mod manifest;
mod mention;
mod named;
mod plan;
mod proofs;
#[cfg(feature = "prove")]
pub mod prove;
pub mod provenance;
pub mod registry;
mod request;
mod rule;
pub mod scan;
mod schema;
mod scope;
mod sentence;
mod shape;
pub mod signals;
mod spend;
mod tools;
mod transform;
mod value;
mod verdict;
mod version;

pub use bundle::Bundle;
pub use cases::FailedTest;
pub use diff::{Aspect, Change, Direction, diff};
pub use engine::{Engine, Evaluated};
pub use explain::{Alternative, ExplainedRule, Explanation, LookedAt, OtherFact};
pub use facts::{Knowledge, PlanView, PrincipalFacts, RateFacts, SessionFacts};
pub use fault::{BundleError, Fault, FaultKind, Place, Warning};
pub use finding::{Finding, Severity, Threat, shown};
pub use labels::Labels;
pub use manifest::{Author, Manifest, Mode, author_key, sign_bundle};
pub use plan::{Plan, PlanError, PlanState, Standing};
pub use proofs::{Claim, Condition, Property};
pub use request::{AgentFacts, CallView, Claimed, DecideInput, RequestError};
pub use sentence::{NewRule, SentenceError, rule_of};
pub use spend::Spent;
pub use tools::{Tool, action_id, tools_of};
pub use verdict::{Matched, Verdict};
pub use version::{ENGINE_VERSION, FACTS_VERSION, FactsForm};
