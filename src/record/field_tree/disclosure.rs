//! What a set of openings shows of a document, and what it leaves open.

use serde_json::Value;

use super::{Commitment, FieldOpening, OpeningError, Presence, Shape, ShapeError, shape, shorten};

/// Verified openings of one document, put together.
///
/// With the shape among them, absence, uniqueness and the number of withheld fields are established; without it only
/// that the shown fields are in the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclosure {
    shape: Option<Shape>,
    /// In order of the paths, and so of the indexes.
    fields: Vec<(String, u32, Value)>,
}

/// Why openings do not make a disclosure. Paths are cut after 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// One of them does not verify.
    #[error("the opening of {path:?} does not verify")]
    Opening {
        /// Which.
        path: String,
        /// Why.
        source: OpeningError,
    },
    /// Field 0 is no shape.
    #[error("the shape is not valid")]
    Shape(#[source] ShapeError),
    /// A path is shown twice.
    #[error("{path:?} is shown twice")]
    Twice {
        /// Which.
        path: String,
    },
    /// The fields contradict the shape or each other: not listed, out of order, one within another. Whoever
    /// committed to this document did not follow the format.
    #[error("the field {path:?} contradicts the shape or another field")]
    Contradiction {
        /// Which.
        path: String,
    },
}

impl Disclosure {
    /// Verifies every opening against the commitment and puts them together; their order does not matter.
    ///
    /// # Errors
    /// [`DisclosureError`] for the first that does not hold. One bad opening refuses all.
    pub fn assemble(commitment: &Commitment, openings: &[FieldOpening]) -> Result<Self, DisclosureError> {
        let mut shape = None;
        let mut fields: Vec<(String, u32, Value)> = Vec::with_capacity(openings.len());
        for opening in openings {
            opening
                .verify(commitment)
                .map_err(|source| DisclosureError::Opening { path: shorten(&opening.path), source })?;
            if opening.index != 0 {
                fields.push((opening.path.clone(), opening.index, opening.value.clone()));
                continue;
            }
            let read = Shape::from_opening(opening, commitment).map_err(DisclosureError::Shape)?;
            if shape.replace(read).is_some() {
                return Err(DisclosureError::Twice { path: String::new() });
            }
        }
        fields.sort_by(|(a, i, _), (b, j, _)| a.cmp(b).then(i.cmp(j)));
        check_order(&fields)?;
        if let Some(shape) = &shape {
            let listed = |(path, index, _): &&(String, u32, Value)| shape.index_of(path) != Some(*index);
            if let Some((path, ..)) = fields.iter().find(listed) {
                return Err(DisclosureError::Contradiction { path: shorten(path) });
            }
        }
        Ok(Self { shape, fields })
    }

    /// The fields shown, in order of their paths.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(path, _, value)| (path.as_str(), value))
    }

    /// The value shown at a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        let at = self.fields.binary_search_by(|(p, ..)| p.as_str().cmp(path)).ok()?;
        self.fields.get(at).map(|(_, _, value)| value)
    }

    /// The shape, when it was shown. `None`: uniqueness and absence are not established, nor how much is withheld.
    #[must_use]
    pub const fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// What is established about a path; `None` without the shape, or when `path` is not an RFC 6901 pointer.
    #[must_use]
    pub fn presence(&self, path: &str) -> Option<Presence> {
        self.shape.as_ref().and_then(|shape| shape.presence(path))
    }

    /// The paths of the fields that exist and are not shown; `None` without the shape.
    #[must_use]
    pub fn withheld(&self) -> Option<Vec<&str>> {
        let paths = self.shape.as_ref()?.paths().iter().map(String::as_str);
        Some(paths.filter(|path| self.get(path).is_none()).collect())
    }

    /// Whether every field is shown, and nothing else exists.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.shape.as_ref().is_some_and(|shape| shape.field_count() == self.fields.len())
    }

    /// The document put together again, with `null` at each withheld field ([`Disclosure::withheld`] says which).
    /// `None` without the shape: whether a container is an array or an object would be a guess.
    #[must_use]
    pub fn document(&self) -> Option<Value> {
        let shape = self.shape.as_ref()?;
        // The fields are in order of their indexes too.
        let value_of = |index: u32| match self.fields.binary_search_by_key(&index, |(_, i, _)| *i) {
            Ok(at) => self.fields.get(at).map_or(Value::Null, |(_, _, value)| value.clone()),
            Err(_) => Value::Null,
        };
        Some(shape.document(&value_of))
    }
}

/// What holds of the fields of every tree, with or without its shape.
fn check_order(fields: &[(String, u32, Value)]) -> Result<(), DisclosureError> {
    for ((a, i, _), (b, j, _)) in fields.iter().zip(fields.iter().skip(1)) {
        if a == b {
            return Err(DisclosureError::Twice { path: shorten(b) });
        }
        if i >= j {
            return Err(DisclosureError::Contradiction { path: shorten(b) });
        }
    }
    match shape::overlap(fields.iter().map(|(path, ..)| path.as_str()).collect()) {
        Some(path) => Err(DisclosureError::Contradiction { path: shorten(path) }),
        None => Ok(()),
    }
}
