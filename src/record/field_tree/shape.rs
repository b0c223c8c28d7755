//! The shape: which paths a document has, and so what it does not have.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{Commitment, FieldOpening, OpeningError};
use crate::record::limits::{FIELD_PATHS_MAX_BYTES, FIELDS_MAX, JSON_MAX_DEPTH};

/// The verified shape of a committed document: every field's path in order, and how they nest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    paths: Vec<String>,
    objects: Vec<String>,
    root: Vec<(String, Node)>,
}

/// A place in the document: a field, or a container with its members in order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Field(u32),
    Container { members: Vec<(String, Node)>, array: bool },
}

/// What a shape says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A field, at this index of the row.
    Field(u32),
    /// A container that has fields within it.
    Container,
    /// Inside the value of the field at this index, which alone says more. Where fields are scalars and empty
    /// containers (every tree over a document), this is absence.
    Within(u32),
    /// Established not to exist.
    Absent,
}

/// Why field 0 is not a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The opening does not verify.
    #[error("the opening of the shape does not verify")]
    Opening(#[from] OpeningError),
    /// Not field 0.
    #[error("the opening is not of field 0")]
    NotFieldZero,
    /// The value is not an array of paths, with at most one `{"objects":[…]}` at its end.
    #[error("the shape is not a list of paths")]
    Form,
    /// A path is not a pointer, or nested too deep.
    #[error("the shape holds something that is not the path of a field")]
    Path,
    /// Out of order, twice, or one within another: the document would be ambiguous.
    #[error("the paths of the shape are not in order, or overlap")]
    Order,
    /// The number of paths does not fit the commitment's `log2`, or the limits.
    #[error("the number of paths does not fit the size of the tree")]
    Count,
    /// `objects` names something that would not read as an array.
    #[error("the shape marks as object what could not be taken for an array")]
    Objects,
}

impl Shape {
    /// Reads the shape from the opening of field 0, which is verified first.
    ///
    /// # Errors
    /// [`ShapeError`]. Whoever committed can have put anything into field 0: what is accepted here is one that
    /// some document has, and only one.
    pub fn from_opening(opening: &FieldOpening, commitment: &Commitment) -> Result<Self, ShapeError> {
        opening.verify(commitment)?;
        if opening.index != 0 {
            return Err(ShapeError::NotFieldZero);
        }
        let (paths, objects) = lists(&opening.value)?;
        let leaves = paths.len() + 1;
        if leaves.next_power_of_two().ilog2() != u32::from(commitment.log2) {
            return Err(ShapeError::Count);
        }
        Self::build(paths, objects)
    }

    fn build(paths: Vec<String>, objects: Vec<String>) -> Result<Self, ShapeError> {
        let bytes: usize = paths.iter().map(String::len).sum();
        if paths.is_empty() || paths.len() > FIELDS_MAX || bytes > FIELD_PATHS_MAX_BYTES {
            return Err(ShapeError::Count);
        }
        let fits = |path: &String| !path.is_empty() && is_pointer(path) && depth(path) <= JSON_MAX_DEPTH;
        if !paths.iter().all(fits) {
            return Err(ShapeError::Path);
        }
        let increasing = |list: &[String]| list.is_sorted_by(|a, b| a < b);
        if !increasing(&paths) || overlap(paths.iter().map(String::as_str).collect()).is_some() {
            return Err(ShapeError::Order);
        }
        if !increasing(&objects) {
            return Err(ShapeError::Objects);
        }
        let mut rows: Vec<(&str, u32)> = paths.iter().map(String::as_str).zip(1u32..).collect();
        rows.sort_unstable_by(|(a, _), (b, _)| token_order(a, b));
        let mut marked = 0;
        let root = members_of(&rows, 0, &objects, &mut marked);
        if marked != objects.len() {
            return Err(ShapeError::Objects);
        }
        Ok(Self { paths, objects, root })
    }

    /// Every field's path, in order; the first is at index 1 of the row.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The objects whose member names are `0`, `1`, …, and which would otherwise read as arrays.
    #[must_use]
    pub fn objects(&self) -> &[String] {
        &self.objects
    }

    /// How many fields the document has, the shape not counted.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.paths.len()
    }

    /// The index in the row of the field at `path`.
    #[must_use]
    pub fn index_of(&self, path: &str) -> Option<u32> {
        let at = self.paths.binary_search_by(|p| p.as_str().cmp(path)).ok()?;
        u32::try_from(at + 1).ok()
    }

    /// What is established about a path; `None` when `path` is not an RFC 6901 pointer.
    #[must_use]
    pub fn presence(&self, path: &str) -> Option<Presence> {
        if !is_pointer(path) {
            return None;
        }
        let mut members = &self.root;
        for token in path.split('/').skip(1) {
            let token = unescape(token);
            let Ok(at) = members.binary_search_by(|(name, _)| name.as_str().cmp(&token)) else {
                return Some(Presence::Absent);
            };
            match members.get(at).map(|(_, node)| node) {
                Some(Node::Container { members: inner, .. }) => members = inner,
                Some(Node::Field(index)) if self.index_of(path) == Some(*index) => {
                    return Some(Presence::Field(*index));
                }
                Some(Node::Field(index)) => return Some(Presence::Within(*index)),
                None => return Some(Presence::Absent),
            }
        }
        Some(Presence::Container)
    }

    /// The document with `value_of(index)` at each field.
    pub(super) fn document(&self, value_of: &dyn Fn(u32) -> Value) -> Value {
        object(&self.root, value_of)
    }
}

