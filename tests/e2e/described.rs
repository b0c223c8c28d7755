//! Compares answers with the OpenAPI document of this build: every answer that any of these tests gets is looked at.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::http::Reply;

struct Answer {
    described: Value,
    /// By media type; `None` where the content is no JSON.
    bodies: HashMap<String, Option<jsonschema::Validator>>,
}

struct Operation {
    method: String,
    path: Vec<String>,
    answers: HashMap<u16, Answer>,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let document = foreseal::api::http::openapi::document().unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap().iter();
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.split('/').map(str::to_owned).collect(),
                answers: answers.map(|(s, a)| (s.parse().unwrap(), Answer::of(&document, a))).collect(),
            });
        }
    }
    all
});

impl Answer {
    fn of(document: &Value, described: &Value) -> Self {
        let bodies = described["content"].as_object().unwrap().iter().map(|(media_type, content)| {
            let is_json = media_type.ends_with("json");
            let whole = json!({ "allOf": [content["schema"]], "components": document["components"] });
            (media_type.clone(), is_json.then(|| jsonschema::draft202012::new(&whole).unwrap()))
        });
        Self { described: described.clone(), bodies: bodies.collect() }
    }
}

impl Operation {
    /// A tile's path has several segments.
    fn is_at(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        let is_tile = self.path.get(1).is_some_and(|first| first == "tile");
        (segments.len() == self.path.len() || is_tile && segments.len() > 2)
            && self
                .path
                .iter()
                .zip(&segments)
                .all(|(said, found)| if said.starts_with('{') { !found.is_empty() } else { said == found })
    }
}

/// Fails where the answer is not one that is described.
#[track_caller]
pub(crate) fn assert_described(method: &str, target: &str, reply: &Reply) {
    let path = target.split('?').next().unwrap();
    let at_path: Vec<&Operation> = OPERATIONS.iter().filter(|operation| operation.is_at(path)).collect();
    let asked = if method == "HEAD" { "GET" } else { method };
    let Some(operation) = at_path.iter().find(|operation| operation.method == asked) else {
        // Which paths and methods there are is described too.
        let code = if at_path.is_empty() { (404, "not_found") } else { (405, "method_not_allowed") };
        let too_long = (414, "uri_too_long");
        if method != "HEAD" {
            let said = reply.json();
            let found = (reply.status, said["code"].as_str().unwrap_or_default());
            assert!(found == code || found == too_long, "{method} {target}: {found:?}, not {code:?}");
        }
        return;
    };
    let answer = operation.answers.get(&reply.status);
    let answer = answer.unwrap_or_else(|| panic!("{method} {target}: {} is not described", reply.status));
    let media_type = reply.header("content-type").unwrap_or_default();
    let Some(validator) = answer.bodies.get(media_type) else {
        panic!("{method} {target}: {} as {media_type:?} is not described", reply.status);
    };
    for (name, header) in answer.described["headers"].as_object().into_iter().flatten() {
        let schema = jsonschema::draft202012::new(&header["schema"]).unwrap();
        let value = reply.header(&name.to_lowercase()).map(Value::from).unwrap_or_default();
        assert!(schema.is_valid(&value), "{method} {target}: {name}: {value}");
    }
    if let Some(validator) = validator.as_ref().filter(|_| method != "HEAD") {
        let body = reply.json();
        let wrong: Vec<String> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
        assert!(wrong.is_empty(), "{method} {target}: {wrong:?}\n{body}");
    }
}
