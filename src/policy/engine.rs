//! The engine: a bundle made ready, and decisions by it.
//!
//! Rules are sliced per tool when the engine is made: a rule whose scope proves it false for a tool is not
//! evaluated for that tool. Where a forbid matched, permits are evaluated once more apart, because Cedar lists
//! only those rules that determined its answer, and an audit wants all that matched.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Decided, Effect, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, PolicyId, PolicySet, Request as CedarRequest, RestrictedExpression,
};
use serde_json::{Value, json};

use super::bundle::Bundle;
use super::fault::{BundleError, Fault, FaultKind};
use super::json::{read_back, write_text_member};
use super::mention::Mention;
use super::request::{Agent, DecideInput, Request, RequestError, write_facts};
use super::scope::{self, Reach, Target};
use super::tools::{Tool, UNREGISTERED, UNREGISTERED_GROUPS, action_id};
use super::value::restricted_pairs;
use super::verdict::{Findings, Verdict, kind};
use crate::record::canonical::to_jcs;
use crate::record::decision::Decision;
use crate::record::field_tree::Field;

/// The version of this engine's semantics, sealed with every decision.
pub const ENGINE_VERSION: u32 = 1;
/// The version of the facts and of the request's form, sealed with every decision.
pub const FACTS_VERSION: u32 = 1;

/// Pairs of agent and tool whose entities are kept.
const PRINCIPALS_MAX: usize = 4_096;
/// Room for a field of the evaluation.
const FIELD_BYTES: usize = 512;

/// A decision, and the document that is sealed with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// What was decided.
    pub decision: Decision,
    /// The fields of the evaluation: `/engine`, `/facts`, `/requests/<i>`, `/verdicts/<i>`, in strictly
    /// increasing byte order of the path, each value whole and in canonical form. No floats.
    pub evaluation: Vec<Field>,
}

impl Evaluated {
    /// A field's value, read back; `None` where there is none.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<Value> {
        self.evaluation.iter().find(|field| field.path == path).map(|field| read_back(&field.jcs))
    }
}

/// Decides by one bundle. Immutable, without clock, randomness or I/O: the same input gives the same bytes.
#[derive(Debug)]
pub struct Engine {
    bundle: Bundle,
    authorizer: Authorizer,
    names: Names,
    /// By the tools' names in rules.
    slots: HashMap<String, Slot>,
    unregistered: Slot,
    /// What is sealed as `/engine`.
    about: Vec<u8>,
    principals: Principals,
}

/// Cedar's entity types, parsed once.
#[derive(Debug)]
struct Names {
    action: EntityTypeName,
    agent: EntityTypeName,
    tool: EntityTypeName,
}

/// Everything that is known about a call's action before the call.
#[derive(Debug)]
struct Slot {
    action: EntityUid,
    /// The action, and the tool where it is registered.
    entities: Entities,
    /// Rules that reach through groups or everywhere, shared by tools of the same groups; rules that name
    /// this tool.
    slices: [Arc<Slice>; 2],
    mention: Mention,
}

/// Rules that may match.
#[derive(Debug)]
struct Slice {
    /// All of them.
    rules: PolicySet,
    /// The permits among them.
    permits: PolicySet,
}

