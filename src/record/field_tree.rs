//! The field tree: one commitment to a JSON document, of which any field can be shown or withheld alone.
//!
//! The format is `docs/format.md`, section "Field tree". In short: a document's fields are its scalars and its
//! empty containers at their RFC 6901 paths, in byte order of the path; field 0, the *shape*, lists those paths; each
//! field is hashed with a salt of its own, the row is padded to a power of two with salted padding, and the RFC 6962
//! tree hash over it is the root. Salts come from a 32-byte [`Seed`]: who holds it opens everything, who holds one
//! [`FieldOpening`] learns that field and, of the rest, only how many doublings there are.
//!
//! Three rules keep one root from standing for two documents:
//! - a document is an object with at least one member (the path of anything else would be the shape's own);
//! - containers are not committed, so the shape names each object whose member names are `0`, `1`, … and which would
//!   otherwise read as an array;
//! - values are committed in canonical form, and what has none is refused.

mod disclosure;
mod fields;
mod opening;
mod seed;
mod shape;

use std::fmt;

use serde_json::Value;

use fields::Fields;

use super::canonical::{self, CanonicalError, write_jcs};
use super::json::{self, JsonLimits};
use super::limits::{FIELD_PATHS_MAX_BYTES, FIELDS_MAX, JSON_MAX_DEPTH};
use crate::merkle::{Hash, leaf_hash, node_hash};

pub use disclosure::{Disclosure, DisclosureError};
pub use opening::{Commitment, FieldOpening, OpeningError, OpeningParseError};
pub use seed::{Salt, Seed, SeedError};
pub use shape::{Presence, Shape, ShapeError};

const FIELD_TAG: &[u8] = b"foreseal.field.v1\0";
const PAD_TAG: &[u8] = b"foreseal.pad.v1\0";
/// Doublings of the largest tree: its fields, its shape, padded.
const LOG2_MAX: u8 = 13;
const _: () = assert!(1 << LOG2_MAX == (FIELDS_MAX + 1).next_power_of_two());

/// One field as [`FieldTree::commit`] takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// RFC 6901 pointer, not empty.
    pub path: String,
    /// The value in canonical form (RFC 8785).
    pub jcs: Vec<u8>,
}

/// Why there is no tree over a document or a list of fields. Paths are cut after 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldTreeError {
    /// The document is an array or a scalar.
    #[error("only an object can be committed to")]
    NotAnObject,
    /// `{}`, or no fields.
    #[error("there is no field to commit to")]
    Empty,
    /// More than [`FIELDS_MAX`] fields.
    #[error("more than {FIELDS_MAX} fields")]
    TooManyFields,
    /// Paths of more than [`FIELD_PATHS_MAX_BYTES`] together.
    #[error("the paths of all fields are longer than {FIELD_PATHS_MAX_BYTES} bytes together")]
    PathsTooLong,
    /// More than [`JSON_MAX_DEPTH`] containers within each other, or reference tokens in a path.
    #[error("nested deeper than {JSON_MAX_DEPTH}")]
    TooDeep,
    /// The value has no canonical form.
    #[error("the value at {path:?} has no canonical form")]
    Value {
        /// Where.
        path: String,
        /// Why.
        source: CanonicalError,
    },
    /// The bytes given for a field are not canonical JSON.
    #[error("the bytes given for {path:?} are not canonical JSON")]
    NotCanonical {
        /// Where.
        path: String,
    },
    /// Not an RFC 6901 pointer, or the empty one.
    #[error("{path:?} is not the path of a field")]
    PathSyntax {
        /// Which.
        path: String,
    },
    /// Paths out of byte order, or one given twice.
    #[error("{path:?} does not follow the path before it in byte order")]
    PathOrder {
        /// The later one.
        path: String,
    },
    /// One path lies within another, so that a place would have two values.
    #[error("{path:?} lies within another field")]
    PathOverlap {
        /// The inner one.
        path: String,
    },
}

