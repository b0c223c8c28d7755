//! The question about one call, whole: who asks, what for, with which arguments and facts. It is sealed in
//! its JSON form, from which the verdict can be derived again.

use std::collections::BTreeSet;

use serde::Deserialize as _;
use serde_json::Value;

use super::facts::{self, Knowledge, PlanFacts, PlanView, RateFacts, SessionFacts, SpendFacts};
use super::json::{write_bool, write_integer, write_name, write_text_member, write_texts};
use super::provenance::{Asked, Grounding};
use super::signals::Signals;
use super::tools::{Tool, UNREGISTERED, action_id};
use super::value::{EXACT, Record, Typed, arguments, write_record_json};
use super::version::FactsForm;
use crate::record::canonical::{to_jcs, write_jcs};
use crate::record::decision::Outcome;

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
#[derive(Debug, Clone, Copy)]
pub struct CallView<'a> {
    /// The call's id in its intent.
    pub id: &'a str,
    /// The tool's server; empty where none was named.
    pub server: &'a str,
    /// The tool's name.
    pub tool: &'a str,
    /// The arguments, an object. Anything else denies the call.
    pub args: &'a Value,
    /// The ids of the calls that come before it.
    pub after: &'a [String],
    /// How often the same call, tool and arguments, was decided in this session before.
    pub repeats: u32,
    /// Its signals, where they were computed ahead by [`Engine::signals`](super::Engine::signals) **of this very
    /// engine**: another bundle may have other tools parsed. `None`: the engine computes them.
    pub signals: Option<&'a Signals>,
}

impl<'a> CallView<'a> {
    /// A call by itself, the first of its kind.
    #[must_use]
    pub const fn new(id: &'a str, server: &'a str, tool: &'a str, args: &'a Value) -> Self {
        Self { id, server, tool, args, after: &[], repeats: 0, signals: None }
    }
}

/// What the intent claims about itself. Rules may demand that it is there; nothing is grounded on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claimed<'a> {
    /// Is a goal stated?
    pub goal_stated: bool,
    /// How many steps of reasoning came with it.
    pub reasoning_steps: u32,
    /// How many observations came with it.
    pub observations: u32,
    /// The environment, as the agent declares it.
    pub environment: Option<&'a str>,
    /// The end user the agent says it acts for.
    pub principal: Option<&'a str>,
}

/// All that a decision depends on beside the bundle.
#[derive(Debug, Clone, Copy)]
pub struct DecideInput<'a> {
    /// Who asks.
    pub agent: AgentFacts<'a>,
    /// The calls, in declared order.
    pub calls: &'a [CallView<'a>],
    /// Does one stopped call stop all of them?
    pub atomic: bool,
    /// What the intent claims about itself.
    pub claimed: Claimed<'a>,
    /// What the log says about the session.
    pub session: &'a SessionFacts,
    /// How much was asked lately.
    pub rate: RateFacts,
    /// What the session has heard and read. `None`: nothing, and nothing is grounded.
    pub knowledge: Option<Knowledge<'a>>,
    /// The plan that the session follows.
    pub plan: Option<PlanView<'a>>,
    /// The entry's own time: milliseconds since 1970, UTC.
    pub at: i64,
}

impl<'a> DecideInput<'a> {
    /// Calls that run all or none, in a session of which nothing is known, with nothing claimed.
    #[must_use]
    pub fn new(agent: AgentFacts<'a>, calls: &'a [CallView<'a>], at: i64) -> Self {
        Self {
            agent,
            calls,
            atomic: true,
            claimed: Claimed::default(),
            session: SessionFacts::UNKNOWN,
            rate: RateFacts::default(),
            knowledge: None,
            plan: None,
            at,
        }
    }
}

/// What was learned about one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallFacts {
    pub(super) grounding: Grounding,
    pub(super) asked: Asked,
    pub(super) signals: Signals,
    pub(super) plan: Option<PlanFacts>,
    pub(super) spend: SpendFacts,
    /// Labels of the session, and those that other calls of the intent may have brought by then.
    pub(super) labels: BTreeSet<String>,
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
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) call: String,
    pub(super) agent: Agent,
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) registered: bool,
    /// What rules read as `resource`.
    pub(super) resource: Record,
    pub(super) context: Record,
    /// What the transforms of the rules that matched made of the call.
    pub(super) changed: Option<Changed>,
    /// The strictest outcome of the calls that it comes after, where they are stopped and it may not run without them.
    pub(super) stopped: Option<Outcome>,
    /// Is it a question that nobody asked, in which facts are others than they were? Then nothing is kept of it.
    pub(super) supposed: bool,
}

