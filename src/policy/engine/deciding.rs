//! What is learned about each call of an intent, on the way through them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::calls::Order;
use crate::policy::argument_path::ArgumentPath;
use crate::policy::bundle::Bundle;
use crate::policy::facts::{Knowledge, PlanFacts, PlanView, SessionFacts, SpendFacts};
use crate::policy::plan::Planned;
use crate::policy::provenance::{Asked, Destination, FingerprintKey, Grounding, Memory, Pattern, Standing};
use crate::policy::request::{CallFacts, CallView, DecideInput};
use crate::policy::signals::{self, Signals};
use crate::policy::spend::Spent;
use crate::policy::tools::{Tool, action_id};
use crate::record::decision::Outcome;

pub(super) fn signals_of(bundle: &Bundle, tool: Option<&Tool>, args: &Value) -> Signals {
    Signals {
        named: bundle.named.as_ref().map(|named| named.of(args)),
        ..signals::of_call(args, tool.map(|tool| tool.labels.parse.as_slice()).unwrap_or_default())
    }
}

/// All arguments.
static EVERYTHING: LazyLock<Vec<Pattern>> = LazyLock::new(|| Pattern::parse("").into_iter().collect());

/// An intent on its way through the calls.
pub(super) struct Deciding<'a> {
    pub(super) input: &'a DecideInput<'a>,
    pub(super) order: &'a Order,
    /// Of the calls decided so far.
    pub(super) outcomes: BTreeMap<usize, Outcome>,
    /// The plan's steps that the calls so far are.
    pub(super) steps: BTreeMap<usize, usize>,
}

impl<'a> Deciding<'a> {
    pub(super) fn of(input: &'a DecideInput<'a>, order: &'a Order) -> Self {
        Self { input, order, outcomes: BTreeMap::new(), steps: BTreeMap::new() }
    }

    /// What is learned about a call as declared.
    pub(super) fn facts(
        &mut self,
        bundle: &Bundle,
        i: usize,
        call: &CallView<'_>,
        tool: Option<&Tool>,
    ) -> CallFacts {
        let mut labels: BTreeSet<String> = self.input.session.labels.clone();
        for (_, other) in self.order.not_after(i).filter_map(|j| Some((j, self.input.calls.get(j)?))) {
            match bundle.tools.get(&action_id(other.server, other.tool)) {
                Some(tool) => labels.extend(tool.labels.of_output().map(str::to_owned)),
                // What nobody registered might bring anything.
                None => labels.extend(["sensitive", "untrusted"].map(str::to_owned)),
            }
        }
        let plan = self.plan(i, call, tool);
        let signals = call.signals.cloned().unwrap_or_else(|| signals_of(bundle, tool, call.args));
        let asked = self.asked(tool);
        let spend = self.spend(bundle, call, tool);
        CallFacts { grounding: self.grounding(call, tool), asked, signals, plan, spend, labels }
    }

    /// What is learned about a call that was changed. The step of the plan was looked for before.
    pub(super) fn facts_again(
        &self,
        bundle: &Bundle,
        call: &CallView<'_>,
        tool: &Tool,
        before: &CallFacts,
    ) -> CallFacts {
        CallFacts {
            grounding: self.grounding(call, Some(tool)),
            asked: before.asked,
            signals: signals_of(bundle, Some(tool), call.args),
            plan: before.plan,
            spend: before.spend,
            labels: before.labels.clone(),
        }
    }

    /// What the session has heard and read says about where the call goes and what it carries.
    fn grounding(&self, call: &CallView<'_>, tool: Option<&Tool>) -> Grounding {
        let Knowledge { memory, key } = self.knowledge();
        match tool.filter(|tool| tool.labels.labelled) {
            Some(tool) => {
                let labels = &tool.labels;
                let mut grounding = memory.ground(key, &labels.destinations, &labels.payload, call.args);
                unexplained(tool, call.args, &mut grounding);
                grounding
            }
            // Nobody said which arguments are destinations: any might be, and all are what it carries.
            None => {
                let mut grounding = memory.ground(key, &[], &EVERYTHING, call.args);
                grounding.destinations = Standing::Ungrounded;
                grounding.ungrounded.insert(String::new());
                grounding
            }
        }
    }

    /// What the session will have spent if all calls of the intent run, each as declared. Where no application opened
    /// the session nobody counts, and of a tool that is not registered nobody knows.
    fn spend(&self, bundle: &Bundle, call: &CallView<'_>, tool: Option<&Tool>) -> SpendFacts {
        let SessionFacts { opened, spent, .. } = self.input.session;
        let before = Spent { unknown: spent.unknown || !opened, ..*spent };
        let amounts = self.input.calls.iter().map(|call| {
            bundle.tools.get(&action_id(call.server, call.tool)).and_then(|tool| tool.spends(call.args))
        });
        let call = tool.and_then(|tool| tool.spends(call.args));
        SpendFacts { call, with_intent: amounts.fold(before, Spent::and) }
    }

