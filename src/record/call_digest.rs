//! The salted digests by which leaves name a call and its result.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::canonical::{write_jcs, write_jcs_string};
use super::entry::EntryError;
use super::field_tree::Seed;
use super::intent::Call;
use crate::merkle::Hash;

/// Salt of the digest of call `index`, from the seed of the declared document.
fn call_salt(seed: &Seed, index: u32) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"foreseal.callsalt.v1\0");
    hasher.update(seed.as_bytes());
    hasher.update(index.to_be_bytes());
    hasher.finalize().into()
}

/// Salted digest of a call: whoever holds the call and its salt recognises it, nobody can guess it.
///
/// # Errors
/// [`EntryError::Shape`] when the arguments have no canonical form (they come from strict JSON, so they have).
pub fn call_digest(seed: &Seed, index: u32, call: &Call) -> Result<Hash, EntryError> {
    changed_call_digest(seed, index, call, &call.args)
}

/// Salted digest of a call with other arguments than those declared: what a leaf names where rules changed the call.
///
/// # Errors
/// As [`call_digest`].
pub fn changed_call_digest(seed: &Seed, index: u32, call: &Call, args: &Value) -> Result<Hash, EntryError> {
    // The canonical form of {"args", "server", "tool"}, without a copy of the arguments.
    let mut canonical = b"{\"args\":".to_vec();
    write_jcs(args, &mut canonical)
        .map_err(|e| EntryError::Shape { kind: "intent".to_owned(), problem: e.to_string() })?;
    canonical.extend_from_slice(b",\"server\":");
    write_jcs_string(&call.server, &mut canonical);
    canonical.extend_from_slice(b",\"tool\":");
    write_jcs_string(&call.tool, &mut canonical);
    canonical.push(b'}');
    let mut hasher = Sha256::new();
    hasher.update(b"foreseal.call.v1\0");
    hasher.update(call_salt(seed, index));
    hasher.update(&canonical);
    Ok(Hash(hasher.finalize().into()))
}

/// Salted digest of the result of call `index`, from the seed of the outcome's record.
///
/// # Errors
/// [`EntryError::Shape`] when the result has no canonical form (it comes from strict JSON, so it has).
pub fn result_digest(seed: &Seed, index: u32, result: &Value) -> Result<Hash, EntryError> {
    let mut canonical = Vec::new();
    write_jcs(result, &mut canonical)
        .map_err(|e| EntryError::Shape { kind: "outcome".to_owned(), problem: e.to_string() })?;
    let mut hasher = Sha256::new();
    hasher.update(b"foreseal.result.v1\0");
    hasher.update(call_salt(seed, index));
    hasher.update(&canonical);
    Ok(Hash(hasher.finalize().into()))
}