/// The committed document: its fields, its hashes and its seed, from which any field can be opened.
///
/// It holds what it commits to in the clear. Only the seed is wiped when it is dropped.
pub struct FieldTree {
    seed: Seed,
    fields: Fields,
    /// Hashes by level: the padded leaves first, the two below the root last.
    levels: Vec<Vec<Hash>>,
    commitment: Commitment,
}

impl FieldTree {
    /// Commits to a document: an object with at least one member.
    ///
    /// # Errors
    /// [`FieldTreeError`]; the limits are checked before anything is copied or hashed.
    pub fn of_document(document: &Value, seed: &Seed) -> Result<Self, FieldTreeError> {
        let Value::Object(members) = document else { return Err(FieldTreeError::NotAnObject) };
        if members.is_empty() {
            return Err(FieldTreeError::Empty);
        }
        let (fields, objects) = Fields::of_document(document)?;
        Ok(Self::hash(fields, objects, seed))
    }

    /// Commits to fields that the caller cut itself, whose values may be whole containers.
    ///
    /// The paths come strictly increasing in byte order, none within another. A container whose member names are
    /// `0`, `1`, … reads as an array.
    ///
    /// # Errors
    /// [`FieldTreeError`]; for each value also when its bytes are not canonical.
    pub fn commit(fields: Vec<Field>, seed: &Seed) -> Result<Self, FieldTreeError> {
        check_paths(fields.iter().map(|f| f.path.as_str()))?;
        let mut held = Fields::default();
        for Field { path, jcs } in fields {
            if !canonical::is_canonical(&jcs) {
                return Err(FieldTreeError::NotCanonical { path: shorten(&path) });
            }
            held.push(&path, |bytes| {
                bytes.extend_from_slice(&jcs);
                Ok(())
            })?;
        }
        Ok(Self::hash(held, Vec::new(), seed))
    }

    /// As [`FieldTree::commit`], with values yet to be written: each one whole, as a single field.
    ///
    /// # Errors
    /// [`FieldTreeError`].
    pub fn of_groups(groups: Vec<(String, Value)>, seed: &Seed) -> Result<Self, FieldTreeError> {
        check_paths(groups.iter().map(|(path, _)| path.as_str()))?;
        let mut held = Fields::default();
        for (path, value) in groups {
            held.push(&path, |bytes| write_jcs(&value, bytes))?;
        }
        Ok(Self::hash(held, Vec::new(), seed))
    }

    /// As [`FieldTree::of_groups`], for values that this crate wrote in canonical form itself: they are not read again.
    ///
    /// # Errors
    /// [`FieldTreeError`].
    #[cfg(feature = "server")]
    pub(crate) fn of_written(groups: &[Field], seed: &Seed) -> Result<Self, FieldTreeError> {
        check_paths(groups.iter().map(|group| group.path.as_str()))?;
        let mut held = Fields::default();
        for group in groups {
            held.push(&group.path, |bytes| {
                bytes.extend_from_slice(&group.jcs);
                Ok(())
            })?;
        }
        Ok(Self::hash(held, Vec::new(), seed))
    }