/// What transforms made of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Changed {
    /// Another call: its arguments, and what rules see of it.
    Call { args: Value, context: Record },
    /// The same one: there was nothing to change.
    Same,
    /// None: why they could not be applied.
    Failed(String),
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
        form: FactsForm,
        input: &DecideInput<'_>,
        agent: &Agent,
        call: &CallView<'_>,
        tool: Option<&Tool>,
        facts: &CallFacts,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            call: call.id.to_owned(),
            agent: agent.clone(),
            server: call.server.to_owned(),
            tool: call.tool.to_owned(),
            registered: tool.is_some(),
            resource: resource(form, call.server, call.tool, tool),
            context: context(form, input, call, tool, facts)?,
            changed: None,
            stopped: None,
            supposed: false,
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
        if let Some(changed) = &self.changed {
            write_name(b',', "changed", out);
            changed.write_json(out);
        }
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
        write_record_json(&self.resource, out);
        write_text_member(b',', "id", &tool, out);
        write_text_member(b',', "type", "Tool", out);
        out.push(b'}');
        if let Some(stopped) = self.stopped {
            write_text_member(b',', "stopped", stopped.as_str(), out);
        }
        out.push(b'}');
    }

    /// Reads [`Self::write_json`]'s form.
    pub(super) fn from_json(value: &Value) -> Result<Self, RequestError> {
        let read = |at: &'static str| value.pointer(at).ok_or(RequestError::Malformed { at });
        let text =
            |at: &'static str| read(at)?.as_str().map(str::to_owned).ok_or(RequestError::Malformed { at });
        let flag = |at: &'static str| read(at)?.as_bool().ok_or(RequestError::Malformed { at });
        const ROLES: &str = "/principal/attrs/roles";
        let roles = read(ROLES)?
            .as_array()
            .and_then(|roles| roles.iter().map(|role| role.as_str().map(str::to_owned)).collect())
            .ok_or(RequestError::Malformed { at: ROLES })?;
        let stopped = value.get("stopped").map(Outcome::deserialize);
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
            resource: typed_record(read("/resource/attrs")?, "/resource/attrs")?,
            context: typed_record(read("/context")?, "/context")?,
            changed: value.get("changed").map(Changed::from_json).transpose()?,
            stopped: stopped.transpose().map_err(|_| RequestError::Malformed { at: "/stopped" })?,
            supposed: false,
        };
        // Ids follow from the attributes, and nothing else may be there: the form says each thing one way.
        let mut again = Vec::new();
        request.write_json(&mut again);
        let same = to_jcs(value).is_ok_and(|given| given == again);
        if same { Ok(request) } else { Err(RequestError::Malformed { at: "" }) }
    }
}

impl Changed {
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call { args, context } => {
                write_name(b'{', "args", out);
                // INVARIANT: a call without a canonical form is not one that may run (`Changed::Failed`).
                let _ = write_jcs(args, out);
                write_name(b',', "context", out);
                write_record_json(context, out);
            }
            Self::Same => {
                write_name(b'{', "same", out);
                write_bool(true, out);
            }
            Self::Failed(why) => write_text_member(b'{', "failed", why, out),
        }
        out.push(b'}');
    }

    fn from_json(value: &Value) -> Result<Self, RequestError> {
        let read = |name: &str| value.get(name);
        match (read("args"), read("context"), read("failed"), read("same")) {
            (Some(args), Some(context), None, None) => {
                Ok(Self::Call { args: args.clone(), context: typed_record(context, "/changed/context")? })
            }
            (None, None, Some(Value::String(why)), None) => Ok(Self::Failed(why.clone())),
            (None, None, None, Some(Value::Bool(true))) => Ok(Self::Same),
            _ => Err(RequestError::Malformed { at: "/changed" }),
        }
    }
}

fn typed_record(value: &Value, at: &'static str) -> Result<Record, RequestError> {
    let attributes = value.as_object().ok_or(RequestError::Malformed { at })?.iter();
    let attributes = attributes.map(|(name, value)| Some((name.clone(), Typed::from_json(value)?)));
    attributes.collect::<Option<Record>>().ok_or(RequestError::Malformed { at })
}

