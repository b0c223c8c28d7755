//! Lists of tools as they come: results of MCP's `tools/list`, several pages of them, and `tools.json`.

use serde_json::Value;

use crate::policy::finding::member;
use crate::policy::json::Strict;

/// Tools of one list.
const TOOLS: usize = 10_000;

/// What a server says about a tool's behaviour: MCP's `annotations`. Hints, and untrusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy.
    pub destructive: Option<bool>,
    /// Twice is once.
    pub idempotent: Option<bool>,
    /// It reaches beyond a closed set of places.
    pub open_world: Option<bool>,
}

impl Hints {
    /// The hints that are given, by MCP's names.
    pub fn given(self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("readOnlyHint", self.read_only),
            ("destructiveHint", self.destructive),
            ("idempotentHint", self.idempotent),
            ("openWorldHint", self.open_world),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A tool as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The server, where the entry names it: only `tools.json` does.
    pub server: Option<String>,
    /// The name.
    pub name: String,
    /// The description, where there is one.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input: Option<Value>,
    /// The JSON Schema of its results.
    pub output: Option<Value>,
    /// What the server says about its behaviour.
    pub hints: Hints,
    /// The entry, whole.
    pub whole: Value,
    /// Where it stands in the file.
    pub at: String,
}

/// Why a text is no list of tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// Not JSON, or a member twice.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON without tools in a form that is known.
    #[error("no list of tools at {at:?}")]
    NoTools {
        /// Where one was looked for.
        at: String,
    },
    /// The server answered with an error.
    #[error("the server answered with an error, at {at:?}")]
    Refused {
        /// Where it stands.
        at: String,
    },
    /// An entry that is no tool.
    #[error("no tool at {at:?}: {why}")]
    NoTool {
        /// Where it stands.
        at: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than 10,000 tools.
    #[error("more than {TOOLS} tools")]
    TooMany,
}

/// The JSON documents of a text, one behind the other, with the pointer that each is found at: `""` where there is one,
/// `/0`, `/1` and so on where there are several, as when the pages of an answer were saved one a line.
///
/// # Errors
/// [`ListingError::Json`]
pub fn documents(text: &str) -> Result<Vec<(String, Value)>, ListingError> {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let all: Vec<Value> = stream
        .map(|document| document.map(|Strict(value)| value))
        .collect::<Result<_, _>>()
        .map_err(|error| ListingError::Json(error.to_string()))?;
    let several = all.len() > 1;
    let named = all.into_iter().enumerate();
    Ok(named.map(|(i, value)| (if several { format!("/{i}") } else { String::new() }, value)).collect())
}

/// The tools of a text: an answer to `tools/list` (JSON-RPC, or its result alone), a list of tools, several pages in a
/// list or one behind the other, or a `tools.json`.
///
/// # Errors
/// [`ListingError`]
pub fn listed(text: &str) -> Result<Vec<Listed>, ListingError> {
    let documents = documents(text)?;
    if documents.is_empty() {
        return Err(ListingError::NoTools { at: String::new() });
    }
    let mut tools = Vec::new();
    for (at, document) in &documents {
        read(document, at, true, &mut tools)?;
    }
    Ok(tools)
}

/// `page`: may it be a list of pages?
fn read(value: &Value, at: &str, page: bool, tools: &mut Vec<Listed>) -> Result<(), ListingError> {
    match value {
        Value::Object(object) => {
            if object.contains_key("error") && !object.contains_key("result") {
                return Err(ListingError::Refused { at: member(at, "error") });
            }
            if let Some(result) = object.get("result") {
                return read(result, &member(at, "result"), false, tools);
            }
            match object.get("tools") {
                Some(Value::Array(items)) => entries(items, &member(at, "tools"), tools),
                _ => Err(ListingError::NoTools { at: at.to_owned() }),
            }
        }
        Value::Array(items) if page => {
            let is_page = |item: &Value| item.get("result").is_some() || item.get("tools").is_some();
            if items.iter().any(is_page) {
                let pages = items.iter().enumerate();
                return pages
                    .map(|(i, item)| (format!("{at}/{i}"), item))
                    .try_for_each(|(at, item)| read(item, &at, false, tools));
            }
            entries(items, at, tools)
        }
        _ => Err(ListingError::NoTools { at: at.to_owned() }),
    }
}

fn entries(items: &[Value], at: &str, tools: &mut Vec<Listed>) -> Result<(), ListingError> {
    for (i, item) in items.iter().enumerate() {
        if tools.len() >= TOOLS {
            return Err(ListingError::TooMany);
        }
        tools.push(entry(item, format!("{at}/{i}"))?);
    }
    Ok(())
}

fn entry(item: &Value, at: String) -> Result<Listed, ListingError> {
    let wrong = |why| ListingError::NoTool { at: at.clone(), why };
    let object = item.as_object().ok_or_else(|| wrong("it is no object"))?;
    let text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong("name, server and description are texts")),
    };
    let name = text("name")?.filter(|name| !name.is_empty()).ok_or_else(|| wrong("it has no name"))?;
    let (server, description) = (text("server")?, text("description")?);
    let given = |path: &str| item.pointer(path).filter(|value| !value.is_null()).cloned();
    let hint = |name: &str| item.pointer("/annotations").and_then(|hints| hints.get(name))?.as_bool();
    Ok(Listed {
        server,
        name,
        description,
        input: given("/inputSchema").or_else(|| given("/input")),
        output: given("/outputSchema").or_else(|| given("/output/schema")),
        hints: Hints {
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            idempotent: hint("idempotentHint"),
            open_world: hint("openWorldHint"),
        },
        whole: item.clone(),
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_a_list_is_read_alike() {
        let tool = json!({"name": "a", "description": "d", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"},
            "annotations": {"destructiveHint": true, "title": "A"}});
        let result = json!({"tools": [tool], "nextCursor": "x"});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        for (text, places) in [
            (answer.to_string(), vec!["/result/tools/0"]),
            (result.to_string(), vec!["/tools/0"]),
            (json!([tool, tool]).to_string(), vec!["/0", "/1"]),
            (json!([answer, result]).to_string(), vec!["/0/result/tools/0", "/1/tools/0"]),
            (format!("{answer}\n{answer}\n"), vec!["/0/result/tools/0", "/1/result/tools/0"]),
        ] {
            let tools = listed(&text).unwrap();
            assert_eq!(tools.iter().map(|tool| tool.at.as_str()).collect::<Vec<_>>(), places);
            for found in tools {
                assert_eq!((found.name.as_str(), found.description.as_deref()), ("a", Some("d")));
                assert_eq!(
                    (found.input, found.output),
                    (Some(json!({"type": "object"})), Some(json!({"type": "array"})))
                );
                assert_eq!(found.hints.given().collect::<Vec<_>>(), [("destructiveHint", true)]);
            }
        }
        let own = json!({"tools": [{"server": "s", "name": "a", "input": {}, "output": {"schema": {"type": "array"}}}]});
        let own = listed(&own.to_string()).unwrap();
        assert_eq!((own[0].server.as_deref(), &own[0].output), (Some("s"), &Some(json!({"type": "array"}))));
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place() {
        for (text, what) in [
            ("", "no list of tools at \"\""),
            ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
            ("{\"tools\": [], \"tools\": []}", "not JSON: "),
            ("{}", "no list of tools at \"\""),
            ("7", "no list of tools at \"\""),
            ("{\"result\": {\"content\": []}}", "no list of tools at \"/result\""),
            ("{\"error\": {\"code\": -1}}", "error, at \"/error\""),
            ("[[]]", "no tool at \"/0\": it is no object"),
            ("{\"tools\": [{\"name\": \"\"}]}", "no tool at \"/tools/0\": it has no name"),
            ("{\"tools\": [{\"name\": \"a\", \"description\": 5}]}", "description are texts"),
        ] {
            let error = listed(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
