//! The engine: a bundle made ready, and decisions by it.
//!
//! Rules are sliced per tool when the engine is made: a rule whose scope proves it false for a tool is not
//! evaluated for that tool. Where a forbid matched, permits are evaluated once more apart, because Cedar lists
//! only those rules that determined its answer, and an audit wants all that matched.

mod calls;
mod deciding;
mod entities;
mod slices;

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Decided, EntityUid, PolicyId, PolicySet,
    Request as CedarRequest,
};
use serde_json::{Value, json};

use self::calls::Order;
use self::deciding::{Deciding, signals_of};
use self::entities::{Principals, uid};
use self::slices::{Names, Slices, Slot};
use super::bundle::Bundle;
use super::fault::{BundleError, Fault, FaultKind};
use super::json::{read_back, write_text_member};
use super::mention::Mention;
use super::request::{
    Agent, CallView, Changed, DecideInput, Request, RequestError, context, resource, write_facts,
};
use super::rule::Rule;
use super::scope::Target;
use super::signals::{self, Signals};
use super::tools::{self, Tool, UNREGISTERED, action_id};
use super::transform;
use super::value::{Record, restricted_pairs};
use super::verdict::{Findings, Verdict, kind};
use super::version::{ENGINE_VERSION, FACTS_VERSION, FactsForm, TRANSFORMS_VERSION};
use crate::record::canonical::to_jcs;
use crate::record::decision::Decision;
use crate::record::field_tree::Field;
use crate::record::json::{JsonLimits, parse_with};

/// Room for a field of the evaluation.
const FIELD_BYTES: usize = 512;

