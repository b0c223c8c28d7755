//! The declared document: what an agent says it is about to do, parsed once and then trusted to be well formed.

use std::collections::HashSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::json::{self, JsonError, JsonLimits};
use super::limits;
use super::time::Timestamp;
use crate::merkle::Hash;

/// An intent as declared by an agent (`POST /v1/intents`), parsed from its exact bytes.
///
/// Holding one means: strict JSON, every member known and of its type, ids in their alphabet, counts within
/// [`limits`], `after` acyclic and naming calls of this intent. It says nothing about who sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The idempotency id, a UUIDv7. Required when the intent is signed.
    pub id: Option<Uuid>,
    /// When the agent made it, by the agent's clock.
    pub created: Option<Timestamp>,
    /// The agent's own counter.
    pub client_seq: Option<u64>,
    /// Leaf hash of the last receipt this agent holds.
    pub client_prev: Option<Hash>,
    /// The agent's name; must be the authenticated one.
    pub agent: String,
    /// The agent's session, any id it chose.
    pub session: String,
    /// The end user the agent says it acts for: claimed.
    pub principal: Option<String>,
    /// `prod`, `staging`, …: claimed.
    pub environment: Option<String>,
    /// What was asked: claimed.
    pub goal: Option<String>,
    /// Thoughts, oldest first. `None` when the member is absent, which is a fact of its own.
    pub reasoning: Option<Vec<String>>,
    /// The planned tool calls, 1 to 64.
    pub calls: Vec<Call>,
    /// What the agent has seen, as it reports it.
    pub observations: Option<Vec<Observation>>,
    /// Id of a sealed plan.
    pub plan: Option<String>,
    /// Whether one stopped call stops all of them. `true` unless the agent opts out.
    pub atomic: bool,
    /// The whole document, for the field tree.
    pub document: Value,
}

/// One planned tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Unique within the intent.
    pub id: String,
    /// The tool server; empty where none was named.
    pub server: String,
    /// The tool's name, any UTF-8.
    pub tool: String,
    /// The arguments, an object.
    pub args: Value,
    /// Ids of calls that come before this one.
    pub after: Vec<String>,
}

/// Something the agent has read, as it reports it. Taken at its word only where that makes a decision stricter.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The tool or channel it came from.
    pub source: String,
    /// The id of the call that brought it.
    pub call: Option<String>,
    /// What the agent says of it (`untrusted`, `trusted`).
    pub trust: Option<String>,
    /// The content, any JSON.
    pub content: Value,
}

/// Why a body is not an intent. Nothing was sealed.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum IntentError {
    /// The bytes are not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member is missing, unknown, of another type, or out of range.
    #[error("{pointer}: {problem}")]
    Member {
        /// RFC 6901 pointer of the member.
        pointer: String,
        /// What is wrong with it.
        problem: String,
    },
}

fn member(pointer: impl Into<String>, problem: impl Into<String>) -> IntentError {
    let pointer = pointer.into();
    let pointer = if pointer.is_empty() { "the document".to_owned() } else { pointer };
    IntentError::Member { pointer, problem: problem.into() }
}

const MEMBERS: [&str; 15] = [
    "id",
    "created",
    "client_seq",
    "client_prev",
    "agent",
    "session",
    "principal",
    "environment",
    "goal",
    "reasoning",
    "calls",
    "observations",
    "plan",
    "atomic",
    "trace",
];

impl Intent {
    /// Parses the exact body of a request.
    ///
    /// # Errors
    /// [`IntentError`] with the position (line and column, or the member's pointer). Members that are not
    /// known are refused rather than ignored: what is sealed is what was understood.
    pub fn parse(body: &[u8]) -> Result<Self, IntentError> {
        let limits = JsonLimits { max_bytes: limits::BODY_MAX_BYTES, max_depth: limits::JSON_MAX_DEPTH };
        let document = json::parse_with(body, &limits)?;
        Self::from_document(document)
    }

