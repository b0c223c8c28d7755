//! The question about one call, whole: who asks, what for, with which arguments and facts. It is sealed in
//! its JSON form, from which the verdict can be derived again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json::{write_bool, write_integer, write_name, write_text_member, write_texts};
use super::tools::{Tool, UNREGISTERED, action_id};
use super::value::{EXACT, Record, Typed, arguments, write_record_json};
use crate::record::canonical::to_jcs;

/// What the registry says about the agent. Never what the agent says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentFacts<'a> {
    /// Its registered name.
    pub name: &'a str,
    /// Its roles, in any order.
    pub roles: &'a [String],
    /// Was the intent signed with the agent's own key, and verified?
    pub signed: bool,
}

/// A declared call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallView<'a> {
    /// The call's id in its intent.
    pub id: &'a str,
    /// The tool's server; empty where none was named.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// The arguments, an object. Anything else denies the call.
    pub args: &'a Value,
}

/// What the intent claims about itself. Rules may demand that it is there; nothing is grounded on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claimed {
    /// Is a goal stated?
    pub goal_stated: bool,
    /// How many steps of reasoning came with it.
    pub reasoning_steps: u32,
    /// How many observations came with it.
    pub observations: u32,
}

/// All that a decision depends on beside the bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecideInput<'a> {
    /// Who asks.
    pub agent: AgentFacts<'a>,
    /// The calls, in declared order.
    pub calls: &'a [CallView<'a>],
    /// What the intent claims about itself.
    pub claimed: Claimed,
    /// The environment, as declared.
    pub environment: Option<&'a str>,
    /// The end user the agent says it acts for.
    pub principal: Option<&'a str>,
    /// The entry's own time: milliseconds since 1970, UTC.
    pub at: i64,
}

/// Why the JSON form of a request cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A member is missing, of another type, or not one of a request.
    #[error("the sealed request is malformed at {at}")]
    Malformed {
        /// The RFC 6901 path of the member.
        at: &'static str,
    },
    /// The request's action, tool and registration contradict each other under this bundle.
    #[error("the sealed request does not belong to this bundle: {why}")]
    OtherBundle {
        /// In what way.
        why: &'static str,
    },
}

/// A request, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) call: String,
    pub(super) agent: Agent,
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) registered: bool,
    pub(super) context: Record,
}

/// The principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) roles: BTreeSet<String>,
    pub(super) signed: bool,
}

impl Agent {
    pub(super) fn of(facts: AgentFacts<'_>) -> Self {
        Self {
            name: facts.name.to_owned(),
            roles: facts.roles.iter().cloned().collect(),
            signed: facts.signed,
        }
    }

    /// Writes what the registry says, as sealed.
    fn write_json(&self, out: &mut Vec<u8>) {
        write_text_member(b'{', "name", &self.name, out);
        write_name(b',', "roles", out);
        write_texts(&self.roles, out);
        write_name(b',', "signed", out);
        write_bool(self.signed, out);
        out.push(b'}');
    }
}

