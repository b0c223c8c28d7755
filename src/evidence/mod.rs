//! Evidence: receipts, answers, bundles and whole logs, made by the service and verified by anyone, offline.
//!
//! Does: encode and parse tlog-proof receipts and answers; verify them against a trust policy the verifier
//! already holds; make and verify bundles; audit a log leaf by leaf; copy a log as plain tiles; report check by check,
//! with what was *not* checked.
//! Does not: read files or the network (it is handed bytes, a [`bundle::ByteSource`] or a [`audit::LogReader`]), take a key from the
//! evidence it verifies, or decide anything about policy.
//! May use: merkle, note, record, policy.
//!
//! Invariants:
//! - without a trust policy nothing is valid: the verdict is "could not decide";
//! - hash first, parse after: bytes that are not the proven leaf are proven invalid, whatever they say;
//! - every report ends with the exact list of what was not checked.

pub mod answer;
pub mod audit;
pub mod bundle;
pub mod mirror;
pub mod receipt;
pub mod report;
pub mod verify;

pub use answer::Answer;
pub use receipt::Receipt;
pub use report::{Check, Coverage, Report, Verdict};