    /// Did the user ask for an act of this kind?
    fn asked(&self, tool: Option<&Tool>) -> Asked {
        let Knowledge { memory, key } = self.knowledge();
        tool.map_or(Asked::Unknown, |tool| memory.asked(key, &tool.labels.asked))
    }

    /// Is the destination at this place of the arguments grounded by itself?
    pub(super) fn is_grounded(&self, tool: &Tool, args: &Value, path: &str) -> bool {
        let Knowledge { memory, key } = self.knowledge();
        let (Ok(at), Ok(place)) = (Pattern::parse(path), ArgumentPath::parse(path)) else { return false };
        let kinds = tool.labels.destinations.iter().filter(|destination| {
            ArgumentPath::parse(destination.at.as_str()).is_ok_and(|known| known.overlaps(&place))
        });
        let mut any = false;
        let all =
            kinds.map(|destination| Destination { at: at.clone(), kind: destination.kind }).all(|alone| {
                any = true;
                memory.ground(key, &[alone], &[], args).destinations == Standing::Grounded
            });
        any && all
    }

    /// Is what stands at an argument, a destination, grounded by itself or one of the values that a plan means?
    fn is_meant(&self, tool: &Tool, name: &str, args: &Value, meant: &Value) -> bool {
        let Knowledge { memory, key } = self.knowledge();
        let within = |destination: &&Destination| {
            ArgumentPath::parse(destination.at.as_str()).is_ok_and(|at| at.argument() == name)
        };
        let (mut any, mut values) = (false, 0_usize);
        let all = tool.labels.destinations.iter().filter(within).all(|destination| {
            any = true;
            let meant = memory.meant(key, destination, args, meant);
            values = values.saturating_add(meant.unwrap_or(0));
            meant.is_some()
        });
        any && all && (values > 0 || !tool.required.contains(name))
    }

    fn knowledge(&self) -> Knowledge<'_> {
        static UNHEARD: LazyLock<(Memory, FingerprintKey)> =
            LazyLock::new(|| (Memory::default(), FingerprintKey::new(&[0; 32])));
        self.input.knowledge.unwrap_or(Knowledge { memory: &UNHEARD.0, key: &UNHEARD.1 })
    }

    /// What the session's plan says about the call.
    fn plan(&mut self, i: usize, call: &CallView<'_>, tool: Option<&Tool>) -> Option<PlanFacts> {
        let PlanView { standing, plan, state } = self.input.plan?;
        let earlier = self.order.earlier(i);
        let mut taken: BTreeMap<usize, u32> = BTreeMap::new();
        for step in self.steps.values() {
            let runs = taken.entry(*step).or_default();
            *runs = runs.saturating_add(1);
        }
        let before = self.steps.iter().filter(|(j, _)| earlier.is_some_and(|earlier| earlier.contains(j)));
        let before: BTreeSet<usize> = before.map(|(_, step)| *step).collect();
        let key = self.input.knowledge.map(|knowledge| knowledge.key);
        let is_meant =
            |name: &str, meant: &Value| tool.is_some_and(|tool| self.is_meant(tool, name, call.args, meant));
        let planned = Planned { server: call.server, tool: call.tool, args: call.args, is_meant: &is_meant };
        let step = state.step_of(plan, key, planned, &before, &taken);
        if let Some(step) = step {
            self.steps.insert(i, step);
        }
        Some(PlanFacts { standing, step })
    }

    /// The strictest outcome of the calls that this one comes after, where they are stopped and it is not for all calls
    /// to stop with them.
    pub(super) fn stopped(&self, i: usize) -> Option<Outcome> {
        if self.input.atomic {
            return None;
        }
        let earlier = self.order.earlier(i)?.iter().filter_map(|j| self.outcomes.get(j).copied());
        earlier.min().filter(|outcome| *outcome < Outcome::Modify)
    }
}

/// What the tool's schema demands and the call lacks, or does not know and the call has: nobody can say where that goes.
fn unexplained(tool: &Tool, args: &Value, grounding: &mut Grounding) {
    let lacking = tool.labels.destinations.iter().filter(|destination| {
        destination.at.first_name().is_some_and(|name| tool.required.contains(name))
            && destination.is_absent(args)
    });
    let mut paths: BTreeSet<String> = lacking.map(|destination| destination.at.as_str().to_owned()).collect();
    let declared = |name: &String| tool.fields.declares(name);
    if tool.schema && args.as_object().is_some_and(|args| !args.keys().all(declared)) {
        paths.insert(String::new());
    }
    if !paths.is_empty() {
        grounding.destinations = Standing::Ungrounded;
        grounding.user_only = false;
        grounding.ungrounded.extend(paths);
    }
}
