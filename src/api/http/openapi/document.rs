//! The OpenAPI 3.1 document of a table of operations.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::problem::body_of;
use super::answer::{ALLOW, Answer, Content, Header, RETRY_AFTER, WWW_AUTHENTICATE};
use super::operation::{Group, Needs, Operation, Place};
use super::shapes;
use crate::record::limits::LIMITS;
use crate::service::{ErrorCode, ServiceError};

const PROBLEM_TYPE: &str = "application/problem+json";
const ABOUT: &str = "\
Foreseal seals what an AI agent intends to do, and decides whether it may, before it does it.

**The path of one intent.** An operator registers an agent (`POST /v1/agents`) and hands it its token. Before each \
action the agent declares it (`POST /v1/intents`) and acts only on `allow`. Anyone who holds the answer verifies it \
offline, or reads the log itself (`/checkpoint`, `/tile/…`).

**Errors** are RFC 9457 problems with a stable `code`; `sealed` says what became of the request. A denial is no error.

**Whatever the path:** an unknown path is a 404 `not_found`, also with a trailing slash or a doubled one; a method that \
the path does not have, OPTIONS among them, is a 405 `method_not_allowed` with `Allow`; HEAD is answered wherever GET \
is, without the body; a query parameter that is unknown, or given twice, is a 400 `malformed_request`; a path and query \
over the limit are a 414 `uri_too_long`. What is not HTTP, and a request line beyond what the HTTP library reads, is \
answered 400, 414 or 431 without a body. `Accept` is not looked at. A body is not read where none is described.";

/// The document.
///
/// # Errors
/// A schema file that is no JSON.
pub(super) fn of(operations: &[&'static Operation]) -> Result<Value, serde_json::Error> {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let item = paths.entry(operation.template()).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(operation.method.key().to_owned(), of_operation(operation));
        }
    }
    let limits: Vec<Value> = LIMITS
        .iter()
        .map(|l| json!({ "name": l.name, "value": l.value, "unit": l.unit, "beyond": l.what_happens }))
        .collect();
    let errors: Vec<Value> = ErrorCode::ALL
        .iter()
        .map(|code| json!({ "code": code.as_str(), "status": code.status(), "meaning": code.meaning().trim(), "retry": code.retry() }))
        .collect();
    let tags: Vec<Value> =
        Group::ALL.iter().map(|g| json!({ "name": g.name(), "description": g.about() })).collect();
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Foreseal",
            "summary": "A cryptographic intent-audit ledger for AI agents",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": shapes::components()?,
            "examples": examples_of_errors(),
            "securitySchemes": {
                "agent": { "type": "http", "scheme": "bearer", "description": "An agent's token: `foreseal agent add NAME` prints it, once." },
                "operator": { "type": "http", "scheme": "bearer", "description": "An operator's token: KEYS/admin.token." },
                "application": { "type": "http", "scheme": "bearer", "description": "An application's token: `foreseal application add NAME` prints it, once." },
                "tool_server": { "type": "http", "scheme": "bearer", "description": "A tool server's token: `foreseal tool-server add NAME` prints it, once." },
            },
        },
        "x-errors": errors,
        "x-limits": limits,
    }))
}

fn examples_of_errors() -> Value {
    let examples = ErrorCode::ALL.iter().map(|code| {
        let error = ServiceError::new(*code, "what happened to what, and where");
        (code.as_str().to_owned(), json!({ "value": body_of(&error) }))
    });
    Value::Object(examples.collect())
}

fn of_operation(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.group.name()],
        "summary": operation.summary,
        "description": description(operation),
        "security": security(operation.needs),
        "responses": responses(operation),
    });
    let Some(members) = described.as_object_mut() else { return described };
    if !operation.parameters.is_empty() {
        let parameters = operation.parameters.iter().map(|parameter| {
            let place = match parameter.place {
                Place::Path => "path",
                Place::Query => "query",
                Place::Header => "header",
            };
            let schema = (parameter.schema)();
            let mut of_parameter = json!({
                "name": parameter.name, "in": place, "required": parameter.required,
                "description": parameter.description, "schema": schema,
            });
            if let Some(of_parameter) = of_parameter.as_object_mut()
                && !parameter.example.is_empty()
            {
                let number = parameter.example.parse::<u64>().map(Value::from);
                of_parameter
                    .insert("example".to_owned(), number.unwrap_or_else(|_| parameter.example.into()));
            }
            of_parameter
        });
        members.insert("parameters".to_owned(), parameters.collect());
    }
    if let Some(body) = &operation.body {
        let described = format!("At most {} bytes of strict JSON (RFC 7493), in UTF-8.", body.bytes_max);
        let content =
            json!({ "application/json": { "schema": component(body.schema), "example": (body.example)() } });
        members.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "description": described, "content": content }),
        );
    }
    described
}