    /// What is published.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.commitment
    }

    /// How many fields there are, the shape not counted.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.fields.spans.len().saturating_sub(1)
    }

    /// The fields' paths in order, the shape's (`""`) first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.spans.iter().map(|span| self.fields.path(span))
    }

    /// Opens one field; `""` opens the shape. `None` where there is no field at that path.
    #[must_use]
    pub fn open(&self, path: &str) -> Option<FieldOpening> {
        let index = self.fields.spans.binary_search_by(|span| self.fields.path(span).cmp(path)).ok()?;
        let jcs = self.fields.jcs(self.fields.spans.get(index)?);
        let any_length = JsonLimits { max_bytes: usize::MAX, ..JsonLimits::default() };
        let value = json::parse_with(jcs, &any_length).ok()?;
        let mut proof = Vec::with_capacity(usize::from(LOG2_MAX));
        for (height, level) in self.levels.iter().enumerate() {
            proof.push(*level.get((index >> height) ^ 1)?);
        }
        let index = u32::try_from(index).ok()?;
        Some(FieldOpening { path: path.to_owned(), value, salt: self.seed.salt(index), index, proof })
    }

    /// Adds the shape to sorted fields and hashes all of it.
    fn hash(mut fields: Fields, objects: Vec<String>, seed: &Seed) -> Self {
        fields.add_shape(objects);
        let width = fields.spans.len().next_power_of_two();
        let mut leaves = Vec::with_capacity(width);
        let mut scratch = Vec::with_capacity(256);
        for index in 0..u32::try_from(width).unwrap_or(u32::MAX) {
            let salt = seed.salt(index);
            leaves.push(match fields.spans.get(leaves.len()) {
                Some(span) => field_leaf(&salt, fields.path(span).as_bytes(), fields.jcs(span), &mut scratch),
                None => pad_leaf(&salt, &mut scratch),
            });
        }
        // There is at least the shape, so a power of two of leaves halves down to one.
        let mut levels = Vec::with_capacity(usize::from(LOG2_MAX));
        let mut level = leaves;
        let root = loop {
            if let [] | [_] = level.as_slice() {
                break level.first().copied().unwrap_or(Hash([0; 32]));
            }
            let (pairs, _) = level.as_chunks::<2>();
            let above = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(std::mem::replace(&mut level, above));
        };
        let commitment = Commitment { root, log2: u8::try_from(levels.len()).unwrap_or(u8::MAX) };
        Self { seed: seed.clone(), fields, levels, commitment }
    }
}

impl fmt::Debug for FieldTree {
    /// The commitment and the number of fields: nothing that is committed to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldTree")
            .field("commitment", &self.commitment)
            .field("field_count", &self.field_count())
            .finish_non_exhaustive()
    }
}

/// Leaf hash of one field. `scratch` is overwritten.
fn field_leaf(salt: &Salt, path: &[u8], jcs: &[u8], scratch: &mut Vec<u8>) -> Hash {
    // Paths are bounded by FIELD_PATHS_MAX_BYTES wherever they enter.
    let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
    scratch.clear();
    scratch.extend_from_slice(FIELD_TAG);
    scratch.extend_from_slice(salt.as_bytes());
    scratch.extend_from_slice(&length.to_be_bytes());
    scratch.extend_from_slice(path);
    scratch.extend_from_slice(jcs);
    leaf_hash(scratch)
}

fn pad_leaf(salt: &Salt, scratch: &mut Vec<u8>) -> Hash {
    scratch.clear();
    scratch.extend_from_slice(PAD_TAG);
    scratch.extend_from_slice(salt.as_bytes());
    leaf_hash(scratch)
}

/// The rules for a caller's own paths: syntax, order, no overlap, and the limits.
fn check_paths<'p>(paths: impl Iterator<Item = &'p str>) -> Result<(), FieldTreeError> {
    let mut all: Vec<&str> = Vec::new();
    let mut bytes = 0usize;
    for path in paths {
        bytes = bytes.saturating_add(path.len());
        if all.len() == FIELDS_MAX {
            return Err(FieldTreeError::TooManyFields);
        }
        if bytes > FIELD_PATHS_MAX_BYTES {
            return Err(FieldTreeError::PathsTooLong);
        }
        if path.is_empty() || !shape::is_pointer(path) {
            return Err(FieldTreeError::PathSyntax { path: shorten(path) });
        }
        if shape::depth(path) > JSON_MAX_DEPTH {
            return Err(FieldTreeError::TooDeep);
        }
        if all.last().is_some_and(|before| *before >= path) {
            return Err(FieldTreeError::PathOrder { path: shorten(path) });
        }
        all.push(path);
    }
    if all.is_empty() {
        return Err(FieldTreeError::Empty);
    }
    match shape::overlap(all) {
        Some(path) => Err(FieldTreeError::PathOverlap { path: shorten(path) }),
        None => Ok(()),
    }
}

/// A path as an error repeats it.
fn shorten(path: &str) -> String {
    if path.len() <= 256 {
        return path.to_owned();
    }
    let mut cut = path.get(..path.floor_char_boundary(256)).unwrap_or_default().to_owned();
    cut.push('…');
    cut
}
