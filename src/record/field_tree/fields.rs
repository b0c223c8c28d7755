//! The fields of one document in one buffer, and how they are taken from it.

use std::ops::Range;

use serde_json::Value;

use super::{FieldTreeError, shape, shorten};
use crate::record::canonical::{CanonicalError, write_jcs, write_jcs_string};
use crate::record::json::push_escaped;
use crate::record::limits::{FIELD_PATHS_MAX_BYTES, FIELDS_MAX, JSON_MAX_DEPTH};

/// All fields in one buffer: path and canonical value one after the other.
#[derive(Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    /// In the order of the leaves once sorted.
    pub(super) spans: Vec<Span>,
}

/// Where a field lies in [`Fields::bytes`]; the value starts where the path ends.
pub(super) struct Span {
    path: Range<usize>,
    end: usize,
}

impl Fields {
    /// The sorted fields of a document that is a non-empty object, and the objects in it that would read as arrays.
    /// The limits are checked before anything is copied.
    pub(super) fn of_document(document: &Value) -> Result<(Self, Vec<String>), FieldTreeError> {
        let mut size = Size::default();
        size.measure(document, 0, JSON_MAX_DEPTH)?;
        let mut walk = Walk {
            fields: Self::with_capacity(&size),
            path: String::with_capacity(128),
            objects: Vec::new(),
        };
        walk.visit(document)?;
        let Walk { mut fields, objects, .. } = walk;
        fields.sort();
        Ok((fields, objects))
    }

    fn with_capacity(size: &Size) -> Self {
        // A guess of 24 bytes a value: most are short, and the buffer grows where they are not.
        let bytes = 2 * size.path_bytes + 32 * size.fields;
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(size.fields + 1) }
    }

    /// Appends one field; `write` appends its canonical value.
    pub(super) fn push(
        &mut self,
        path: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), CanonicalError>,
    ) -> Result<(), FieldTreeError> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(path.as_bytes());
        let path_end = self.bytes.len();
        write(&mut self.bytes).map_err(|source| FieldTreeError::Value { path: shorten(path), source })?;
        self.spans.push(Span { path: start..path_end, end: self.bytes.len() });
        Ok(())
    }

    /// The path of a field.
    pub(super) fn path(&self, span: &Span) -> &str {
        // Spans are cut where whole strings were appended.
        self.bytes.get(span.path.clone()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }

    /// The canonical value of a field.
    pub(super) fn jcs(&self, span: &Span) -> &[u8] {
        self.bytes.get(span.path.end..span.end).unwrap_or_default()
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let path = |span: &Span| bytes.get(span.path.clone()).unwrap_or_default();
        self.spans.sort_unstable_by(|a, b| path(a).cmp(path(b)));
    }

    /// Field 0: every path in order, then the objects that would read as arrays, if any.
    pub(super) fn add_shape(&mut self, mut objects: Vec<String>) {
        let mut shape = Vec::with_capacity(self.bytes.len() + 4 * self.spans.len());
        shape.push(b'[');
        for (i, span) in self.spans.iter().enumerate() {
            if i > 0 {
                shape.push(b',');
            }
            write_jcs_string(self.path(span), &mut shape);
        }
        if !objects.is_empty() {
            objects.sort_unstable();
            shape.extend_from_slice(b",{\"objects\":[");
            for (i, path) in objects.iter().enumerate() {
                if i > 0 {
                    shape.push(b',');
                }
                write_jcs_string(path, &mut shape);
            }
            shape.extend_from_slice(b"]}");
        }
        shape.push(b']');
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&shape);
        self.spans.insert(0, Span { path: start..start, end: self.bytes.len() });
    }
}

/// How much a document would take, counted without copying any of it.
#[derive(Default)]
struct Size {
    fields: usize,
    path_bytes: usize,
}

impl Size {
    fn measure(&mut self, value: &Value, path_len: usize, room: usize) -> Result<(), FieldTreeError> {
        let deeper = || room.checked_sub(1).ok_or(FieldTreeError::TooDeep);
        match value {
            Value::Object(members) if !members.is_empty() => {
                let room = deeper()?;
                for (name, member) in members {
                    let escapes = name.bytes().filter(|b| matches!(b, b'~' | b'/')).count();
                    self.measure(member, path_len + 1 + name.len() + escapes, room)?;
                }
                Ok(())
            }
            Value::Array(items) if !items.is_empty() => {
                let room = deeper()?;
                for (i, item) in items.iter().enumerate() {
                    let digits = i.checked_ilog10().map_or(1, |log| log as usize + 1);
                    self.measure(item, path_len + 1 + digits, room)?;
                }
                Ok(())
            }
            _ => {
                if matches!(value, Value::Object(_) | Value::Array(_)) {
                    deeper()?;
                }
                self.fields += 1;
                self.path_bytes = self.path_bytes.saturating_add(path_len);
                if self.fields > FIELDS_MAX {
                    return Err(FieldTreeError::TooManyFields);
                }
                if self.path_bytes > FIELD_PATHS_MAX_BYTES {
                    return Err(FieldTreeError::PathsTooLong);
                }
                Ok(())
            }
        }
    }
}

/// Collects the fields of a measured document.
struct Walk {
    fields: Fields,
    path: String,
    objects: Vec<String>,
}

impl Walk {
    fn visit(&mut self, value: &Value) -> Result<(), FieldTreeError> {
        let here = self.path.len();
        match value {
            Value::Object(members) if !members.is_empty() => {
                // The document itself is never an array.
                if here > 0 && shape::reads_as_array(members.len(), members.keys().map(String::as_str)) {
                    self.objects.push(self.path.clone());
                }
                for (name, member) in members {
                    self.path.push('/');
                    push_escaped(name, &mut self.path);
                    self.visit(member)?;
                    self.path.truncate(here);
                }
                Ok(())
            }
            Value::Array(items) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    self.path.push('/');
                    self.path.push_str(&i.to_string());
                    self.visit(item)?;
                    self.path.truncate(here);
                }
                Ok(())
            }
            _ => self.fields.push(&self.path, |bytes| write_jcs(value, bytes)),
        }
    }
}