fn description(operation: &Operation) -> String {
    let about = operation.description;
    match operation.needs {
        Needs::LogReader => format!("{about} Open to everyone where the service runs with `--public-log`."),
        _ => about.to_owned(),
    }
}

fn component(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!([]),
        Needs::LogReader | Needs::AnyCaller => {
            json!([{ "agent": [] }, { "operator": [] }, { "application": [] }, { "tool_server": [] }])
        }
        Needs::Application => json!([{ "application": [] }]),
        Needs::ToolServer => json!([{ "tool_server": [] }]),
        Needs::Agent => json!([{ "agent": [] }]),
        Needs::Operator => json!([{ "operator": [] }]),
    }
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for answer in operation.answers {
        responses.insert(answer.status.to_string(), of_answer(answer));
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    // Of the path, not of the operation: whoever asks with another method is answered this.
    for code in operation.codes().into_iter().chain([ErrorCode::MethodNotAllowed]) {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), of_errors(status, &codes));
    }
    Value::Object(responses)
}

fn of_answer(answer: &Answer) -> Value {
    let (media_type, content) = match &answer.content {
        Content::Json(schema, example) => {
            ("application/json", json!({ "schema": component(schema), "example": example() }))
        }
        Content::Text { media_type, pattern, example } => {
            let mut schema = json!({ "type": "string" });
            if let (Some(schema), Some(pattern)) = (schema.as_object_mut(), pattern) {
                schema.insert("pattern".to_owned(), (*pattern).into());
            }
            let mut content = json!({ "schema": schema });
            if let (Some(content), Some(example)) = (content.as_object_mut(), example) {
                content.insert("example".to_owned(), example().into());
            }
            (*media_type, content)
        }
        Content::Bytes => ("application/octet-stream", json!({})),
        Content::Zip => ("application/zip", json!({})),
    };
    let mut described = json!({ "description": answer.description, "content": { media_type: content } });
    let Some(members) = described.as_object_mut() else { return described };
    if !answer.headers.is_empty() {
        members.insert("headers".to_owned(), headers(answer.headers));
    }
    if !answer.links.is_empty() {
        let links: Map<String, Value> = answer
            .links
            .iter()
            .map(|link| {
                let from = format!("$response.body#{}", link.member);
                let target = json!({ "operationId": link.operation, "parameters": { link.parameter: from } });
                (link.operation.to_owned(), target)
            })
            .collect();
        members.insert("links".to_owned(), Value::Object(links));
    }
    described
}

fn headers(headers: &[Header]) -> Value {
    let described = headers.iter().map(|header| {
        let schema = json!({ "type": "string", "pattern": header.pattern });
        let about = json!({ "description": header.description, "required": true, "schema": schema });
        (header.name.to_owned(), about)
    });
    Value::Object(described.collect())
}

/// The problems of one status: the body's own schema, and which codes of it can come here.
fn of_errors(status: u16, codes: &[ErrorCode]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let said: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.meaning().trim())).collect();
    let narrowed = json!({ "properties": { "status": { "const": status }, "code": { "enum": names } } });
    let examples: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/examples/{name}") })))
        .collect();
    let mut described = json!({
        "description": said.join("\n\n"),
        "content": { PROBLEM_TYPE: { "schema": { "allOf": [component("Problem"), narrowed] }, "examples": examples } },
    });
    let of_status = match status {
        401 => Some(WWW_AUTHENTICATE),
        405 => Some(ALLOW),
        503 => Some(RETRY_AFTER),
        _ => None,
    };
    if let (Some(members), Some(header)) = (described.as_object_mut(), of_status) {
        members.insert("headers".to_owned(), headers(&[header]));
    }
    described
}