fn value(node: &Node, value_of: &dyn Fn(u32) -> Value) -> Value {
    match node {
        Node::Field(index) => value_of(*index),
        Node::Container { members, array: false } => object(members, value_of),
        Node::Container { members, array: true } => {
            // Members are in order of their names ("10" before "2"), items in order of their numbers.
            let mut items: Vec<(usize, Value)> = members
                .iter()
                .map(|(name, node)| (array_index(name).unwrap_or(usize::MAX), value(node, value_of)))
                .collect();
            items.sort_unstable_by_key(|(index, _)| *index);
            Value::Array(items.into_iter().map(|(_, item)| item).collect())
        }
    }
}

fn object(members: &[(String, Node)], value_of: &dyn Fn(u32) -> Value) -> Value {
    let members = members.iter().map(|(name, node)| (name.clone(), value(node, value_of)));
    Value::Object(members.collect::<Map<String, Value>>())
}

/// Takes the shape's value apart into its paths and the marked objects.
fn lists(value: &Value) -> Result<(Vec<String>, Vec<String>), ShapeError> {
    let strings = |items: &[Value]| -> Result<Vec<String>, ShapeError> {
        items.iter().map(|v| v.as_str().map(str::to_owned).ok_or(ShapeError::Form)).collect()
    };
    let items = value.as_array().ok_or(ShapeError::Form)?;
    match items.split_last() {
        Some((Value::Object(last), paths)) => {
            let objects = last.get("objects").and_then(Value::as_array).ok_or(ShapeError::Form)?;
            if last.len() != 1 || objects.is_empty() {
                return Err(ShapeError::Form);
            }
            Ok((strings(paths)?, strings(objects)?))
        }
        _ => Ok((strings(items)?, Vec::new())),
    }
}

/// Groups rows, which share their first `prefix` bytes and are in token order, by their next token. `marked` counts
/// the containers found in `objects`. Recursion is bounded by the depth of the paths, which was checked.
fn members_of(
    rows: &[(&str, u32)],
    prefix: usize,
    objects: &[String],
    marked: &mut usize,
) -> Vec<(String, Node)> {
    let next =
        |path: &str| path.get(prefix + 1..).and_then(|rest| rest.split('/').next()).map_or(0, str::len);
    let mut members = Vec::new();
    for group in rows.chunk_by(|(a, _), (b, _)| {
        let end = prefix + 1 + next(a);
        end == prefix + 1 + next(b) && a.get(..end) == b.get(..end)
    }) {
        let Some(&(first, index)) = group.first() else { continue };
        let end = prefix + 1 + next(first);
        let name = unescape(first.get(prefix + 1..end).unwrap_or_default());
        if end == first.len() {
            members.push((name, Node::Field(index)));
            continue;
        }
        let inner = members_of(group, end, objects, marked);
        let mut array = reads_as_array(inner.len(), inner.iter().map(|(name, _)| name.as_str()));
        let path = first.get(..end).unwrap_or_default();
        if array && objects.binary_search_by(|o| o.as_str().cmp(path)).is_ok() {
            *marked += 1;
            array = false;
        }
        members.push((name, Node::Container { members: inner, array }));
    }
    // In order of the names themselves: escapes sort otherwise.
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    members
}

/// Whether `count` distinct member names are exactly `0`, `1`, … `count - 1`.
pub(super) fn reads_as_array<'n>(count: usize, mut names: impl Iterator<Item = &'n str>) -> bool {
    count > 0 && names.all(|name| array_index(name).is_some_and(|index| index < count))
}

/// The array index that a reference token is (RFC 6901 section 4): decimal, no leading zeros.
fn array_index(token: &str) -> Option<usize> {
    let plain = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    if plain { token.parse().ok() } else { None }
}

/// RFC 6901 section 3: empty, or `/` before each token, and `~` only as `~0` or `~1`.
pub(super) fn is_pointer(path: &str) -> bool {
    (path.is_empty() || path.starts_with('/'))
        && path.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

/// How many reference tokens a pointer has.
pub(super) fn depth(path: &str) -> usize {
    path.bytes().filter(|b| *b == b'/').count()
}

fn unescape(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}

/// Byte order with `/` below everything, so that what lies within a path follows it at once.
fn token_order(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

/// A path that lies within another one of the list, if there is any.
pub(super) fn overlap(mut paths: Vec<&str>) -> Option<&str> {
    paths.sort_unstable_by(|a, b| token_order(a, b));
    let pairs = paths.iter().zip(paths.iter().skip(1));
    let within = |(outer, inner): &(&&str, &&str)| {
        inner.strip_prefix(**outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    pairs.into_iter().find(within).map(|(_, inner)| *inner)
}