impl Request {
    /// Builds the request of one call.
    ///
    /// # Errors
    /// Says why there is no request: the call is denied.
    pub(super) fn build(
        input: &DecideInput<'_>,
        agent: &Agent,
        call: &CallView<'_>,
        tool: Option<&Tool>,
    ) -> Result<Self, &'static str> {
        let args = call.args.as_object().ok_or("the arguments are not an object")?;
        if !(-EXACT..=EXACT).contains(&input.at) {
            return Err("the time is out of range");
        }
        let (args, unrepresented) = match tool {
            Some(tool) => {
                let (record, lost) = arguments(args, &tool.fields);
                (Some(record), lost)
            }
            // Nothing is known about these arguments; where there are any, the whole is unrepresented.
            None => (None, args.iter().take(1).map(|_| String::new()).collect()),
        };
        let mut context = Record::new();
        let mut put = |name: &str, value: Typed| context.insert(name.to_owned(), value);
        put("calls_in_intent", Typed::Long(i64::try_from(input.calls.len()).map_err(|_| "too many calls")?));
        put("claimed", claimed(input.claimed));
        put("time", Typed::Record(Record::from([("ms".to_owned(), Typed::Long(input.at))])));
        put(
            "tool",
            Typed::Record(Record::from([
                ("name".to_owned(), Typed::Text(call.tool.to_owned())),
                ("server".to_owned(), Typed::Text(call.server.to_owned())),
            ])),
        );
        put("unrepresented", Typed::Set(unrepresented.into_iter().map(Typed::Text).collect()));
        for (name, text) in [("environment", input.environment), ("principal", input.principal)] {
            if let Some(text) = text {
                put(name, Typed::Text(text.to_owned()));
            }
        }
        if let Some(args) = args {
            put("args", Typed::Record(args));
        }
        Ok(Self {
            call: call.id.to_owned(),
            agent: agent.clone(),
            server: call.server.to_owned(),
            tool: call.tool.to_owned(),
            registered: tool.is_some(),
            context,
        })
    }

    /// The resource's id; for a registered tool also its action's.
    pub(super) fn tool_id(&self) -> String {
        action_id(&self.server, &self.tool)
    }

    /// Writes the JSON form, canonical: see `docs/policy.md`.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        let tool = self.tool_id();
        write_text_member(b'{', "action", if self.registered { &tool } else { UNREGISTERED }, out);
        write_text_member(b',', "call", &self.call, out);
        write_name(b',', "context", out);
        write_record_json(&self.context, out);
        write_name(b',', "principal", out);
        write_name(b'{', "attrs", out);
        self.agent.write_json(out);
        write_text_member(b',', "id", &self.agent.name, out);
        write_text_member(b',', "type", "Agent", out);
        out.push(b'}');
        write_name(b',', "resource", out);
        write_name(b'{', "attrs", out);
        write_text_member(b'{', "name", &self.tool, out);
        write_name(b',', "registered", out);
        write_bool(self.registered, out);
        write_text_member(b',', "server", &self.server, out);
        out.push(b'}');
        write_text_member(b',', "id", &tool, out);
        write_text_member(b',', "type", "Tool", out);
        out.extend_from_slice(b"}}");
    }

    /// Reads [`Self::write_json`]'s form.
    pub(super) fn from_json(value: &Value) -> Result<Self, RequestError> {
        let read = |at: &'static str| value.pointer(at).ok_or(RequestError::Malformed { at });
        let text =
            |at: &'static str| read(at)?.as_str().map(str::to_owned).ok_or(RequestError::Malformed { at });
        let flag = |at: &'static str| read(at)?.as_bool().ok_or(RequestError::Malformed { at });
        let object = |at: &'static str| read(at)?.as_object().ok_or(RequestError::Malformed { at });
        const ROLES: &str = "/principal/attrs/roles";
        let roles = read(ROLES)?
            .as_array()
            .and_then(|roles| roles.iter().map(|role| role.as_str().map(str::to_owned)).collect())
            .ok_or(RequestError::Malformed { at: ROLES })?;
        let context = object("/context")?
            .iter()
            .map(|(name, value)| Some((name.clone(), Typed::from_json(value)?)))
            .collect::<Option<Record>>()
            .ok_or(RequestError::Malformed { at: "/context" })?;
        let request = Self {
            call: text("/call")?,
            agent: Agent {
                name: text("/principal/attrs/name")?,
                roles,
                signed: flag("/principal/attrs/signed")?,
            },
            server: text("/resource/attrs/server")?,
            tool: text("/resource/attrs/name")?,
            registered: flag("/resource/attrs/registered")?,
            context,
        };
        // Ids follow from the attributes, and nothing else may be there: the form says each thing one way.
        let mut again = Vec::new();
        request.write_json(&mut again);
        let same = to_jcs(value).is_ok_and(|given| given == again);
        if same { Ok(request) } else { Err(RequestError::Malformed { at: "" }) }
    }
}

fn claimed(claimed: Claimed) -> Typed {
    Typed::Record(Record::from([
        ("goal_stated".to_owned(), Typed::Bool(claimed.goal_stated)),
        ("observations".to_owned(), Typed::Long(claimed.observations.into())),
        ("reasoning_steps".to_owned(), Typed::Long(claimed.reasoning_steps.into())),
    ]))
}

/// Writes the facts that all calls of an intent share, as sealed.
pub(super) fn write_facts(input: &DecideInput<'_>, agent: &Agent, out: &mut Vec<u8>) {
    write_name(b'{', "agent", out);
    agent.write_json(out);
    write_name(b',', "at", out);
    write_integer(input.at, out);
    write_name(b',', "calls", out);
    write_integer(i64::try_from(input.calls.len()).unwrap_or(i64::MAX), out);
    write_name(b',', "claimed", out);
    write_name(b'{', "goal_stated", out);
    write_bool(input.claimed.goal_stated, out);
    write_name(b',', "observations", out);
    write_integer(input.claimed.observations.into(), out);
    write_name(b',', "reasoning_steps", out);
    write_integer(input.claimed.reasoning_steps.into(), out);
    out.push(b'}');
    for (name, text) in [("environment", input.environment), ("principal", input.principal)] {
        if let Some(text) = text {
            write_text_member(b',', name, text, out);
        }
    }
    out.push(b'}');
}