impl Engine {
    /// Makes a bundle ready.
    ///
    /// # Errors
    /// None that a bundle which loaded can cause: a refusal by Cedar of what it accepted before.
    pub fn new(bundle: Bundle) -> Result<Self, BundleError> {
        let refused = |what: String| Fault::new(FaultKind::Validation, what, "report this as a defect");
        let parse = |name: &str| name.parse().map_err(|_| refused(format!("Cedar refuses the type {name}")));
        let names = Names { action: parse("Action")?, agent: parse("Agent")?, tool: parse("Tool")? };
        let mut slices = Slices { bundle: &bundle, known: HashMap::new() };
        let mut slots = HashMap::with_capacity(bundle.tools.len());
        for (id, tool) in &bundle.tools {
            let groups: BTreeSet<&str> = tool.groups.iter().map(String::as_str).collect();
            let target = Target { action: id, groups: &groups, tool: Some(id) };
            slots.insert(id.clone(), slices.slot(&names, target, Some(tool)).map_err(refused)?);
        }
        let groups = BTreeSet::from(UNREGISTERED_GROUPS);
        let target = Target { action: UNREGISTERED, groups: &groups, tool: None };
        let unregistered = slices.slot(&names, target, None).map_err(refused)?;
        let about = json!({
            "bundle": hex::encode(bundle.digest()),
            "cedar": cedar_policy::get_sdk_version().to_string(),
            "facts": FACTS_VERSION,
            "language": cedar_policy::get_lang_version().to_string(),
            "version": ENGINE_VERSION,
        });
        let about = to_jcs(&about).map_err(|error| refused(error.to_string()))?;
        let principals = Principals::default();
        Ok(Self { bundle, authorizer: Authorizer::new(), names, slots, unregistered, about, principals })
    }

    /// The bundle that this engine decides by.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Decides an intent.
    ///
    /// A call is denied where a rule errs or the engine panics (`policy_error`), where it cannot be put to the rules
    /// (`request_invalid`), where no permit matches (`no_permit`, `no_policy`) or a forbid does; otherwise
    /// held where a hold matches; otherwise allowed. The intent is as strict as its strictest call.
    ///
    /// Cedar evaluates recursively and errs, which denies, where the stack runs short. An optimised build
    /// needs less than 512 KiB for the deepest rule that a bundle may hold; give it a thread's usual 2 MiB.
    #[must_use]
    pub fn decide(&self, input: &DecideInput<'_>) -> Evaluated {
        let agent = Agent::of(input.agent);
        let written = |path: String, write: &dyn Fn(&mut Vec<u8>)| {
            let mut jcs = Vec::with_capacity(FIELD_BYTES);
            write(&mut jcs);
            Field { path, jcs }
        };
        let mut evaluation = Vec::with_capacity(2 + 2 * input.calls.len());
        evaluation.push(Field { path: "/engine".to_owned(), jcs: self.about.clone() });
        evaluation.push(written("/facts".to_owned(), &|out| write_facts(input, &agent, out)));
        let mut calls = Vec::with_capacity(input.calls.len());
        for (i, call) in input.calls.iter().enumerate() {
            let tool = self.bundle.tools.get(&action_id(call.server, call.tool));
            let path = format!("/requests/{i}");
            let verdict = match Request::build(input, &agent, call, tool) {
                Ok(request) => {
                    evaluation.push(written(path, &|out| request.write_json(out)));
                    self.judge(&request)
                }
                Err(why) => {
                    evaluation.push(written(path, &|out| {
                        write_text_member(b'{', "call", call.id, out);
                        write_text_member(b',', "invalid", why, out);
                        out.push(b'}');
                    }));
                    Verdict::request_invalid(call.id, why)
                }
            };
            evaluation.push(written(format!("/verdicts/{i}"), &|out| verdict.write_json(out)));
            calls.push(verdict.call);
        }
        evaluation.sort_by(|a, b| a.path.cmp(&b.path));
        Evaluated { decision: Decision::of_calls(calls), evaluation }
    }

    /// Derives the verdict again from a sealed request, the value at `/requests/<i>`: it equals the one that
    /// was sealed at `/verdicts/<i>`, under the same bundle and versions.
    ///
    /// # Errors
    /// The value is not a request, or not one of this bundle's.
    pub fn decide_request(&self, request: &Value) -> Result<Verdict, RequestError> {
        if let Some(invalid) = request.as_object().filter(|object| object.contains_key("invalid")) {
            return match (invalid.len(), invalid.get("call"), invalid.get("invalid")) {
                (2, Some(Value::String(call)), Some(Value::String(why))) => {
                    Ok(Verdict::request_invalid(call, why))
                }
                _ => Err(RequestError::Malformed { at: "/invalid" }),
            };
        }
        let request = Request::from_json(request)?;
        self.check(&request)?;
        Ok(self.judge(&request))
    }

