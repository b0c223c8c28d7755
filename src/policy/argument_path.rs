//! Places in a call's arguments: RFC 6901 paths in which a whole segment may be `*`.

use std::collections::BTreeSet;

use serde_json::Value;

/// Bytes of a pattern.
const BYTES: usize = 512;
/// Segments of a pattern.
const SEGMENTS: usize = 16;

/// A path that may name several places: `/to`, `/cc/*`, `/items/*/iban`. Never the whole document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ArgumentPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Any,
    Name(String),
}

impl ArgumentPath {
    /// Reads a pattern; `Err` says what it is not.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest =
            text.strip_prefix('/').ok_or("a path begins with / and names an argument, as in /to or /cc/*")?;
        if text.len() > BYTES {
            return Err("a path has at most 512 bytes");
        }
        let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        match segments.first() {
            Some(Segment::Name(_)) if segments.len() <= SEGMENTS => Ok(Self(segments)),
            Some(Segment::Name(_)) => Err("a path has at most 16 segments"),
            _ => Err("the first segment of a path is the name of an argument"),
        }
    }

    /// The argument that it lies in.
    pub(super) fn argument(&self) -> &str {
        match self.0.first() {
            Some(Segment::Name(name)) => name,
            _ => "",
        }
    }

    /// Does it name the argument itself, as a whole?
    pub(super) fn is_argument(&self) -> bool {
        self.0.len() == 1
    }

    /// Does it name an item by its number?
    pub(super) fn counts(&self) -> bool {
        self.0.iter().any(|segment| match segment {
            Segment::Any => false,
            Segment::Name(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()),
        })
    }

    /// Can the two name places of which one lies within the other, or that are the same?
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| match (a, b) {
            (Segment::Name(a), Segment::Name(b)) => a == b,
            _ => true,
        })
    }

    /// Calls `change` with every place there is, and its path.
    pub(super) fn each<E>(
        &self,
        root: &mut Value,
        change: &mut dyn FnMut(&str, &mut Value) -> Result<(), E>,
    ) -> Result<(), E> {
        each(&self.0, root, "", change)
    }

    /// Calls `look` with every place there is, and its path.
    pub(super) fn visit(&self, root: &Value, look: &mut dyn FnMut(&str, &Value)) {
        visit(&self.0, root, "", look);
    }
}

/// A copy without what lies at these paths.
pub(super) fn without(value: &Value, gone: &BTreeSet<String>) -> Value {
    without_below(value, "", gone)
}

fn without_below(value: &Value, path: &str, gone: &BTreeSet<String>) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name, below(path, name), value))
            .filter(|(_, path, _)| !gone.contains(path))
            .map(|(name, path, value)| (name.clone(), without_below(value, &path, gone)))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, value)| (format!("{path}/{i}"), value))
            .filter(|(path, _)| !gone.contains(path))
            .map(|(path, value)| without_below(value, &path, gone))
            .collect(),
        scalar => scalar.clone(),
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text {
        "*" => Ok(Segment::Any),
        _ if text.chars().any(char::is_control) => Err("a path has no control characters"),
        _ => unescaped(text).map(Segment::Name).ok_or("in a path ~ is written ~0 and a / within a name ~1"),
    }
}

/// A segment as the name that it stands for.
fn unescaped(segment: &str) -> Option<String> {
    let mut name = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next()? {
                '0' => name.push('~'),
                '1' => name.push('/'),
                _ => return None,
            },
            c => name.push(c),
        }
    }
    Some(name)
}

/// A path one segment longer.
pub(super) fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn each<E>(
    segments: &[Segment],
    at: &mut Value,
    path: &str,
    change: &mut dyn FnMut(&str, &mut Value) -> Result<(), E>,
) -> Result<(), E> {
    let Some((first, rest)) = segments.split_first() else { return change(path, at) };
    match (at, first) {
        (Value::Object(object), Segment::Name(name)) => match object.get_mut(name) {
            Some(value) => each(rest, value, &below(path, name), change),
            None => Ok(()),
        },
        (Value::Object(object), Segment::Any) => {
            object.iter_mut().try_for_each(|(name, value)| each(rest, value, &below(path, name), change))
        }
        (Value::Array(items), segment) => items
            .iter_mut()
            .enumerate()
            .filter(|(i, _)| chosen(segment, *i))
            .try_for_each(|(i, value)| each(rest, value, &format!("{path}/{i}"), change)),
        _ => Ok(()),
    }
}

fn visit(segments: &[Segment], at: &Value, path: &str, look: &mut dyn FnMut(&str, &Value)) {
    let Some((first, rest)) = segments.split_first() else { return look(path, at) };
    match (at, first) {
        (Value::Object(object), segment) => {
            let named = object.iter().filter(|(name, _)| match segment {
                Segment::Any => true,
                Segment::Name(own) => own == *name,
            });
            named.for_each(|(name, value)| visit(rest, value, &below(path, name), look));
        }
        (Value::Array(items), segment) => {
            let named = items.iter().enumerate().filter(|(i, _)| chosen(segment, *i));
            named.for_each(|(i, value)| visit(rest, value, &format!("{path}/{i}"), look));
        }
        _ => {}
    }
}

/// Is it the item of this number that the segment names?
fn chosen(segment: &Segment, i: usize) -> bool {
    match segment {
        Segment::Any => true,
        Segment::Name(name) => *name == i.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ArgumentPath {
        ArgumentPath::parse(text).unwrap()
    }

    #[test]
    fn what_is_no_path_to_an_argument_is_refused() {
        for bad in ["", "to", "/*", "/a~", "/a~2", "/a\n", &format!("/{}", "x".repeat(512)), &"/a".repeat(17)]
        {
            assert!(ArgumentPath::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["/to", "/", "/cc/*", "/a~1b/~0", "/ä/*/*/0"] {
            assert!(ArgumentPath::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn places_are_found_changed_and_removed() {
        let mut args =
            json!({"cc": ["a", "b", "c"], "items": [{"iban": 1}, {"iban": 2, "x": 3}, 7], "a/b": {"~": 5}});
        let mut seen = Vec::new();
        for text in ["/cc/*", "/cc/1", "/items/*/iban", "/a~1b/~0", "/nowhere/*", "/cc/x"] {
            path(text)
                .each::<()>(&mut args, &mut |path, value| {
                    seen.push(format!("{path}={value}"));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(
            seen,
            [
                "/cc/0=\"a\"",
                "/cc/1=\"b\"",
                "/cc/2=\"c\"",
                "/cc/1=\"b\"",
                "/items/0/iban=1",
                "/items/1/iban=2",
                "/a~1b/~0=5"
            ]
        );
        let gone =
            ["/cc/0", "/cc/2", "/items/0/iban", "/items/1/iban", "/a~1b", "/nowhere"].map(str::to_owned);
        assert_eq!(without(&args, &BTreeSet::from(gone)), json!({"cc": ["b"], "items": [{}, {"x": 3}, 7]}));
    }

    #[test]
    fn overlap_is_within_or_the_same() {
        for (a, b, overlap) in [
            ("/to", "/to", true),
            ("/to", "/to/0", true),
            ("/to/*", "/to/0", true),
            ("/to/*/x", "/to/0/y", false),
            ("/to", "/cc", false),
        ] {
            assert_eq!(path(a).overlaps(&path(b)), overlap, "{a} {b}");
            assert_eq!(path(b).overlaps(&path(a)), overlap, "{b} {a}");
        }
    }
}
