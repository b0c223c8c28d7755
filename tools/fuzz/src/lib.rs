//! What must hold of every parser and every verifier, whatever the bytes: it ends, it does not panic, what it accepts it
//! writes again as it was, and no change of something valid is taken for valid. One function a target; `fuzz_targets/` gives
//! each to libFuzzer.
//!
//! Two ways to use the fuzzer's bytes: as the input itself, and as a list of edits to an input that is known to be valid
//! ([`edits`]). The second gets behind signatures, tags and hashes, where made-up bytes never come.
//!
//! All of this goes through the library's public surface. Nothing is opened up for fuzzing: files are put on the simulated
//! disk that the library's own tests use, and checksums are made to fit where a parser would look at nothing behind a wrong
//! one.

mod at_rest;
mod bundles;
mod edits;
mod evidence;
#[cfg(feature = "policy")]
mod facts;
#[cfg(feature = "policy")]
mod policy;
mod records;
mod texts;
mod trees;

pub use at_rest::{frame, journal, keys, packs, snapshot};
pub use bundles::bundle;
pub use evidence::{answer, declared, log};
#[cfg(feature = "policy")]
pub use facts::{detectors, grounding, tools};
#[cfg(feature = "policy")]
pub use policy::policy;
pub use records::{canonical, chain, disclosure, entry, intent, opening, statement, strict_json, testimony};
pub use texts::{checkpoint, headers, note, receipt, time, trust, vkey};
pub use trees::{entry_bundle, proof, tile};

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A test vector of the repository, parsed.
macro_rules! vector {
    ($path:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!("../../../tests/vectors/", $path)))
            .expect("vectors are JSON")
    };
}
use vector;

/// A string member of a vector.
fn member<'v>(vector: &'v serde_json::Value, pointer: &str) -> &'v str {
    vector.pointer(pointer).and_then(serde_json::Value::as_str).expect("the vector has this text")
}

/// A base64 member of a vector.
fn bytes_of(vector: &serde_json::Value, pointer: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(member(vector, pointer))
        .expect("the vector has this base64")
}