/// A decision, and the document that is sealed with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// What was decided.
    pub decision: Decision,
    /// The fields of the evaluation: `/engine`, `/facts`, `/requests/<i>`, `/verdicts/<i>`, in strictly
    /// increasing byte order of the path, each value whole and in canonical form. No floats, but in the arguments of a
    /// call that a transform changed.
    pub evaluation: Vec<Field>,
    /// The step of the session's plan that each call is, in the order of the calls.
    pub steps: Vec<Option<usize>>,
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
        let groups = tools::unregistered_groups(bundle.form()).iter().copied().collect();
        let target = Target { action: UNREGISTERED, groups: &groups, tool: None };
        let unregistered = slices.slot(&names, target, None).map_err(refused)?;
        let mut about = json!({
            "bundle": hex::encode(bundle.digest()),
            "cedar": cedar_policy::get_sdk_version().to_string(),
            "facts": bundle.form().number(),
            "language": cedar_policy::get_lang_version().to_string(),
            "version": bundle.form().number(),
        });
        if bundle.form() == FactsForm::NOW
            && let Some(about) = about.as_object_mut()
        {
            about.insert("facts".to_owned(), FACTS_VERSION.into());
            about.insert("signals".to_owned(), signals::VERSION.into());
            about.insert("transforms".to_owned(), TRANSFORMS_VERSION.into());
            about.insert("version".to_owned(), ENGINE_VERSION.into());
        }
        let about = to_jcs(&about).map_err(|error| refused(error.to_string()))?;
        let principals = Principals::default();
        Ok(Self { bundle, authorizer: Authorizer::new(), names, slots, unregistered, about, principals })
    }

    /// The bundle that this engine decides by.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What is sealed as `/engine`: the bundle's digest and the versions, canonical JSON.
    #[must_use]
    pub fn about(&self) -> &[u8] {
        &self.about
    }

    /// A registered tool.
    #[must_use]
    pub fn tool(&self, server: &str, name: &str) -> Option<&Tool> {
        self.bundle.tools.get(&action_id(server, name))
    }

    /// The signals of a call: pure, so that they can be computed before the call's turn comes.
    #[must_use]
    pub fn signals(&self, server: &str, name: &str, args: &Value) -> Signals {
        signals_of(&self.bundle, self.tool(server, name), args)
    }

    /// Decides an intent.
    ///
    /// A call is denied where a rule errs or the engine panics (`policy_error`), where it cannot be put to the rules
    /// (`request_invalid`), where no permit matches (`no_permit`, `no_policy`), a forbid does, or a transform cannot be
    /// applied (`transform_failed`); otherwise deferred, held or modified where such a rule matches, in this order;
    /// otherwise allowed. The intent is as strict as its strictest call. Where its calls are not atomic, those that come
    /// after a stopped one are stopped too (`after_stopped`).
    ///
    /// Cedar evaluates recursively and errs, which denies, where the stack runs short. An optimised build
    /// needs less than 512 KiB for the deepest rule that a bundle may hold; give it a thread's usual 2 MiB.
    #[must_use]
    pub fn decide(&self, input: &DecideInput<'_>) -> Evaluated {
        let agent = Agent::of(input.agent);
        let form = self.bundle.form();
        let written = |path: String, write: &dyn Fn(&mut Vec<u8>)| {
            let mut jcs = Vec::with_capacity(FIELD_BYTES);
            write(&mut jcs);
            Field { path, jcs }
        };
        let mut evaluation = Vec::with_capacity(2 + 2 * input.calls.len());
        evaluation.push(Field { path: "/engine".to_owned(), jcs: self.about.clone() });
        evaluation.push(written("/facts".to_owned(), &|out| write_facts(form, input, &agent, out)));
        let order = Order::of(input.calls);
        let mut deciding = Deciding::of(input, &order);
        let mut calls: Vec<_> = input.calls.iter().map(|_| None).collect();
        for i in order.sequence() {
            let (Some(call), Some(decided)) = (input.calls.get(i), calls.get_mut(i)) else { continue };
            let (request, verdict) = self.decide_call(&mut deciding, &agent, i, call);
            evaluation.push(written(format!("/requests/{i}"), &|out| match &request {
                Ok(request) => request.write_json(out),
                Err(why) => {
                    write_text_member(b'{', "call", call.id, out);
                    write_text_member(b',', "invalid", why, out);
                    out.push(b'}');
                }
            }));
            evaluation.push(written(format!("/verdicts/{i}"), &|out| verdict.write_json(out)));
            deciding.outcomes.insert(i, verdict.call.outcome);
            *decided = Some(verdict.call);
        }
        evaluation.sort_by(|a, b| a.path.cmp(&b.path));
        let steps = (0..input.calls.len()).map(|i| deciding.steps.get(&i).copied()).collect();
        let decision = Decision::of_calls(calls.into_iter().flatten().collect(), input.atomic);
        Evaluated { decision, evaluation, steps }
    }

    /// The request of one call, and the verdict on it.
    fn decide_call(
        &self,
        deciding: &mut Deciding<'_>,
        agent: &Agent,
        i: usize,
        call: &CallView<'_>,
    ) -> (Result<Request, &'static str>, Verdict) {
        let tool = self.tool(call.server, call.tool);
        let form = self.bundle.form();
        let built = match deciding.order.is_sound(i) {
            false => Err("it comes after a call that is not there, or after itself"),
            true => {
                let facts = deciding.facts(&self.bundle, i, call, tool);
                Request::build(form, deciding.input, agent, call, tool, &facts)
                    .map(|request| (request, facts))
            }
        };
        let (mut request, facts) = match built {
            Ok(built) => built,
            Err(why) => {
                deciding.steps.remove(&i);
                return (Err(why), Verdict::request_invalid(call.id, why));
            }
        };
        request.stopped = deciding.stopped(i);
        let verdict = self.judge(&mut request, |transforms| {
            let Some(tool) = tool else {
                return Changed::Failed("nothing is known of an unregistered tool's arguments".to_owned());
            };
            let is_grounded = |path: &str| deciding.is_grounded(tool, call.args, path);
            match transform::apply(transforms.iter().copied(), call.args, tool, &is_grounded) {
                Err(why) => Changed::Failed(why),
                Ok(args) if args == *call.args => Changed::Same,
                Ok(args) => {
                    let Some(args) = as_sealed(&args) else {
                        return Changed::Failed(
                            "the arguments have no form that all readers agree on".to_owned(),
                        );
                    };
                    let changed = CallView { args: &args, signals: None, ..*call };
                    let facts = deciding.facts_again(&self.bundle, &changed, tool, &facts);
                    match context(form, deciding.input, &changed, Some(tool), &facts) {
                        Ok(context) => Changed::Call { context, args },
                        Err(why) => Changed::Failed(why.to_owned()),
                    }
                }
            }
        });
        (Ok(request), verdict)
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
        let mut request = Request::from_json(request)?;
        self.check(&request)?;
        let given = request.changed.is_some();
        let mut asked = false;
        let verdict = self.judge(&mut request, |_| {
            asked = true;
            Changed::Same
        });
        // What was sealed says what became of the call exactly where rules asked for it.
        if asked || given != verdict.transforms_asked {
            return Err(RequestError::Malformed { at: "/changed" });
        }
        Ok(verdict)
    }

    /// Judges a question that nobody asked; and whether rules would change the call.
    pub(super) fn judge_supposed(&self, mut request: Request) -> (Verdict, bool) {
        let mut asked = false;
        let verdict = self.judge(&mut request, |_| {
            asked = true;
            Changed::Same
        });
        (verdict, asked)
    }

    /// The rules whose scope may reach the request's tool.
    pub(super) fn rules_in_reach(&self, request: &Request) -> Vec<&Rule> {
        let policies = self.slot(request).slices.iter().flat_map(|slice| slice.rules.policies());
        policies.filter_map(|policy| self.bundle.rules.get::<str>(policy.id().as_ref())).collect()
    }

    /// Does the request fit the bundle's schema, as every request that `decide` builds does?
    fn check(&self, request: &Request) -> Result<(), RequestError> {
        let other = |why| RequestError::OtherBundle { why };
        let tool = self.tool(&request.server, &request.tool);
        if tool.is_some() != request.registered {
            return Err(other("the tool is registered in one and not in the other"));
        }
        if resource(self.bundle.form(), &request.server, &request.tool, tool) != request.resource {
            return Err(other("the tool's labels are others"));
        }
        let slot = self.slot(request);
        let changed = match &request.changed {
            Some(Changed::Call { context, .. }) => Some(context),
            _ => None,
        };
        for context in std::iter::once(&request.context).chain(changed) {
            let pairs = restricted_pairs(context, &Mention::Whole).ok_or(other("the context"))?;
            let context = Context::from_pairs(pairs).map_err(|_| other("the context"))?;
            let (principal, resource) = self.uids(request);
            CedarRequest::new(principal, slot.action.clone(), resource, context, Some(&self.bundle.schema))
                .map_err(|_| other("the context is not of the tool's types"))?;
        }
        Ok(())
    }

    fn slot(&self, request: &Request) -> &Slot {
        match request.registered {
            true => self.slots.get(&request.tool_id()).unwrap_or(&self.unregistered),
            false => &self.unregistered,
        }
    }

    fn uids(&self, request: &Request) -> (EntityUid, EntityUid) {
        (uid(&self.names.agent, &request.agent.name), uid(&self.names.tool, &request.tool_id()))
    }

    /// Puts a request to the rules. Where they ask for transforms and the request does not say what became of the call,
    /// `change` says it.
    fn judge(
        &self,
        request: &mut Request,
        change: impl FnOnce(&[&transform::Transform]) -> Changed,
    ) -> Verdict {
        if self.bundle.is_empty() {
            return Verdict::no_policy(&request.call);
        }
        let first = match self.ask(request, &request.context) {
            Ok(findings) => findings,
            Err(verdict) => return *verdict,
        };
        let transforms = Verdict::transforms(&first, &self.bundle.rules);
        if !transforms.is_empty() && request.changed.is_none() {
            request.changed = Some(change(&transforms));
        }
        let second = match &request.changed {
            Some(Changed::Call { context, .. }) => match self.ask(request, context) {
                Ok(findings) => Some(findings),
                Err(verdict) => return *verdict,
            },
            _ => None,
        };
        Verdict::of(request, &first, second.as_ref(), &self.bundle.rules)
    }

    /// What the rules say about one context; `Err` is the denial where they could not be asked.
    fn ask(&self, request: &Request, context: &Record) -> Result<Findings, Box<Verdict>> {
        caught(&request.call, || self.findings(request, context, self.slot(request)))
    }

    fn findings(&self, request: &Request, context: &Record, slot: &Slot) -> Result<Findings, &'static str> {
        let (principal, resource) = self.uids(request);
        let entities = self.principals.entities(request, slot, &principal, &resource)?;
        let pairs = restricted_pairs(context, &slot.mention).ok_or("the context")?;
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

/// Arguments as they are read again from what is sealed, so that they are told in the same bytes ever after. `None`
/// where they are not: 1e20 is a number that a document may say, and in canonical form an integer that none may.
fn as_sealed(args: &Value) -> Option<Value> {
    let jcs = to_jcs(args).ok()?;
    let limits = JsonLimits { max_bytes: jcs.len(), ..JsonLimits::default() };
    parse_with(&jcs, &limits).ok()
}

/// The findings, or the denial: a panic in the engine is an error like any other. It denies this call, and is sealed.
fn caught(
    call: &str,
    ask: impl FnOnce() -> Result<Findings, &'static str>,
) -> Result<Findings, Box<Verdict>> {
    // Nothing that a panic could leave half done outlives the question.
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(Ok(findings)) => Ok(findings),
        Ok(Err(why)) => Err(Box::new(Verdict::request_invalid(call, why))),
        Err(_) => Err(Box::new(Verdict::engine_failed(call))),
    }
}

#[cfg(test)]
mod tests;
