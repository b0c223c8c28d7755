//! The evaluation: the second document of an intent, and the groups that its field tree commits to.
//!
//! A group is one field of the tree, whatever is in it: `/engine`, `/facts`, and for each call `/requests/<i>` and
//! `/verdicts/<i>` (`docs/format.md`, "Evaluation").

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::canonical::write_jcs_string;
use super::field_tree::Field;

/// Members of the document that are lists with one group an item.
const LISTS: [&str; 2] = ["requests", "verdicts"];

/// The groups put together as one document in canonical form, as payloads keep it. Their values are in canonical form,
/// their paths in byte order, and the names in them plain ASCII.
#[must_use]
pub fn document_of(groups: &[Field]) -> Vec<u8> {
    let mut lists: BTreeMap<&str, BTreeMap<usize, &[u8]>> = BTreeMap::new();
    let mut members: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for Field { path, jcs } in groups {
        let path = path.strip_prefix('/').unwrap_or(path);
        match path.split_once('/') {
            // By number: in byte order `10` comes before `2`.
            Some((list, number)) => {
                lists.entry(list).or_default().insert(number.parse().unwrap_or(usize::MAX), jcs);
            }
            None => {
                members.insert(path, jcs);
            }
        }
    }
    let length: usize = groups.iter().map(|group| group.path.len() + group.jcs.len() + 8).sum();
    let mut out = Vec::with_capacity(length);
    let names: BTreeSet<&str> = members.keys().chain(lists.keys()).copied().collect();
    for name in names {
        out.push(if out.is_empty() { b'{' } else { b',' });
        write_jcs_string(name, &mut out);
        out.push(b':');
        match (members.get(name), lists.get(name)) {
            (_, Some(items)) => {
                for (i, item) in items.values().enumerate() {
                    out.push(if i == 0 { b'[' } else { b',' });
                    out.extend_from_slice(item);
                }
                out.push(b']');
            }
            (jcs, None) => out.extend_from_slice(jcs.copied().unwrap_or_default()),
        }
    }
    out.push(b'}');
    out
}

/// The groups of a document, in the order that the field tree takes them.
#[must_use]
pub fn groups_of(document: &Value) -> Vec<(String, Value)> {
    let mut groups = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if LISTS.contains(&name.as_str()) => {
                groups
                    .extend(items.iter().enumerate().map(|(i, item)| (format!("/{name}/{i}"), item.clone())));
            }
            _ => groups.push((format!("/{name}"), value.clone())),
        }
    }
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::canonical::to_jcs;
    use serde_json::json;

    #[test]
    fn groups_and_document_are_two_forms_of_one() {
        let groups: Vec<(String, Value)> = (0..12)
            .flat_map(|i| {
                [(format!("/requests/{i}"), json!({"n": i})), (format!("/verdicts/{i}"), json!([i]))]
            })
            .chain([("/engine".to_owned(), json!({"v": 1})), ("/facts".to_owned(), json!({"a": {"b": []}}))])
            .collect();
        let mut sorted = groups.clone();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let written: Vec<Field> = sorted
            .iter()
            .map(|(path, value)| Field { path: path.clone(), jcs: to_jcs(value).unwrap() })
            .collect();
        let bytes = document_of(&written);
        let document = crate::record::json::parse(&bytes).unwrap();
        assert_eq!(to_jcs(&document).unwrap(), bytes);
        assert_eq!(document["requests"][10], json!({"n": 10}));
        assert_eq!(groups_of(&document), sorted);
    }
}
