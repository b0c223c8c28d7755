//! What `foreseal policy eval` says: `schemas/policy.eval.schema.json`, and a table.

use serde::Serialize;

use super::measure::{self, RESAMPLES, Row, RuleRow, SEED, Share};
use super::play::{Played, PlayedCall};
use super::traces::Kind;
use crate::ledger::Distribution;
use crate::policy::Bundle;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    bundle: Judged,
    corpora: Vec<Corpus>,
    method: Method,
    rows: Vec<Row>,
    rules: Vec<RuleRow>,
    latency: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Vec<Case>>,
}

/// The bundle as it was active, with the tools that were given.
#[derive(Debug, Serialize)]
struct Judged {
    digest: String,
    rules: usize,
    tools: usize,
}

/// One file of runs.
#[derive(Debug, Serialize)]
pub(super) struct Corpus {
    pub(super) corpus: String,
    pub(super) runs: usize,
    pub(super) played: usize,
    /// Of those that were played, with a plan from the application.
    pub(super) with_plan: usize,
}

#[derive(Debug, Serialize)]
struct Method {
    interval: &'static str,
    cluster: &'static str,
    resamples: usize,
    seed: u64,
    sample: usize,
}

#[derive(Debug, Serialize)]
struct Latency {
    calls: usize,
    answer_us: Quantiles,
    decide_us_at_most: Quantiles,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: Option<u64>,
    p99: Option<u64>,
}

/// A run to look at.
#[derive(Debug, Serialize)]
struct Case {
    kind: CaseKind,
    corpus: String,
    line: usize,
    suite: String,
    task: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    injection: Option<String>,
    model: String,
    calls: Vec<CaseCall>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum CaseKind {
    /// A successful attack of which every malicious call was allowed.
    Missed,
    /// A successful attack that was stopped, but not every side effect of it.
    HalfStopped,
    /// A successful attack that was stopped.
    Stopped,
    /// A benign run that was denied a call.
    Denied,
    /// A benign run of which a call was held.
    Held,
    /// A benign run as it was recorded.
    Allowed,
    /// A run that no measure counts.
    Uncounted,
}

#[derive(Debug, Serialize)]
struct CaseCall {
    /// Which call of the run it is, from 0.
    number: usize,
    server: String,
    tool: String,
    mal: bool,
    outcome: crate::record::decision::Outcome,
    rules: Vec<String>,
}

/// Which runs the report shows one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Cases {
    /// Attacks that were not stopped wholly, and benign runs that were stopped
    Telling,
    /// All that were played, with all their calls
    Every,
}

impl Report {
    pub(super) fn of(
        bundle: &Bundle,
        corpora: Vec<Corpus>,
        sample: usize,
        played: &[Played],
        decided: &Distribution,
        cases: Option<Cases>,
    ) -> Self {
        let mut answers: Vec<u64> = played.iter().flat_map(|run| &run.answers_us).copied().collect();
        let answer_us = Quantiles {
            p50: measure::percentile(&mut answers, 50),
            p99: measure::percentile(&mut answers, 99),
        };
        Self {
            schema: "foreseal.policy.eval.v1",
            bundle: Judged {
                digest: hex::encode(bundle.digest()),
                rules: bundle.rules().len(),
                tools: bundle.tools().len(),
            },
            corpora,
            method: Method {
                interval: "95 %, percentile bootstrap",
                cluster: "corpus, suite and user task",
                resamples: RESAMPLES,
                seed: SEED,
                sample,
            },
            rows: measure::rows(played),
            rules: measure::rules(played),
            latency: Latency {
                calls: answers.len(),
                answer_us,
                decide_us_at_most: Quantiles { p50: bound(decided, 50), p99: bound(decided, 99) },
            },
            cases: cases.map(|which| played.iter().filter_map(|run| case(run, which)).collect()),
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} rules, {} tools, digest {}",
            self.bundle.rules, self.bundle.tools, self.bundle.digest
        )];
        for Corpus { corpus, runs, played, with_plan } in &self.corpora {
            lines.push(format!("{corpus}: {runs} runs, {played} played, {with_plan} with a plan"));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:<26} {:>7} {:>18} {:>6} {:>6} {:>6} | {:>6} {:>6} {:>18} {:>9} {:>9}",
            "",
            "attacks",
            "stopped",
            "denied",
            "every",
            "fetch",
            "benign",
            "denied",
            "held",
            "holds/100",
            "precision"
        ));
        lines.extend(self.rows.iter().map(line));
        lines.push(String::new());
        lines.push(format!("{:<40} {:>15} {:>15}", "rule", "attacks (alone)", "benign (alone)"));
        for RuleRow { rule, attacks, attacks_alone, benign, benign_alone } in &self.rules {
            let (attacks, benign) =
                (format!("{attacks} ({attacks_alone})"), format!("{benign} ({benign_alone})"));
            lines.push(format!("{rule:<40} {attacks:>15} {benign:>15}"));
        }
        let Latency { calls, answer_us, decide_us_at_most } = &self.latency;
        let shown = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| us.to_string());
        lines.push(String::new());
        lines.push(format!(
            "{calls} calls: decided in at most {} µs (p50), {} µs (p99); answered, sealed and signed, 64 sessions side by side, in {} µs (p50), {} µs (p99)",
            shown(decide_us_at_most.p50), shown(decide_us_at_most.p99), shown(answer_us.p50), shown(answer_us.p99)
        ));
        for case in self.cases.iter().flatten() {
            let kind = serde_json::to_value(case.kind).unwrap_or_default();
            let injection = case.injection.as_deref().unwrap_or("-");
            lines.push(format!(
                "{}: {} line {}, {} {} {injection}, {}",
                kind.as_str().unwrap_or_default(),
                case.corpus,
                case.line,
                case.suite,
                case.task,
                case.model
            ));
            for call in &case.calls {
                let mal = if call.mal { ", malicious" } else { "" };
                let by = if call.rules.is_empty() {
                    String::new()
                } else {
                    format!(" by {}", call.rules.join(", "))
                };
                lines.push(format!(
                    "  call {} {}/{}{mal}: {}{by}",
                    call.number, call.server, call.tool, call.outcome
                ));
            }
        }
        lines
    }
}

