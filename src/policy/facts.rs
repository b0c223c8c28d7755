//! What a decision knows beside the intent: the session it belongs to, and what was learned about its calls.
//!
//! The ledger folds sessions from its leaves and hands them in; grounding and signals are derived here, once for a call
//! as declared and once more where a transform changed it. Everything becomes part of `context`, and is sealed.

use std::collections::BTreeSet;

use super::plan::{Plan, PlanState, Standing};
use super::provenance::{Asked, FingerprintKey, Grounding, Memory};
use super::signals::{ShellFacts, Signals, SqlFacts};
use super::spend::Spent;
use super::value::{EXACT, Record, Typed};

/// The end user an application says the agent acts for. Never what the agent says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrincipalFacts {
    /// Who, as the application names them.
    pub id: String,
    /// Their roles in the application.
    pub roles: BTreeSet<String>,
}

/// What the log says about a session before the intent that is being decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFacts {
    /// Did an application open it? Otherwise all below is what its intents left behind.
    pub opened: bool,
    /// The end user, from the application.
    pub principal: Option<PrincipalFacts>,
    /// The environment, from the application.
    pub environment: Option<String>,
    /// `untrusted` and `sensitive`, where such content was read, and the data classes seen.
    pub labels: BTreeSet<String>,
    /// Calls decided.
    pub calls: u64,
    /// Calls denied.
    pub denials: u64,
    /// Turns of the user: 1 when the session was opened, one more each.
    pub turns: u64,
    /// Has a call that may have run no sealed outcome?
    pub incomplete: bool,
    /// What its calls that may run spent.
    pub spent: Spent,
    /// How many agents stand between the user and this one; 0 where the user's application speaks to it.
    pub delegation_depth: u32,
}

impl SessionFacts {
    /// A session of which nothing is known.
    pub const UNKNOWN: &'static Self = &Self {
        opened: false,
        principal: None,
        environment: None,
        labels: BTreeSet::new(),
        calls: 0,
        denials: 0,
        turns: 0,
        incomplete: false,
        spent: Spent { total: 0, unknown: false },
        delegation_depth: 0,
    };
}

/// How much was asked lately: calls in the sixty seconds up to the entry's own time, those of this intent included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateFacts {
    /// By the agent, over all its sessions.
    pub agent_minute: u32,
    /// In this session.
    pub session_minute: u32,
}

/// What a session has heard and read, and the key its fingerprints are made with.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// Fingerprints of the user's words, of authoritative outputs, of untrusted content.
    pub memory: &'a Memory,
    /// From the keyring.
    pub key: &'a FingerprintKey,
}

/// The plan that a session follows.
#[derive(Debug, Clone, Copy)]
pub struct PlanView<'a> {
    /// Who made it, and when.
    pub standing: Standing,
    /// Its steps.
    pub plan: &'a Plan,
    /// How far it got.
    pub state: &'a PlanState,
}

/// What a plan says about one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlanFacts {
    pub(super) standing: Standing,
    /// The step that the call is, where it conforms.
    pub(super) step: Option<usize>,
}

/// What a call spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpendFacts {
    /// The call alone, where that can be read.
    pub(super) call: Option<i64>,
    /// The session before, and all calls of the intent.
    pub(super) with_intent: Spent,
}

fn text(text: impl Into<String>) -> Typed {
    Typed::Text(text.into())
}

/// A set of strings.
pub(super) fn texts<'a>(items: impl IntoIterator<Item = &'a String>) -> Typed {
    Typed::Set(items.into_iter().map(text).collect())
}

/// A count; one that no JSON reader agrees on is the largest that all agree on.
pub(super) fn count(count: impl TryInto<i64>) -> Typed {
    Typed::Long(count.try_into().unwrap_or(EXACT).min(EXACT))
}