    fn from_document(document: Value) -> Result<Self, IntentError> {
        let object = document.as_object().ok_or_else(|| member("", "must be a JSON object"))?;
        refuse_unknown(object, &MEMBERS, "")?;
        let calls = parse_calls(object)?;
        let intent = Self {
            id: string(object, "id", "")?.map(|text| parse_id(&text, "/id")).transpose()?,
            created: string(object, "created", "")?
                .map(|text| text.parse().map_err(|e| member("/created", format!("{e}"))))
                .transpose()?,
            client_seq: match object.get("client_seq") {
                None => None,
                Some(value) => Some(
                    value.as_u64().ok_or_else(|| member("/client_seq", "must be a whole number from 0"))?,
                ),
            },
            client_prev: string(object, "client_prev", "")?
                .map(|text| Hash::from_base64(&text).map_err(|e| member("/client_prev", format!("{e}"))))
                .transpose()?,
            agent: required_id(object, "agent", "")?,
            session: required_id(object, "session", "")?,
            principal: bounded_text(object, "principal", limits::PRINCIPAL_MAX_BYTES)?,
            environment: optional_id(object, "environment", "")?,
            goal: string(object, "goal", "")?,
            reasoning: parse_reasoning(object)?,
            observations: parse_observations(object)?,
            plan: optional_id(object, "plan", "")?,
            atomic: match object.get("atomic") {
                None => true,
                Some(Value::Bool(atomic)) => *atomic,
                Some(_) => return Err(member("/atomic", "must be true or false")),
            },
            calls,
            document: Value::Null,
        };
        if let Some(trace) = object.get("trace")
            && !trace.is_object()
        {
            return Err(member("/trace", "must be an object"));
        }
        Ok(Self { document, ..intent })
    }
}

/// Parses a UUIDv7 in its canonical lower-case form.
///
/// # Errors
/// [`IntentError::Member`], at the pointer.
pub fn parse_id(text: &str, pointer: &str) -> Result<Uuid, IntentError> {
    let id = Uuid::try_parse(text).map_err(|_| member(pointer, "must be a UUIDv7"))?;
    if id.get_version_num() != 7 || id.hyphenated().to_string() != text {
        return Err(member(pointer, "must be a UUIDv7 in lower case with hyphens"));
    }
    Ok(id)
}

fn refuse_unknown(object: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), IntentError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(member(
            format!("{at}/{}", escape(key)),
            format!("unknown member; known are {}", known.join(", ")),
        )),
        None => Ok(()),
    }
}

/// Escapes one RFC 6901 reference token, shortened so that an error stays one line.
fn escape(token: &str) -> String {
    let short: String = token.chars().filter(|c| !c.is_control()).take(64).collect();
    short.replace('~', "~0").replace('/', "~1")
}

fn string(object: &Map<String, Value>, key: &str, at: &str) -> Result<Option<String>, IntentError> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(member(format!("{at}/{key}"), "must be a string")),
    }
}

fn bounded_text(
    object: &Map<String, Value>,
    key: &str,
    bytes_max: usize,
) -> Result<Option<String>, IntentError> {
    let text = string(object, key, "")?;
    match &text {
        Some(text) if text.is_empty() || text.len() > bytes_max => {
            Err(member(format!("/{key}"), format!("must be 1 to {bytes_max} bytes, is {}", text.len())))
        }
        _ => Ok(text),
    }
}

fn optional_id(object: &Map<String, Value>, key: &str, at: &str) -> Result<Option<String>, IntentError> {
    let text = string(object, key, at)?;
    match &text {
        Some(text) if !is_id(text) => Err(member(
            format!("{at}/{key}"),
            format!("must be 1 to {} characters of A-Z a-z 0-9 . _ : -", limits::ID_MAX_CHARS),
        )),
        _ => Ok(text),
    }
}

fn required_id(object: &Map<String, Value>, key: &str, at: &str) -> Result<String, IntentError> {
    optional_id(object, key, at)?.ok_or_else(|| member(format!("{at}/{key}"), "is required"))
}

/// Whether `text` is an id: 1 to 128 characters of `[A-Za-z0-9._:-]`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= limits::ID_MAX_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
}

fn list<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    at: &str,
    count_max: usize,
) -> Result<Option<&'a Vec<Value>>, IntentError> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) if items.len() <= count_max => Ok(Some(items)),
        Some(Value::Array(items)) => Err(member(
            format!("{at}/{key}"),
            format!("has {} items, at most {count_max} are taken", items.len()),
        )),
        Some(_) => Err(member(format!("{at}/{key}"), "must be an array")),
    }
}