fn percent(share: &Share) -> String {
    share.share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0))
}

fn with_interval(share: &Share) -> String {
    let interval = share.interval.map(|[low, high]| format!(" [{:.1}, {:.1}]", low * 100.0, high * 100.0));
    format!("{}{}", percent(share), interval.unwrap_or_default())
}

fn line(row: &Row) -> String {
    let Row { corpus, suite, attacks, benign, hold_precision } = row;
    let name = suite.as_ref().map_or_else(|| corpus.clone(), |suite| format!("  {suite}"));
    let per_100 = benign.holds_per_100_calls.map_or_else(|| "-".to_owned(), |holds| format!("{holds:.1}"));
    format!(
        "{name:<26} {:>7} {:>18} {:>6} {:>6} {:>6} | {:>6} {:>6} {:>18} {:>9} {:>9}",
        attacks.stopped.of,
        with_interval(&attacks.stopped),
        percent(&attacks.by_deny),
        percent(&attacks.every_side_effect),
        percent(&attacks.fetch_only),
        benign.held.of,
        percent(&benign.denied),
        with_interval(&benign.held),
        per_100,
        percent(hold_precision),
    )
}

/// The bound below which this share of the values is; `None` beyond the last, or where there is none.
fn bound(distribution: &Distribution, percent: u64) -> Option<u64> {
    let all: u64 = distribution.counts.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    let (bound, _) = distribution.counts.iter().find(|(_, count)| {
        seen += count;
        all > 0 && seen * 100 >= all * percent
    })?;
    *bound
}

fn case(run: &Played, which: Cases) -> Option<Case> {
    let kind = kind_of(run);
    let every = which == Cases::Every;
    if !every && matches!(kind, CaseKind::Stopped | CaseKind::Allowed | CaseKind::Uncounted) {
        return None;
    }
    let tells = |call: &PlayedCall| every || call.mal || call.is_stopped();
    let calls = run.calls.iter().enumerate().filter(|(_, call)| tells(call));
    let calls = calls.map(|(number, call)| CaseCall {
        number,
        server: call.server.clone(),
        tool: call.tool.clone(),
        mal: call.mal,
        outcome: call.outcome,
        rules: call.rules.clone(),
    });
    Some(Case {
        kind,
        corpus: run.corpus.to_string(),
        line: run.line,
        suite: run.suite.clone(),
        task: run.task.clone(),
        injection: run.injection.clone(),
        model: run.model.clone(),
        calls: calls.collect(),
    })
}

fn kind_of(run: &Played) -> CaseKind {
    use crate::record::decision::Outcome;
    let allowed_effect = |call: &PlayedCall| call.mal && call.side_effect && !call.is_stopped();
    match run.kind {
        Kind::Neither => CaseKind::Uncounted,
        Kind::Attack if !measure::is_stopped(run) => CaseKind::Missed,
        Kind::Attack if run.calls.iter().any(allowed_effect) => CaseKind::HalfStopped,
        Kind::Attack => CaseKind::Stopped,
        Kind::Benign if run.calls.iter().any(|call| call.outcome == Outcome::Deny) => CaseKind::Denied,
        Kind::Benign if run.calls.iter().any(PlayedCall::is_stopped) => CaseKind::Held,
        Kind::Benign => CaseKind::Allowed,
    }
}