/// What rules read as `resource`.
pub(super) fn resource(form: FactsForm, server: &str, name: &str, tool: Option<&Tool>) -> Record {
    let mut resource = Record::new();
    let mut put = |name: &str, value: Typed| resource.insert(name.to_owned(), value);
    put("name", Typed::Text(name.to_owned()));
    put("registered", Typed::Bool(tool.is_some()));
    put("server", Typed::Text(server.to_owned()));
    if form == FactsForm::V1 {
        return resource;
    }
    // Of a tool that nobody registered the worst is assumed.
    let labels = tool.map(|tool| &tool.labels);
    put("irreversible", Typed::Bool(labels.is_none_or(|labels| labels.irreversible)));
    put("labelled", Typed::Bool(labels.is_some_and(|labels| labels.labelled)));
    put("sensitive", Typed::Bool(labels.is_none_or(|labels| labels.output.sensitive)));
    put("untrusted", Typed::Bool(labels.is_none_or(|labels| labels.output.untrusted)));
    if let Some(region) = labels.and_then(|labels| labels.region.as_ref()) {
        put("region", Typed::Text(region.clone()));
    }
    resource
}

/// What rules read as `context`.
pub(super) fn context(
    form: FactsForm,
    input: &DecideInput<'_>,
    call: &CallView<'_>,
    tool: Option<&Tool>,
    facts: &CallFacts,
) -> Result<Record, &'static str> {
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
    put("claimed", claimed(form, input.claimed));
    put("time", facts::record([("ms", Typed::Long(input.at))]));
    let (name, server) = (Typed::Text(call.tool.to_owned()), Typed::Text(call.server.to_owned()));
    put("tool", facts::record([("name", name), ("server", server)]));
    put("unrepresented", Typed::Set(unrepresented.into_iter().map(Typed::Text).collect()));
    if let Some(args) = args {
        put("args", Typed::Record(args));
    }
    match form {
        FactsForm::V1 => {
            for (name, text) in input.claimed.named() {
                put(name, Typed::Text(text.to_owned()));
            }
        }
        FactsForm::V2 => {
            if let Some(environment) = &input.session.environment {
                put("environment", Typed::Text(environment.clone()));
            }
            if let Some(principal) = &input.session.principal {
                put("principal", facts::principal(principal));
            }
            put("asked", facts::asked(facts.asked));
            put("grounding", facts::grounding(&facts.grounding));
            put("loop", facts::record([("repeats", facts::count(call.repeats))]));
            if let Some(plan) = facts.plan {
                put("plan", facts::plan(plan));
            }
            put("rate", facts::rate(input.rate));
            put("session", facts::session(input.session, &facts.labels));
            put("signals", facts::signals(&facts.signals));
            put("spend", facts::spend(facts.spend));
        }
    }
    Ok(context)
}

impl<'a> Claimed<'a> {
    /// What has a name of its own, in order.
    fn named(self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let named = [("environment", self.environment), ("principal", self.principal)];
        named.into_iter().filter_map(|(name, text)| Some((name, text?)))
    }
}

fn claimed(form: FactsForm, claimed: Claimed<'_>) -> Typed {
    let mut attributes = Record::from([
        ("goal_stated".to_owned(), Typed::Bool(claimed.goal_stated)),
        ("observations".to_owned(), Typed::Long(claimed.observations.into())),
        ("reasoning_steps".to_owned(), Typed::Long(claimed.reasoning_steps.into())),
    ]);
    if form != FactsForm::V1 {
        attributes
            .extend(claimed.named().map(|(name, text)| (name.to_owned(), Typed::Text(text.to_owned()))));
    }
    Typed::Record(attributes)
}

/// Writes the facts that all calls of an intent share, as sealed.
pub(super) fn write_facts(form: FactsForm, input: &DecideInput<'_>, agent: &Agent, out: &mut Vec<u8>) {
    write_name(b'{', "agent", out);
    agent.write_json(out);
    write_name(b',', "at", out);
    write_integer(input.at, out);
    if form != FactsForm::V1 {
        write_name(b',', "atomic", out);
        write_bool(input.atomic, out);
    }
    write_name(b',', "calls", out);
    write_integer(i64::try_from(input.calls.len()).unwrap_or(i64::MAX), out);
    write_name(b',', "claimed", out);
    if let Typed::Record(claimed) = claimed(form, input.claimed) {
        write_record_json(&claimed, out);
    }
    let mut more = Record::new();
    let mut put = |name: &str, value: Typed| more.insert(name.to_owned(), value);
    if form == FactsForm::V1 {
        input.claimed.named().for_each(|(name, text)| drop(put(name, Typed::Text(text.to_owned()))));
    } else {
        if let Some(environment) = &input.session.environment {
            put("environment", Typed::Text(environment.clone()));
        }
        if let Some(principal) = &input.session.principal {
            put("principal", facts::principal(principal));
        }
        put("rate", facts::rate(input.rate));
        put("session", facts::session(input.session, &input.session.labels));
    }
    // All of these names come after "claimed".
    for (name, value) in &more {
        write_name(b',', name, out);
        value.write_json(out);
    }
    out.push(b'}');
}