fn parse_reasoning(object: &Map<String, Value>) -> Result<Option<Vec<String>>, IntentError> {
    let Some(items) = list(object, "reasoning", "", limits::REASONING_STEPS_MAX)? else { return Ok(None) };
    let thoughts = items.iter().enumerate().map(|(i, item)| match item {
        Value::String(thought) => Ok(thought.clone()),
        _ => Err(member(format!("/reasoning/{i}"), "must be a string")),
    });
    thoughts.collect::<Result<_, _>>().map(Some)
}

fn parse_observations(object: &Map<String, Value>) -> Result<Option<Vec<Observation>>, IntentError> {
    let Some(items) = list(object, "observations", "", limits::OBSERVATIONS_MAX)? else { return Ok(None) };
    let observations = items.iter().enumerate().map(|(i, item)| {
        let at = format!("/observations/{i}");
        let observation = item.as_object().ok_or_else(|| member(at.as_str(), "must be an object"))?;
        refuse_unknown(observation, &["source", "call", "trust", "content"], &at)?;
        let trust = string(observation, "trust", &at)?;
        if let Some(other) = trust.as_deref().filter(|trust| !["trusted", "untrusted"].contains(trust)) {
            let problem = format!("must be \"trusted\" or \"untrusted\", is \"{}\"", escape(other));
            return Err(member(format!("{at}/trust"), problem));
        }
        Ok(Observation {
            source: tool_name(observation, "source", &at)?,
            call: optional_id(observation, "call", &at)?,
            trust,
            content: observation
                .get("content")
                .cloned()
                .ok_or_else(|| member(format!("{at}/content"), "is required"))?,
        })
    });
    observations.collect::<Result<_, _>>().map(Some)
}

fn tool_name(object: &Map<String, Value>, key: &str, at: &str) -> Result<String, IntentError> {
    let name = string(object, key, at)?.ok_or_else(|| member(format!("{at}/{key}"), "is required"))?;
    if name.is_empty() || name.len() > limits::TOOL_NAME_MAX_BYTES {
        let problem = format!("must be 1 to {} bytes, is {}", limits::TOOL_NAME_MAX_BYTES, name.len());
        return Err(member(format!("{at}/{key}"), problem));
    }
    Ok(name)
}

fn parse_calls(object: &Map<String, Value>) -> Result<Vec<Call>, IntentError> {
    let items = list(object, "calls", "", limits::CALLS_MAX)?
        .filter(|items| !items.is_empty())
        .ok_or_else(|| member("/calls", format!("needs 1 to {} calls", limits::CALLS_MAX)))?;
    let calls = items
        .iter()
        .enumerate()
        .map(|(i, item)| parse_call(item, &format!("/calls/{i}")))
        .collect::<Result<Vec<_>, _>>()?;
    let mut ids = HashSet::new();
    for (i, call) in calls.iter().enumerate() {
        if !ids.insert(call.id.as_str()) {
            return Err(member(format!("/calls/{i}/id"), format!("\"{}\" is used twice", call.id)));
        }
    }
    check_order(&calls)?;
    Ok(calls)
}

fn parse_call(item: &Value, at: &str) -> Result<Call, IntentError> {
    let call = item.as_object().ok_or_else(|| member(at, "must be an object"))?;
    refuse_unknown(call, &["id", "server", "tool", "args", "after"], at)?;
    let after = list(call, "after", at, limits::CALLS_MAX)?.map_or(Ok(Vec::new()), |items| {
        let names = items.iter().enumerate().map(|(i, item)| match item {
            Value::String(id) => Ok(id.clone()),
            _ => Err(member(format!("{at}/after/{i}"), "must be the id of a call")),
        });
        names.collect::<Result<Vec<_>, _>>()
    })?;
    Ok(Call {
        id: required_id(call, "id", at)?,
        server: if call.contains_key("server") { tool_name(call, "server", at)? } else { String::new() },
        tool: tool_name(call, "tool", at)?,
        args: match call.get("args") {
            Some(args @ Value::Object(_)) => args.clone(),
            Some(_) => return Err(member(format!("{at}/args"), "must be an object")),
            None => {
                return Err(member(format!("{at}/args"), "is required (an object, {} if there are none)"));
            }
        },
        after,
    })
}

