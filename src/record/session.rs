//! The records behind `session`, `turn` and `outcome` entries: what an application says of the user, and a tool server of
//! a result. They are parsed once and then trusted to be well formed; who sent them is for others to establish.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::intent::is_id;
use super::limits;

/// What an application says when it opens a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    /// The agent's name.
    pub agent: String,
    /// The session, as the agent's intents name it.
    pub session: String,
    /// The end user that the agent acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<EndUser>,
    /// `prod`, `staging`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The user's own words, oldest first.
    pub words: Vec<String>,
    /// What the user agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<DeclaredPlan>,
    /// How many agents stand between the user and this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation_depth: Option<u32>,
}

/// The end user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndUser {
    /// Who, as the application names its users.
    pub id: String,
    /// The roles that it gives them; an agent never exceeds them.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What an application says when the user speaks again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnRecord {
    /// The user's own words.
    pub words: Vec<String>,
    /// What the user agrees to from here on; absent, the plan before holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<DeclaredPlan>,
}

/// A plan, as it was given. What its steps mean is for the policy to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPlan {
    /// Its steps, each an object that names a tool.
    pub steps: Vec<Map<String, Value>>,
}

/// What a tool server says of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRecord {
    /// The call's id in its intent.
    pub call: String,
    /// The intent's id.
    pub intent: Uuid,
    /// What the tool answered.
    pub result: Value,
    /// The tool's name; its server's is that of the registration.
    pub tool: String,
}

/// A record that is not taken: a member, by its RFC 6901 pointer, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct RecordError {
    pointer: String,
    problem: String,
}

fn wrong(pointer: impl Into<String>, problem: impl Into<String>) -> RecordError {
    RecordError { pointer: pointer.into(), problem: problem.into() }
}

const NOT_AN_ID: &str = "must be 1 to 128 characters of A-Z a-z 0-9 . _ : -";

fn check_id(pointer: impl Into<String>, text: &str) -> Result<(), RecordError> {
    if is_id(text) { Ok(()) } else { Err(wrong(pointer, NOT_AN_ID)) }
}

fn check_count(pointer: &str, count: usize, count_max: usize) -> Result<(), RecordError> {
    if count <= count_max {
        return Ok(());
    }
    Err(wrong(pointer, format!("has {count} items, at most {count_max} are taken")))
}

impl SessionRecord {
    /// Checks names and limits.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn check(&self) -> Result<(), RecordError> {
        check_id("/agent", &self.agent)?;
        check_id("/session", &self.session)?;
        if let Some(EndUser { id, roles }) = &self.principal {
            if id.is_empty() || id.len() > limits::PRINCIPAL_MAX_BYTES {
                let problem = format!("must be 1 to {} bytes, is {}", limits::PRINCIPAL_MAX_BYTES, id.len());
                return Err(wrong("/principal/id", problem));
            }
            check_count("/principal/roles", roles.len(), limits::ROLES_MAX)?;
            for (i, role) in roles.iter().enumerate() {
                check_id(format!("/principal/roles/{i}"), role)?;
            }
        }
        if let Some(environment) = &self.environment {
            check_id("/environment", environment)?;
        }
        check_said(&self.words, self.plan.as_ref())?;
        match self.delegation_depth {
            Some(depth) if depth > limits::DELEGATION_DEPTH_MAX => {
                Err(wrong("/delegation_depth", format!("must be 0 to {}", limits::DELEGATION_DEPTH_MAX)))
            }
            _ => Ok(()),
        }
    }
}

impl TurnRecord {
    /// Checks limits.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn check(&self) -> Result<(), RecordError> {
        check_said(&self.words, self.plan.as_ref())
    }
}

fn check_said(words: &[String], plan: Option<&DeclaredPlan>) -> Result<(), RecordError> {
    check_count("/words", words.len(), limits::WORDS_MAX)?;
    let Some(plan) = plan else { return Ok(()) };
    check_count("/plan/steps", plan.steps.len(), limits::PLAN_STEPS_MAX)?;
    for (i, step) in plan.steps.iter().enumerate() {
        let tool = step.get("tool").and_then(Value::as_str).unwrap_or_default();
        if tool.is_empty() || tool.len() > limits::TOOL_NAME_MAX_BYTES {
            let problem = format!("must be a tool's name of 1 to {} bytes", limits::TOOL_NAME_MAX_BYTES);
            return Err(wrong(format!("/plan/steps/{i}/tool"), problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn session(change: &Value) -> Result<(), String> {
        let mut whole = json!({ "agent": "a", "session": "s", "words": ["pay Bob"] });
        for (name, value) in change.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        let record: SessionRecord = serde_json::from_value(whole).map_err(|e| e.to_string())?;
        record.check().map_err(|e| e.to_string())
    }

    #[test]
    fn every_limit_is_reached_and_every_refusal_names_its_place() {
        let long = "x".repeat(1_025);
        let step = json!({ "tool": "send", "args": {} });
        for (change, problem) in [
            (json!({}), None),
            (json!({ "words": [] }), None),
            (json!({ "words": vec!["w"; 64], "plan": { "steps": vec![step.clone(); 64] } }), None),
            (json!({ "principal": { "id": long[..1024], "roles": vec!["r"; 64] } }), None),
            (json!({ "environment": "prod", "delegation_depth": 64 }), None),
            (json!({ "agent": "a b" }), Some("/agent: must be 1 to 128")),
            (json!({ "session": "" }), Some("/session: must be 1 to 128")),
            (json!({ "words": vec!["w"; 65] }), Some("/words: has 65 items")),
            (json!({ "words": [1] }), Some("invalid type")),
            (json!({ "principal": { "id": "" } }), Some("/principal/id: must be 1 to 1024 bytes, is 0")),
            (json!({ "principal": { "id": long } }), Some("/principal/id: must be 1 to 1024")),
            (json!({ "principal": { "id": "u", "roles": vec!["r"; 65] } }), Some("/principal/roles: has 65")),
            (
                json!({ "principal": { "id": "u", "roles": ["a", "b c"] } }),
                Some("/principal/roles/1: must be"),
            ),
            (json!({ "principal": { "id": "u", "admin": true } }), Some("unknown field `admin`")),
            (json!({ "environment": "" }), Some("/environment: must be")),
            (json!({ "plan": { "steps": vec![step; 65] } }), Some("/plan/steps: has 65")),
            (
                json!({ "plan": { "steps": [{ "tool": "t" }, { "args": {} }] } }),
                Some("/plan/steps/1/tool: must be"),
            ),
            (json!({ "delegation_depth": 65 }), Some("/delegation_depth: must be 0 to 64")),
            (json!({ "delegation_depth": -1 }), Some("invalid value")),
            (json!({ "goal": "pay" }), Some("unknown field `goal`")),
        ] {
            match (session(&change), problem) {
                (Ok(()), None) => {}
                (Err(said), Some(problem)) => assert!(said.contains(problem), "{said}, not {problem}"),
                (said, _) => panic!("{change}: {said:?}"),
            }
        }
    }
}
