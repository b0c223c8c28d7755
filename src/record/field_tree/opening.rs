//! What is published of a document, and the proof of one field against it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FieldTree, LOG2_MAX, Salt, Seed, field_leaf, shape};
use crate::merkle::{Hash, verify_inclusion};
use crate::record::canonical::{CanonicalError, to_jcs};
use crate::record::json::{self, JsonError, JsonLimits};
use crate::record::limits::{FIELD_PATHS_MAX_BYTES, JSON_MAX_DEPTH};

/// What is published of a field tree. As JSON: `{"root": base64, "log2": k}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    // In canonical order: entries hold commitments and are written without sorting.
    /// The row has 2^log2 leaves; 1 to 13 for a tree within the limits.
    pub log2: u8,
    /// The RFC 6962 tree hash over the padded row of leaves.
    #[serde(with = "hash_text")]
    pub root: Hash,
}

impl Commitment {
    /// Whether this commits to exactly that document under that seed: the check of whoever holds both.
    #[must_use]
    pub fn matches_document(&self, document: &Value, seed: &Seed) -> bool {
        FieldTree::of_document(document, seed).is_ok_and(|tree| tree.commitment() == *self)
    }
}

/// One field shown, with the proof that it belongs to a commitment.
///
/// As JSON: `{"path", "value", "salt": base64, "index", "proof": [base64]}`, the proof from the leaf's sibling
/// upwards. Read it with [`FieldOpening::parse`]: a lenient parser may change `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldOpening {
    /// RFC 6901 pointer; `""` for the shape and only for it.
    pub path: String,
    /// The field's value; for the shape the array of all paths.
    pub value: Value,
    /// The field's salt.
    pub salt: Salt,
    /// The field's place in the row; 0 for the shape and only for it.
    pub index: u32,
    /// The audit path, `log2` hashes.
    #[serde(with = "hashes_text")]
    pub proof: Vec<Hash>,
}

/// Why an opening proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// `log2` is 0 or beyond what the limits allow.
    #[error("the commitment's log2 is outside 1 to {LOG2_MAX}")]
    Commitment,
    /// The proof has not `log2` hashes.
    #[error("the proof does not have one hash for each level")]
    ProofLength,
    /// The index is beyond the row.
    #[error("the index is beyond the tree")]
    Index,
    /// The path is not a pointer, or is empty elsewhere than at index 0, or not empty there.
    #[error("the path is not one that a field at this index can have")]
    Path,
    /// The value has no canonical form.
    #[error("the value has no canonical form")]
    Value(#[source] CanonicalError),
    /// Path, value, salt, index and proof do not hash to the root.
    #[error("the field does not belong to this commitment")]
    NotIncluded,
}

/// Why a text is not an opening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningParseError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Members missing, unknown or of another type.
    #[error("not a field opening")]
    Form(#[source] serde_json::Error),
}

impl FieldOpening {
    /// Reads an opening from strict JSON. It is not verified.
    ///
    /// # Errors
    /// [`OpeningParseError`].
    pub fn parse(bytes: &[u8], limits: &JsonLimits) -> Result<Self, OpeningParseError> {
        let value = json::parse_with(bytes, limits)?;
        serde_json::from_value(value).map_err(OpeningParseError::Form)
    }

    /// Whether path and value are those of field `index` of the committed document.
    ///
    /// It says nothing about other fields: that no second field has the same path follows only from the shape
    /// ([`super::Shape`]).
    ///
    /// # Errors
    /// [`OpeningError`].
    pub fn verify(&self, commitment: &Commitment) -> Result<(), OpeningError> {
        if !(1..=LOG2_MAX).contains(&commitment.log2) {
            return Err(OpeningError::Commitment);
        }
        let size = 1u64 << commitment.log2;
        if self.proof.len() != usize::from(commitment.log2) {
            return Err(OpeningError::ProofLength);
        }
        if u64::from(self.index) >= size {
            return Err(OpeningError::Index);
        }
        let path_fits = self.path.len() <= FIELD_PATHS_MAX_BYTES
            && shape::is_pointer(&self.path)
            && shape::depth(&self.path) <= JSON_MAX_DEPTH
            && self.path.is_empty() == (self.index == 0);
        if !path_fits {
            return Err(OpeningError::Path);
        }
        let jcs = to_jcs(&self.value).map_err(OpeningError::Value)?;
        let leaf = field_leaf(&self.salt, self.path.as_bytes(), &jcs, &mut Vec::new());
        verify_inclusion(&leaf, u64::from(self.index), size, &self.proof, &commitment.root)
            .map_err(|_| OpeningError::NotIncluded)
    }
}

/// One hash as base64.
mod hash_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::merkle::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(hash, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Hash::from_base64(&text).map_err(|_| D::Error::custom("a hash is 32 bytes in base64"))
    }
}

/// A list of hashes as base64.
mod hashes_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::merkle::Hash;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let read = |text: &String| Hash::from_base64(text).ok();
        let hashes: Option<Vec<Hash>> = texts.iter().map(read).collect();
        hashes.ok_or_else(|| D::Error::custom("a proof is a list of hashes in base64"))
    }
}