/// Every `after` names a call of this intent, and there is an order in which all can run.
fn check_order(calls: &[Call]) -> Result<(), IntentError> {
    for (i, call) in calls.iter().enumerate() {
        if let Some(unknown) = call.after.iter().find(|id| !calls.iter().any(|other| other.id == **id)) {
            let problem = format!("\"{}\" is no call of this intent", escape(unknown));
            return Err(member(format!("/calls/{i}/after"), problem));
        }
    }
    let mut done: HashSet<&str> = HashSet::new();
    loop {
        let before = done.len();
        for call in calls {
            if call.after.iter().all(|id| done.contains(id.as_str())) {
                done.insert(&call.id);
            }
        }
        if done.len() == calls.len() {
            return Ok(());
        }
        if done.len() == before {
            let stuck = calls.iter().position(|call| !done.contains(call.id.as_str())).unwrap_or(0);
            return Err(member(format!("/calls/{stuck}/after"), "the calls wait for each other in a circle"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> String {
        Intent::parse(body.as_bytes()).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_whole_intent_is_read() {
        let intent = Intent::parse(
            br#"{"id":"0199c2b0-0000-7000-8000-000000000001","created":"2026-11-21T10:00:00.000Z","agent":"a",
                "session":"s-1","goal":"g","reasoning":["one"],"observations":[{"source":"inbox","content":"x","trust":"untrusted"}],
                "calls":[{"id":"c1","server":"mail","tool":"send","args":{"to":"b"}},{"id":"c2","tool":"t","args":{},"after":["c1"]}]}"#,
        )
        .expect("valid");
        assert_eq!(intent.calls.len(), 2);
        assert_eq!(intent.calls[1].server, "");
        assert_eq!(intent.reasoning.as_deref(), Some(&["one".to_owned()][..]));
        assert!(intent.atomic);
    }

    #[test]
    fn every_refusal_names_its_place() {
        let call = r#""calls":[{"id":"c1","tool":"t","args":{}}]"#;
        for (body, start) in [
            (r#"[]"#.to_owned(), "the document: must be"),
            (r#"{"agent":"a","session":"s"}"#.to_owned(), "/calls: needs"),
            (format!(r#"{{"session":"s",{call}}}"#), "/agent: is required"),
            (format!(r#"{{"agent":"a b","session":"s",{call}}}"#), "/agent: must be 1 to 128"),
            (format!(r#"{{"agent":"a","session":"s","call":1,{call}}}"#), "/call: unknown member"),
            (format!(r#"{{"agent":"a","session":"s","id":"x",{call}}}"#), "/id: must be a UUIDv7"),
            (
                format!(r#"{{"agent":"a","session":"s","id":"0199c2b0-0000-4000-8000-000000000001",{call}}}"#),
                "/id: must be a UUIDv7",
            ),
            (r#"{"agent":"a","session":"s","calls":[{"id":"c","tool":"t","args":[]}]}"#.to_owned(), "/calls/0/args: must be an object"),
            (r#"{"agent":"a","session":"s","calls":[{"id":"c","tool":"","args":{}}]}"#.to_owned(), "/calls/0/tool: must be 1 to"),
            (
                r#"{"agent":"a","session":"s","calls":[{"id":"c","tool":"t","args":{}},{"id":"c","tool":"t","args":{}}]}"#.to_owned(),
                "/calls/1/id: \"c\" is used twice",
            ),
            (
                r#"{"agent":"a","session":"s","calls":[{"id":"c","tool":"t","args":{},"after":["d"]},{"id":"d","tool":"t","args":{},"after":["c"]}]}"#.to_owned(),
                "/calls/0/after: the calls wait",
            ),
            (r#"{"agent":"a","session":"s","calls":[{"id":"c","tool":"t","args":{},"after":["x"]}]}"#.to_owned(), "/calls/0/after: \"x\" is no call"),
        ] {
            let message = problem(&body);
            assert!(message.starts_with(start), "{body}: {message}");
        }
    }
}
