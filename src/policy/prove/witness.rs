//! From what a solver found to a call: an intent with its session where that can be, and the engine's own word on it.

use std::collections::BTreeMap;

use cedar_policy_symcc::Env;
use serde_json::{Map, Value, json};

use super::assume::Environment;
use super::terms::{has, if_then, is_empty, path};
use super::{Confirmed, Counterexample};
use crate::policy::cases::{self, Case};
use crate::policy::engine::Engine;
use crate::policy::expression::{all, equal, literal, not};
use crate::policy::facts;
use crate::policy::json::read_back;
use crate::policy::request::{Agent, Changed, Request, resource};
use crate::policy::rule::is_name;
use crate::policy::shape::{Fields, Shape};
use crate::policy::value::{Record, Typed, arguments, decimal_text, scaled};
use crate::policy::verdict::Matched;
use crate::record::decision::Outcome;

/// The agent and the call of a counterexample, where no rule says which.
const AGENT: &str = "agent";
const CALL: &str = "c1";
const UNREGISTERED_TOOL: &str = "unregistered_tool";
const AT_MS: i64 = 1_700_000_000_000;

/// What a solver found: a request with its facts.
#[derive(Debug, Clone)]
pub(super) struct Model {
    agent: Agent,
    server: String,
    tool: String,
    context: Record,
}

/// What an engine says about a candidate.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) matched: Matched,
}

/// A call to be looked at again.
#[derive(Debug)]
pub(super) enum Candidate {
    /// An intent with its session; facts are derived.
    Intent { test: Value, case: Box<Case> },
    /// A request with its facts.
    Facts(Model),
}

/// Demands that make examples such as people write: a first call, an opened session, nothing strange about it. Asked for
/// after one was found at all; the first list is the strictest.
pub(super) fn plain(environment: &Environment<'_>) -> [Value; 2] {
    let of = |attributes: &[&str]| path("context", attributes);
    let number = |attributes: &[&str], number: i64| equal(of(attributes), literal(number));
    // Numbers that JSON writes as they are.
    let fields = environment.tool.map(|tool| &tool.fields).into_iter();
    let decimals = fields.flat_map(|fields| fields.names().flat_map(|name| fields.branches(name)));
    let decimals = decimals.filter(|branch| branch.shape == Shape::Decimal).map(|branch| {
        let value = path("context", &["args", &branch.attribute]);
        if_then(has("context", &["args", &branch.attribute]), modest(value))
    });
    let few = [
        all(decimals),
        is_empty(of(&["unrepresented"])),
        number(&["calls_in_intent"], 1),
        not(has("context", &["plan"])),
        not(of(&["grounding", "full"])),
        not(of(&["grounding", "taint_full"])),
        number(&["claimed", "observations"], 0),
    ];
    let more = [
        of(&["claimed", "goal_stated"]),
        number(&["claimed", "reasoning_steps"], 1),
        number(&["loop", "repeats"], 0),
        number(&["rate", "agent_minute"], 1),
        number(&["rate", "session_minute"], 1),
        number(&["session", "calls"], 0),
        number(&["session", "delegation_depth"], 0),
        number(&["session", "denials"], 0),
        not(of(&["session", "incomplete"])),
        of(&["session", "opened"]),
        number(&["session", "turns"], 1),
        is_empty(of(&["session", "labels"])),
        number(&["time", "ms"], AT_MS),
        is_empty(of(&["signals", "classes"])),
        is_empty(of(&["grounding", "tainted"])),
        path("principal", &["signed"]),
    ];
    let flags = ["encoded", "instructions", "invisible", "lookalike", "over_budget"];
    let flags = flags.map(|flag| not(of(&["signals", flag])));
    let copies = ["payload_copied", "payload_tainted", "untrusted_links"];
    let copies = copies.map(|flag| not(of(&["grounding", flag])));
    let all_of_it = few.clone().into_iter().chain(more).chain(flags).chain(copies);
    [all(all_of_it), all(few)]
}

/// Between minus a million and a million.
fn modest(value: Value) -> Value {
    let decimal = |text: &str| json!({"decimal": [literal(text)]});
    let above = json!({"greaterThan": [value.clone(), decimal("-1000000.0")]});
    let below = Value::Object(Map::from_iter([(
        "lessThan".to_owned(),
        Value::Array(vec![value, decimal("1000000.0")]),
    )]));
    all([above, below])
}

