//! What a decision is told, put together from the fold: by the service when it decides, and by whoever derives its
//! decisions again. Beside these arguments a decision depends on nothing.

use super::state::{FoldKey, State};
use crate::policy::signals::Signals;
use crate::policy::{AgentFacts, CallView, Claimed, DecideInput, Engine, Evaluated};
use crate::record::entry::{Delta, Label, SessionTag};
use crate::record::intent::Intent;
use crate::record::time::Timestamp;

/// An intent whose turn it is.
pub(super) struct Question<'a> {
    pub(super) intent: &'a Intent,
    /// Leaf index of its agent's registration.
    pub(super) agent: u64,
    /// The tag of its session.
    pub(super) session: SessionTag,
    /// Whether it carries its agent's verified signature.
    pub(super) signed: bool,
    /// The time of its entry.
    pub(super) at: Timestamp,
    /// One per call, where they were computed ahead by this very engine.
    pub(super) signals: Option<&'a [Signals]>,
}

/// Decides an intent on the state before it; `None` where its agent is not registered.
pub(super) fn decide(
    engine: &Engine,
    state: &State,
    key: &FoldKey,
    question: &Question<'_>,
) -> Option<Evaluated> {
    let Question { intent, agent, session: tag, signed, at, signals } = question;
    let registered = state.registry.agent(*agent)?;
    let session = state.sessions.view(tag, *agent, &state.chain, *at, intent.calls.len());
    let repeats = session.repeats(&intent.calls, key);
    let signals = |i: usize| signals.and_then(|signals| signals.get(i));
    let calls: Vec<CallView<'_>> = intent
        .calls
        .iter()
        .zip(repeats)
        .enumerate()
        .map(|(i, (call, repeats))| CallView {
            after: &call.after,
            repeats,
            signals: signals(i),
            ..CallView::new(&call.id, &call.server, &call.tool, &call.args)
        })
        .collect();
    let count = |length: Option<usize>| u32::try_from(length.unwrap_or(0)).unwrap_or(u32::MAX);
    let facts = AgentFacts { name: &registered.name, roles: &registered.roles, signed: *signed };
    Some(engine.decide(&DecideInput {
        atomic: intent.atomic,
        claimed: Claimed {
            goal_stated: intent.goal.as_ref().is_some_and(|goal| !goal.is_empty()),
            reasoning_steps: count(intent.reasoning.as_ref().map(Vec::len)),
            observations: count(intent.observations.as_ref().map(Vec::len)),
            environment: intent.environment.as_deref(),
            principal: intent.principal.as_deref(),
        },
        session: &session.facts,
        rate: session.rate,
        knowledge: session.knowledge(key),
        plan: session.plan(),
        ..DecideInput::new(facts, &calls, at.as_millis())
    }))
}

/// What an agent says that it observed may come from anyone: it taints, whatever the agent says of it.
pub(super) fn delta_of(intent: &Intent) -> Option<Delta> {
    let observed = intent.observations.as_ref().is_some_and(|observed| !observed.is_empty());
    observed.then(|| Delta { labels: vec![Label::Untrusted] })
}
