//! Proofs about bundles: what their rules hold on every call there can be, by a solver.
//!
//! Rules are put together once for each outcome, strictest first: the permits with the forbids that deny; with those that
//! deny or defer; and so on. So "is always held" and "is always denied" are different questions. For each tool's action,
//! and for unregistered ones, Cedar's symbolic compiler (verified in Lean) turns rules and question into SMT-LIB, under the
//! [assumptions](assume) that hold of each request this engine builds; an external [`Solver`] answers. What it finds is
//! made into an intent and run through the engine: a counterexample is shown as confirmed only where the engine agrees.
//!
//! Three answers: proven, refuted, unknown. Unknown is never taken for one of the others.
//!
//! What is not asked: whether facts tell the truth, what an approved or a changed call does, what several calls do
//! together.

mod assume;
mod compare;
mod query;
mod rules;
mod single;
mod terms;
mod witness;

use serde::Serialize;
use serde_json::Value;

pub use self::compare::Reached;
use self::query::Questions;
pub use self::query::Solver;
use super::bundle::on_a_deep_stack;
use super::engine::Engine;
use super::proofs::Property;
use crate::record::decision::Outcome;

/// Findings of one proof that are kept.
const FINDINGS_MAX: usize = 20;

/// What became of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It holds on every call.
    Proven,
    /// The solver, the compiler or a limit left it open.
    Unknown,
    /// There is a call on which it does not hold, and the engine agrees.
    Refuted,
}

impl Answer {
    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unknown => "unknown",
            Self::Refuted => "refuted",
        }
    }
}

/// The answer to one property, and everything needed to ask again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// The property, in words.
    pub property: String,
    /// The answer.
    pub answer: Answer,
    /// What stands against it, at most twenty; empty where it is proven.
    pub findings: Vec<Finding>,
    /// Of "never": the strictest outcome that all such calls are proven to have at least; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always: Option<Outcome>,
    /// Questions that went to the solver; what the compiler folds away asks nobody.
    pub queries: u64,
    /// SHA-256, hex, over its input: of each script its length (8 bytes, big-endian) and its bytes.
    pub queries_digest: String,
}

/// What stands against a property.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Refuted, or unknown.
    pub answer: Answer,
    /// The tool's name in rules, or `unregistered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The rule it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// In words.
    pub what: String,
    /// A call that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
}

/// A call on which a property does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterexample {
    /// How it was looked at again.
    pub confirmed: Confirmed,
    /// What the rules decide about it.
    pub outcome: Outcome,
    /// What the bundle that was compared with decides about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_outcome: Option<Outcome>,
    /// The rules that match, permits and forbids, and those that fail.
    pub rules: Vec<String>,
    /// As a test of the bundle: `tests/*.json`. Absent where only the facts are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Value>,
    /// As it would be sealed at `/requests/0`. Absent where the test says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
}

/// How a counterexample was looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmed {
    /// The engine decided the intent, with facts derived from it, and agrees.
    Intent,
    /// The engine decided the request with the solver's facts, and agrees. Whether a session leads to these facts is not
    /// known.
    Facts,
    /// The engine does not agree, or could not be asked: the solver's example stands for nothing.
    No,
}

/// Which bundle may do what another does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// No call has a milder outcome, or waits for less, than by the other bundle.
    NoMorePermissive,
    /// And the other way round.
    Equal,
}

/// What a solver has to say about one bundle.
#[derive(Debug)]
pub struct Prover<'a> {
    engine: &'a Engine,
    questions: Questions<'a>,
}

impl<'a> Prover<'a> {
    fn new(engine: &'a Engine, solver: &'a dyn Solver) -> Self {
        Self { engine, questions: Questions::to(solver) }
    }

    /// Proves a property of the bundle. Takes as long as the solver takes.
    #[must_use]
    pub fn prove(engine: &Engine, solver: &dyn Solver, property: &Property) -> Proof {
        Self::deep(property.words(), || {
            let prover = Prover::new(engine, solver);
            match property {
                Property::Never { condition, at_least } => prover.never(condition, *at_least),
                Property::NeverErrors => prover.never_errors(),
                Property::EveryRuleDecides => prover.every_rule_decides(),
            }
        })
    }

    /// Compares the bundle with another.
    #[must_use]
    pub fn compare(engine: &Engine, solver: &dyn Solver, with: &Engine, how: Comparison) -> Proof {
        let words = match how {
            Comparison::NoMorePermissive => "no more permissive than the other bundle",
            Comparison::Equal => "equal to the other bundle",
        };
        Self::deep(words.to_owned(), || compare::compare(engine, solver, with, how))
    }

    /// Which calls a rule that both bundles have matches now, beside those that it matched in `old`.
    #[must_use]
    pub fn reached(new: &Engine, old: &Engine, solver: &dyn Solver, rule: &str) -> Reached {
        let reached = || compare::reached(&Questions::to(solver), new, old, rule);
        on_a_deep_stack(reached).unwrap_or(Reached::Unknown)
    }

    fn deep(
        property: String,
        prove: impl FnOnce() -> (Vec<Finding>, Option<Outcome>, query::Record) + Send,
    ) -> Proof {
        // Compiling recurses, as parsing does.
        let done = on_a_deep_stack(prove);
        let (mut findings, always, record) = done.unwrap_or_else(|| {
            let what = "the prover failed on this property".to_owned();
            let failed =
                Finding { answer: Answer::Unknown, tool: None, rule: None, what, counterexample: None };
            (vec![failed], None, query::Record::default())
        });
        let answer = findings.iter().map(|finding| finding.answer).max().unwrap_or(Answer::Proven);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.answer));
        findings.truncate(FINDINGS_MAX);
        let (queries, queries_digest) = (record.queries, hex::encode(record.digest));
        Proof { property, answer, findings, always, queries, queries_digest }
    }
}