impl Model {
    /// Reads the solver's example; `None` where it is no request of ours.
    pub(super) fn read(found: &Env, environment: &Environment<'_>) -> Option<Self> {
        let uid = found.request.principal()?;
        let attributes = found.entities.get(uid).and_then(|entity| entity.to_json_value().ok());
        let attribute = |at: &str| attributes.as_ref().and_then(|entity| entity.pointer(at));
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let roles = attribute("/attrs/roles").and_then(Value::as_array).into_iter().flatten();
        let name = text(attribute("/attrs/name")).filter(|name| is_name(name));
        let agent = Agent {
            name: name.unwrap_or_else(|| AGENT.to_owned()),
            roles: roles.filter_map(|role| text(Some(role))).collect(),
            signed: attribute("/attrs/signed").and_then(Value::as_bool).unwrap_or(false),
        };
        let context = found.request.context()?.to_json_value().ok()?;
        let Typed::Record(mut context) = typed(&context)? else { return None };
        let (server, tool) = match environment.tool {
            Some(tool) => (tool.server.clone(), tool.name.clone()),
            None => {
                let half = |half: &str| match context.get("tool") {
                    Some(Typed::Record(tool)) => match tool.get(half) {
                        Some(Typed::Text(text)) => text.clone(),
                        _ => String::new(),
                    },
                    _ => String::new(),
                };
                let name = Some(half("name")).filter(|name| !name.is_empty());
                (half("server"), name.unwrap_or_else(|| UNREGISTERED_TOOL.to_owned()))
            }
        };
        let named =
            facts::record([("name", Typed::Text(tool.clone())), ("server", Typed::Text(server.clone()))]);
        context.insert("tool".to_owned(), named);
        Some(Self { agent, server, tool, context })
    }

    /// The arguments that have this context; empty of an unregistered tool.
    fn args(&self, engine: &Engine) -> Value {
        let tool = engine.tool(&self.server, &self.tool);
        match (self.context.get("args"), tool) {
            (Some(Typed::Record(args)), Some(tool)) => Value::Object(object(args, &tool.fields)),
            _ => json!({}),
        }
    }

    fn at(&self, attributes: &[&str]) -> Option<&Typed> {
        let (last, parents) = attributes.split_last()?;
        let inside =
            parents.iter().try_fold(&self.context, |record, attribute| match record.get(*attribute) {
                Some(Typed::Record(inner)) => Some(inner),
                _ => None,
            });
        inside?.get(*last)
    }

    fn number(&self, attributes: &[&str]) -> i64 {
        match self.at(attributes) {
            Some(Typed::Long(long)) => *long,
            _ => 0,
        }
    }

    fn flag(&self, attributes: &[&str]) -> bool {
        self.at(attributes) == Some(&Typed::Bool(true))
    }