/// A record of the given attributes.
pub(super) fn record<const N: usize>(attributes: [(&str, Typed); N]) -> Typed {
    Typed::Record(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `context.principal`.
pub(super) fn principal(principal: &PrincipalFacts) -> Typed {
    record([("id", text(&principal.id)), ("roles", texts(&principal.roles))])
}

/// `context.session`, with the labels that hold for one call.
pub(super) fn session(session: &SessionFacts, labels: &BTreeSet<String>) -> Typed {
    record([
        ("calls", count(session.calls)),
        ("delegation_depth", count(session.delegation_depth)),
        ("denials", count(session.denials)),
        ("incomplete", Typed::Bool(session.incomplete)),
        ("labels", texts(labels)),
        ("opened", Typed::Bool(session.opened)),
        ("turns", count(session.turns)),
    ])
}

/// `context.rate`.
pub(super) fn rate(rate: RateFacts) -> Typed {
    record([("agent_minute", count(rate.agent_minute)), ("session_minute", count(rate.session_minute))])
}

/// `context.grounding`.
pub(super) fn grounding(grounding: &Grounding) -> Typed {
    record([
        ("destinations", text(grounding.destinations.name())),
        ("full", Typed::Bool(grounding.full)),
        ("payload", text(grounding.payload.name())),
        ("payload_copied", Typed::Bool(grounding.payload_copied)),
        ("payload_tainted", Typed::Bool(grounding.payload_tainted)),
        ("taint_full", Typed::Bool(grounding.taint_full)),
        ("tainted", texts(&grounding.tainted)),
        ("ungrounded", texts(&grounding.ungrounded)),
        ("untrusted_links", Typed::Bool(grounding.untrusted_links)),
        ("user_only", Typed::Bool(grounding.user_only)),
    ])
}

/// `context.asked`.
pub(super) fn asked(asked: Asked) -> Typed {
    text(asked.name())
}

/// `context.plan`.
pub(super) fn plan(plan: PlanFacts) -> Typed {
    let mut attributes = Record::from([
        ("conforms".to_owned(), Typed::Bool(plan.step.is_some())),
        ("standing".to_owned(), text(plan.standing.as_str())),
    ]);
    if let Some(step) = plan.step {
        attributes.insert("step".to_owned(), count(i64::try_from(step).unwrap_or(EXACT)));
    }
    Typed::Record(attributes)
}

/// `context.spend`.
pub(super) fn spend(spend: SpendFacts) -> Typed {
    let mut attributes = Record::from([
        ("total".to_owned(), Typed::Decimal(spend.with_intent.total)),
        ("unknown".to_owned(), Typed::Bool(spend.with_intent.unknown)),
    ]);
    if let Some(call) = spend.call {
        attributes.insert("call".to_owned(), Typed::Decimal(call));
    }
    Typed::Record(attributes)
}

/// `context.signals`.
pub(super) fn signals(signals: &Signals) -> Typed {
    let mut attributes = Record::from([
        ("classes".to_owned(), texts(&signals.classes)),
        ("encoded".to_owned(), Typed::Bool(signals.encoded)),
        ("instructions".to_owned(), Typed::Bool(signals.instructions)),
        ("invisible".to_owned(), Typed::Bool(signals.invisible)),
        ("lookalike".to_owned(), Typed::Bool(signals.lookalike)),
        ("over_budget".to_owned(), Typed::Bool(signals.over_budget)),
    ]);
    if let Some(named) = &signals.named {
        attributes.insert("named".to_owned(), texts(named));
    }
    if let Some(sql) = &signals.sql {
        attributes.insert("sql".to_owned(), self::sql(sql));
    }
    if let Some(shell) = &signals.shell {
        attributes.insert("shell".to_owned(), self::shell(shell));
    }
    Typed::Record(attributes)
}

fn sql(sql: &SqlFacts) -> Typed {
    record([
        ("comments", Typed::Bool(sql.comments)),
        ("ddl", Typed::Bool(sql.ddl)),
        ("escapes", Typed::Bool(sql.escapes)),
        ("grants", Typed::Bool(sql.grants)),
        ("reads", Typed::Bool(sql.reads)),
        ("statements", count(sql.statements)),
        ("tables", texts(&sql.tables)),
        ("tautology", Typed::Bool(sql.tautology)),
        ("unfiltered", Typed::Bool(sql.unfiltered)),
        ("unparsed", Typed::Bool(sql.unparsed)),
        ("writes", Typed::Bool(sql.writes)),
    ])
}

fn shell(shell: &ShellFacts) -> Typed {
    record([
        ("commands", texts(&shell.commands)),
        ("destructive", Typed::Bool(shell.destructive)),
        ("dynamic", Typed::Bool(shell.dynamic)),
        ("inline_code", Typed::Bool(shell.inline_code)),
        ("network", Typed::Bool(shell.network)),
        ("pipe_to_shell", Typed::Bool(shell.pipe_to_shell)),
        ("privileged", Typed::Bool(shell.privileged)),
        ("programs", texts(&shell.programs)),
        ("pushes", texts(&shell.pushes)),
        ("redirects", Typed::Bool(shell.redirects)),
        ("substitution", Typed::Bool(shell.substitution)),
        ("unparsed", Typed::Bool(shell.unparsed)),
    ])
}
