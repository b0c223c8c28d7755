//! The evaluation: the second document of an intent, and the groups that its field tree commits to.
//!
//! A group is one field of the tree, whatever is in it: `/engine`, `/facts`, and for each call `/requests/<i>` and
//! `/verdicts/<i>` (`docs/format.md`, "Evaluation").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Members of the document that are lists with one group an item.
const LISTS: [&str; 2] = ["requests", "verdicts"];

/// The groups put together as one document, as payloads keep it.
#[must_use]
pub fn document_of(groups: &[(String, Value)]) -> Value {
    let mut document = Map::new();
    let mut lists: BTreeMap<(&str, usize), &Value> = BTreeMap::new();
    for (path, value) in groups {
        let path = path.strip_prefix('/').unwrap_or(path);
        match path.split_once('/') {
            Some((list, number)) => {
                lists.insert((list, number.parse().unwrap_or(usize::MAX)), value);
            }
            None => {
                document.insert(path.to_owned(), value.clone());
            }
        }
    }
    for ((list, _), value) in lists {
        if let Value::Array(items) =
            document.entry(list.to_owned()).or_insert_with(|| Value::Array(Vec::new()))
        {
            items.push(value.clone());
        }
    }
    Value::Object(document)
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
        let document = document_of(&groups);
        assert_eq!(document["requests"][10], json!({"n": 10}));
        assert_eq!(groups_of(&document), sorted);
    }
}