    fn text(&self, attributes: &[&str]) -> Option<&str> {
        match self.at(attributes) {
            Some(Typed::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn texts(&self, attributes: &[&str]) -> Vec<&str> {
        let Some(Typed::Set(items)) = self.at(attributes) else { return Vec::new() };
        let texts = items.iter().filter_map(|item| match item {
            Typed::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The call as a bundle's test, with what the user said.
    fn test(&self, args: &Value, words: &[String]) -> Value {
        let mut intent = json!({"agent": self.agent.name, "session": "s",
            "calls": [{"id": CALL, "server": self.server, "tool": self.tool, "args": args}]});
        let mut facts = json!({
            "roles": self.agent.roles, "signed": self.agent.signed,
            "opened": self.flag(&["session", "opened"]), "labels": self.texts(&["session", "labels"]),
            "calls": self.number(&["session", "calls"]), "denials": self.number(&["session", "denials"]),
            "turns": self.number(&["session", "turns"]), "incomplete": self.flag(&["session", "incomplete"]),
            "delegation_depth": self.number(&["session", "delegation_depth"]),
            "agent_minute": self.number(&["rate", "agent_minute"]),
            "session_minute": self.number(&["rate", "session_minute"]),
            "repeats": {CALL: self.number(&["loop", "repeats"])}, "at_ms": self.number(&["time", "ms"]),
        });
        let put = |document: &mut Value, name: &str, value: Value| {
            if let Some(members) = document.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        let call = intent.pointer_mut("/calls/0").and_then(Value::as_object_mut);
        if let Some(call) = call.filter(|_| self.server.is_empty()) {
            call.remove("server");
        }
        if self.flag(&["claimed", "goal_stated"]) {
            put(&mut intent, "goal", json!("a goal"));
        }
        let steps =
            usize::try_from(self.number(&["claimed", "reasoning_steps"])).unwrap_or(0).min(REASONING_MAX);
        put(&mut intent, "reasoning", json!(vec!["a step"; steps]));
        for claimed in ["environment", "principal"] {
            if let Some(text) = self.text(&["claimed", claimed]) {
                put(&mut intent, claimed, json!(text));
            }
        }
        if let Some(Typed::Decimal(total)) = self.at(&["spend", "total"]) {
            let call = match self.at(&["spend", "call"]) {
                Some(Typed::Decimal(call)) => *call,
                _ => 0,
            };
            let before = argument(&Typed::Decimal(total.saturating_sub(call)), &Shape::Decimal);
            put(&mut facts, "spent", before.unwrap_or_default());
        }
        if !words.is_empty() {
            put(&mut facts, "words", json!(words));
        }
        if let Some(environment) = self.text(&["environment"]) {
            put(&mut facts, "environment", json!(environment));
        }
        if let Some(id) = self.text(&["principal", "id"]) {
            put(&mut facts, "principal", json!({"id": id, "roles": self.texts(&["principal", "roles"])}));
        }
        json!({"name": "a counterexample", "intent": intent, "facts": facts, "expect": {"outcome": "deny"}})
    }

    /// What can be looked at again: as an intent where the user said nothing, where the user said every value, then as
    /// facts about these arguments, then as the solver's facts.
    fn candidates(&self, engine: &Engine) -> Vec<Candidate> {
        let args = self.args(engine);
        let mut said = Vec::new();
        strings(&args, &mut said);
        let intents = [Vec::new(), said].into_iter().filter_map(|words| {
            let test = self.test(&args, &words);
            let (mut cases, mut faults) = (Vec::new(), Vec::new());
            cases::read("", &json!({"tests": [test]}).to_string(), &mut cases, &mut faults);
            let case = Box::new(cases.pop().filter(|_| faults.is_empty())?);
            Some(Candidate::Intent { test, case })
        });
        let mut candidates: Vec<Candidate> = intents.collect();
        let mut derived = self.clone();
        if let (Some(tool), Value::Object(args)) = (engine.tool(&self.server, &self.tool), &args) {
            let (record, lost) = arguments(args, &tool.fields);
            derived.context.insert("args".to_owned(), Typed::Record(record));
            derived.context.insert("unrepresented".to_owned(), facts::texts(&lost));
        }
        let signals = engine.signals(&self.server, &self.tool, &args);
        derived.context.insert("signals".to_owned(), facts::signals(&signals));
        candidates.extend([Candidate::Facts(derived), Candidate::Facts(self.clone())]);
        candidates
    }
}

/// Steps of reasoning that an example has at most.
const REASONING_MAX: usize = 16;

impl Candidate {
    /// What this engine says about it.
    pub(super) fn judged(&self, engine: &Engine) -> Option<Judged> {
        match self {
            Self::Intent { case, .. } => {
                let evaluated = case.decide(engine);
                let outcome = evaluated.decision.calls.first()?.outcome;
                let verdict = evaluated.value("/verdicts/0")?;
                let ids = |of: &str| {
                    let ids = verdict.pointer(of).and_then(Value::as_array).into_iter().flatten();
                    ids.filter_map(Value::as_str).map(str::to_owned).collect()
                };
                let matched = Matched {
                    errors: ids("/matched/errors"),
                    forbids: ids("/matched/forbids"),
                    permits: ids("/matched/permits"),
                };
                Some(Judged { outcome, matched })
            }
            Self::Facts(model) => {
                let mut request = model.request(engine);
                let verdict = engine.decide_request(&sealed(&request)).or_else(|_| {
                    // A rule asks for a transform: say that it changes nothing.
                    request.changed = Some(Changed::Same);
                    engine.decide_request(&sealed(&request))
                });
                verdict.ok().map(|verdict| Judged { outcome: verdict.call.outcome, matched: verdict.matched })
            }
        }
    }

    fn shown(&self, engine: &Engine, confirmed: Confirmed, judged: Option<&Judged>) -> Counterexample {
        let outcome = judged.map_or(Outcome::Deny, |judged| judged.outcome);
        let rules = judged.map(|Judged { matched, .. }| {
            let mut rules: Vec<String> = [&matched.permits, &matched.forbids, &matched.errors]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            rules.sort();
            rules
        });
        let (mut test, mut request) = (None, None);
        match self {
            Self::Intent { test: case, .. } => {
                let mut case = case.clone();
                if let Some(expected) = case.pointer_mut("/expect/outcome") {
                    *expected = json!(outcome.as_str());
                }
                test = Some(case);
            }
            Self::Facts(model) => request = Some(sealed(&model.request(engine))),
        }
        let rules = rules.unwrap_or_default();
        Counterexample { confirmed, outcome, compared_outcome: None, rules, test, request }
    }
}

impl Model {
    fn request(&self, engine: &Engine) -> Request {
        let tool = engine.tool(&self.server, &self.tool);
        Request {
            call: CALL.to_owned(),
            agent: self.agent.clone(),
            server: self.server.clone(),
            tool: self.tool.clone(),
            registered: tool.is_some(),
            resource: resource(engine.bundle().form(), &self.server, &self.tool, tool),
            context: self.context.clone(),
            changed: None,
            stopped: None,
            supposed: false,
        }
    }
}

fn sealed(request: &Request) -> Value {
    let mut written = Vec::new();
    request.write_json(&mut written);
    read_back(&written)
}

/// Looks at the models again, the plainest first; the first candidate that the engine agrees on, or one that says that it
/// does not. `None` where there is no model.
pub(super) fn witness(
    models: &[Model],
    engine: &Engine,
    agrees: &dyn Fn(&Candidate, &Judged) -> bool,
) -> Option<Counterexample> {
    let of_kind = |facts: bool| {
        models.iter().find_map(|model| {
            let candidates = model.candidates(engine).into_iter();
            let mut of_kind =
                candidates.filter(|candidate| matches!(candidate, Candidate::Facts(_)) == facts);
            of_kind.find_map(|candidate| {
                let judged = candidate.judged(engine).filter(|judged| agrees(&candidate, judged))?;
                let confirmed = if facts { Confirmed::Facts } else { Confirmed::Intent };
                Some(candidate.shown(engine, confirmed, Some(&judged)))
            })
        })
    };
    of_kind(false).or_else(|| of_kind(true)).or_else(|| {
        let facts = Candidate::Facts(models.last()?.clone());
        let judged = facts.judged(engine);
        Some(facts.shown(engine, Confirmed::No, judged.as_ref()))
    })
}

/// Cedar's JSON for values, of the types that our schemas have.
fn typed(value: &Value) -> Option<Typed> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(bool) => Typed::Bool(*bool),
        Value::Number(number) => Typed::Long(number.as_i64()?),
        Value::String(text) => Typed::Text(text.clone()),
        Value::Array(items) => Typed::Set(items.iter().map(typed).collect::<Option<_>>()?),
        Value::Object(object) => match object.get("__extn").filter(|_| object.len() == 1) {
            Some(call) => {
                let decimal = call.get("fn").and_then(Value::as_str) == Some("decimal");
                let text = call.get("arg").and_then(Value::as_str).filter(|_| decimal)?;
                Typed::Decimal(scaled(text)?)
            }
            None => Typed::Record(
                object
                    .iter()
                    .map(|(name, value)| Some((name.clone(), typed(value)?)))
                    .collect::<Option<BTreeMap<_, _>>>()?,
            ),
        },
    })
}

/// The arguments that become this record.
fn object(record: &Record, fields: &Fields) -> Map<String, Value> {
    let properties = fields.names().filter_map(|name| {
        let mut branches = fields.branches(name).iter();
        let value = branches.find_map(|branch| argument(record.get(&branch.attribute)?, &branch.shape))?;
        Some((name.to_owned(), value))
    });
    properties.collect()
}

fn argument(value: &Typed, shape: &Shape) -> Option<Value> {
    Some(match (value, shape) {
        (Typed::Record(record), Shape::Record(fields)) => Value::Object(object(record, fields)),
        (Typed::Set(items), Shape::Set(element)) => {
            Value::Array(items.iter().map(|item| argument(item, element)).collect::<Option<_>>()?)
        }
        (Typed::Text(text), _) => json!(text),
        (Typed::Bool(bool), _) => json!(bool),
        (Typed::Long(long), _) => json!(long),
        (Typed::Decimal(scaled), _) => {
            let text = decimal_text(*scaled);
            // A whole number is written as one.
            let text = text.strip_suffix(".0000").unwrap_or(&text);
            serde_json::from_str(text).ok()?
        }
        _ => return None,
    })
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(object) => object.values().for_each(|inner| strings(inner, found)),
        _ => {}
    }
}