    /// Does the request fit the bundle's schema, as every request that `decide` builds does?
    fn check(&self, request: &Request) -> Result<(), RequestError> {
        let other = |why| RequestError::OtherBundle { why };
        let slot = self.slots.get(&request.tool_id());
        if slot.is_some() != request.registered {
            return Err(other("the tool is registered in one and not in the other"));
        }
        let slot = slot.unwrap_or(&self.unregistered);
        let pairs = restricted_pairs(&request.context, &Mention::Whole).ok_or(other("the context"))?;
        let context = Context::from_pairs(pairs).map_err(|_| other("the context"))?;
        let (principal, resource) = self.uids(request);
        CedarRequest::new(principal, slot.action.clone(), resource, context, Some(&self.bundle.schema))
            .map(drop)
            .map_err(|_| other("the context is not of the tool's types"))
    }

    fn uids(&self, request: &Request) -> (EntityUid, EntityUid) {
        (uid(&self.names.agent, &request.agent.name), uid(&self.names.tool, &request.tool_id()))
    }

    /// Puts a request to the rules.
    fn judge(&self, request: &Request) -> Verdict {
        if self.bundle.is_empty() {
            return Verdict::no_policy(&request.call);
        }
        let slot = match request.registered {
            true => self.slots.get(&request.tool_id()).unwrap_or(&self.unregistered),
            false => &self.unregistered,
        };
        self.verdict(request, || self.findings(request, slot))
    }

    /// The verdict on what asking the rules gives. A panic in the engine is an error like any other: it denies this
    /// call, and is sealed.
    fn verdict(&self, request: &Request, ask: impl FnOnce() -> Result<Findings, &'static str>) -> Verdict {
        // Nothing that a panic could leave half done outlives the question.
        match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(findings)) => Verdict::of(&request.call, request.registered, &findings, &self.bundle.rules),
            Ok(Err(why)) => Verdict::request_invalid(&request.call, why),
            Err(_) => Verdict::engine_failed(&request.call),
        }
    }

    fn findings(&self, request: &Request, slot: &Slot) -> Result<Findings, &'static str> {
        let (principal, resource) = self.uids(request);
        let entities = self.principals.entities(request, slot, &principal, &resource)?;
        let pairs = restricted_pairs(&request.context, &slot.mention).ok_or("the context")?;
        let context = Context::from_pairs(pairs).map_err(|_| "the context")?;
        // Built from the types that the schema was generated from; tests hold that it conforms.
        let question = CedarRequest::new(principal, slot.action.clone(), resource, context, None)
            .map_err(|_| "the request")?;
        let mut findings = Findings::default();
        // Whether a forbid matched.
        let mut ask = |rules: &PolicySet| {
            if rules.is_empty() {
                return false;
            }
            let answer = self.authorizer.is_authorized(&question, rules, &entities);
            findings.matched.extend(answer.diagnostics().reason().map(PolicyId::to_string));
            findings.errors.extend(answer.diagnostics().errors().map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => {
                    (error.policy_id().to_string(), kind(error.inner()))
                }
            }));
            answer.decision() == Decided::Deny && answer.diagnostics().reason().next().is_some()
        };
        for slice in &slot.slices {
            // Cedar names the rules that determined its answer: all permits that matched, unless a forbid did.
            if ask(&slice.rules) {
                ask(&slice.permits);
            }
        }
        Ok(findings)
    }
}

/// What an agent is to a tool, as Cedar has it: made anew it would cost as much as a dozen rules.
#[derive(Debug, Default)]
struct Principals {
    known: RwLock<HashMap<Agent, HashMap<String, Arc<Entities>>>>,
    count: AtomicUsize,
}

impl Principals {
    /// The tool's entities, and the agent's.
    fn entities(
        &self,
        request: &Request,
        slot: &Slot,
        principal: &EntityUid,
        resource: &EntityUid,
    ) -> Result<Arc<Entities>, &'static str> {
        let agent = || agent_entity(principal, &request.agent).ok_or("the agent's facts");
        if !request.registered {
            // Any name may come: not kept.
            let tool =
                tool_entity(resource, &request.server, &request.tool, false).ok_or("the tool's facts")?;
            return joined(slot, vec![agent()?, tool]).map(Arc::new);
        }
        let tool = request.tool_id();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entities) = known.get(&request.agent).and_then(|tools| tools.get(&tool)) {
            return Ok(Arc::clone(entities));
        }
        drop(known);
        let entities = Arc::new(joined(slot, vec![agent()?])?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if self.count.fetch_add(1, Ordering::Relaxed) >= PRINCIPALS_MAX {
            known.clear();
            self.count.store(1, Ordering::Relaxed);
        }
        known.entry(request.agent.clone()).or_default().insert(tool, Arc::clone(&entities));
        Ok(entities)
    }
}

fn joined(slot: &Slot, more: Vec<Entity>) -> Result<Entities, &'static str> {
    slot.entities.clone().add_entities(more, None).map_err(|_| "the entities")
}

fn uid(of_type: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of_type.clone(), EntityId::new(id))
}

fn agent_entity(uid: &EntityUid, agent: &Agent) -> Option<Entity> {
    let roles = agent.roles.iter().map(|role| RestrictedExpression::new_string(role.clone()));
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(agent.name.clone())),
        ("roles".to_owned(), RestrictedExpression::new_set(roles)),
        ("signed".to_owned(), RestrictedExpression::new_bool(agent.signed)),
    ]);
    Entity::new(uid.clone(), attributes, HashSet::new()).ok()
}

fn tool_entity(uid: &EntityUid, server: &str, name: &str, registered: bool) -> Option<Entity> {
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(name.to_owned())),
        ("registered".to_owned(), RestrictedExpression::new_bool(registered)),
        ("server".to_owned(), RestrictedExpression::new_string(server.to_owned())),
    ]);
    Entity::new(uid.clone(), attributes, HashSet::new()).ok()
}

/// Slices made so far, by the rules in them.
struct Slices<'a> {
    bundle: &'a Bundle,
    known: HashMap<Vec<&'a str>, Arc<Slice>>,
}

impl<'a> Slices<'a> {
    fn slot(&mut self, names: &Names, target: Target<'_>, tool: Option<&Tool>) -> Result<Slot, String> {
        let action = uid(&names.action, target.action);
        let parents = target.groups.iter().map(|group| uid(&names.action, group)).collect();
        let mut entities = vec![Entity::new_no_attrs(action.clone(), parents)];
        if let Some(tool) = tool {
            let uid = uid(&names.tool, target.action);
            entities.extend(tool_entity(&uid, &tool.server, &tool.name, true));
        }
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let mut mention = Mention::NOTHING;
        let mut by_reach: BTreeMap<bool, Vec<&'a str>> = BTreeMap::new();
        let bundle = self.bundle;
        for (id, rule) in &bundle.rules {
            let reach = scope::reach(&rule.policy, target);
            if reach != Reach::Never {
                mention.unite(&rule.survey.mention);
                by_reach.entry(reach == Reach::Named).or_default().push(id);
            }
        }
        let mut slice = |named| self.slice(by_reach.remove(&named).unwrap_or_default());
        Ok(Slot { action, entities, slices: [slice(false)?, slice(true)?], mention })
    }

    fn slice(&mut self, ids: Vec<&'a str>) -> Result<Arc<Slice>, String> {
        if let Some(slice) = self.known.get(&ids) {
            return Ok(Arc::clone(slice));
        }
        let policies =
            || ids.iter().filter_map(|id| self.bundle.rules.get(*id)).map(|rule| rule.policy.clone());
        let rules = PolicySet::from_policies(policies()).map_err(|error| error.to_string())?;
        let permits = policies().filter(|policy| policy.effect() == Effect::Permit);
        let permits = PolicySet::from_policies(permits).map_err(|error| error.to_string())?;
        let slice = Arc::new(Slice { rules, permits });
        self.known.insert(ids, Arc::clone(&slice));
        Ok(slice)
    }
}

#[cfg(test)]
mod tests;
