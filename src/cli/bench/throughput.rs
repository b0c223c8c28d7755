//! How many intents a second are sealed, beside what a trivial handler answers.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::output::Failure;
use super::fixture::{Fixture, Server};
use super::load::{Answers, Requests, closed_loop};
use super::machine::processor_s;
use super::report::{Bound, Draft, Line, Plot, Row, Spread, number};
use super::{Plan, Results, probe, unexpected};
use crate::evidence::verify::{ReceiptEvidence, verify_receipt};
use crate::evidence::{Answer, Verdict};
use crate::record::decision::Outcome;

pub(super) fn measure(
    plan: &Plan,
    directory: &Path,
    token: bool,
    signed: bool,
    results: &mut Results,
) -> Result<(), Failure> {
    let fixture = Fixture::make(&directory.join("throughput"))?;
    let warm = seal(&fixture, fixture.requests(), plan.clients, plan)?;
    let trivial = probe::trivial_server(warm.sample.len())?;
    let sizes = format!("2 KiB in, {} bytes out, on both sides", number(warm.sample.len() as f64));
    if token {
        results.rows.push(token_row(plan, &fixture, &trivial, &sizes)?);
        results.plots.push(sweep(plan, &fixture, &trivial)?);
    }
    if signed {
        results.rows.push(signed_row(plan, &fixture, &trivial, &sizes)?);
    }
    Ok(())
}

fn token_row(plan: &Plan, fixture: &Fixture, trivial: &Server, sizes: &str) -> Result<Row, Failure> {
    let (mut rounds, mut sealing, mut answering, mut batches) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let before = processor_s();
        let yardstick = closed_loop(trivial.address, fixture.requests(), plan.clients, plan.length)?;
        let (between, frames) = (processor_s(), frames_and_entries(fixture));
        let sealed = seal(fixture, fixture.requests(), plan.clients, plan)?;
        let (after, frames_after) = (processor_s(), frames_and_entries(fixture));
        answering.push((between - before) * 1e6 / yardstick.good.max(1) as f64);
        sealing.push((after - between) * 1e6 / sealed.good.max(1) as f64);
        batches.push((frames_after.1 - frames.1) as f64 / (frames_after.0 - frames.0).max(1) as f64);
        rounds.push((sealed.rate_per_s(), yardstick.rate_per_s()));
    }
    let (sealing, answering) = (Spread::of(&sealing).median, Spread::of(&answering).median);
    let draft = Draft {
        row: "throughput",
        what: "sealed intents, token-authenticated, durable".to_owned(),
        unit: "/s",
        bound: Bound::AtLeast,
        hold: 0.30,
        stretch: Some(0.45),
        notes: vec![
            format!("{} connections; {sizes}", plan.clients),
            format!(
                "processor time of an answer, load tool included: {} µs, of the trivial handler's {} µs, which is {} %",
                number(sealing),
                number(answering),
                number(answering / sealing.max(0.1) * 100.0)
            ),
            format!("entries a frame: {}", number(Spread::of(&batches).median)),
        ],
    };
    Ok(draft.against("a trivial JSON handler", &rounds))
}

fn frames_and_entries(fixture: &Fixture) -> (u64, u64) {
    let batches = fixture.service.ledger().measures().batch_entries.distribution();
    (batches.counts.iter().map(|(_, count)| count).sum(), batches.sum)
}

fn signed_row(plan: &Plan, fixture: &Fixture, trivial: &Server, sizes: &str) -> Result<Row, Failure> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let yardstick = closed_loop(trivial.address, fixture.requests(), plan.clients, plan.length)?;
        let ready = fixture.signed_requests(plan.signed_max)?;
        let sealed = seal(fixture, ready, plan.clients, plan)?;
        rounds.push((sealed.rate_per_s(), yardstick.rate_per_s()));
    }
    let draft = Draft {
        row: "signed",
        what: "the same, each signed by its agent (Ed25519, verified strictly)".to_owned(),
        unit: "/s",
        bound: Bound::AtLeast,
        hold: 0.20,
        stretch: Some(0.30),
        notes: vec![format!(
            "{} connections; {sizes}; signed before the clock runs; the yardstick's requests are not signed",
            plan.clients
        )],
    };
    Ok(draft.against("a trivial JSON handler", &rounds))
}

fn sweep(plan: &Plan, fixture: &Fixture, trivial: &Server) -> Result<Plot, Failure> {
    let (mut sealed, mut yardstick) = (Vec::new(), Vec::new());
    for &clients in &plan.sweep {
        let trivial = closed_loop(trivial.address, fixture.requests(), clients, plan.length)?;
        yardstick.push((clients as f64, trivial.rate_per_s()));
        sealed.push((clients as f64, seal(fixture, fixture.requests(), clients, plan)?.rate_per_s()));
    }
    Ok(Plot {
        name: "throughput",
        title: "Throughput against clients".to_owned(),
        x: "clients, each waiting for its answer",
        y: "answers a second",
        lines: vec![
            Line { name: "a trivial JSON handler".to_owned(), points: yardstick },
            Line { name: "sealed intents".to_owned(), points: sealed },
        ],
    })
}

/// A round against the service. Each answer has to be a 201; one of them is verified as an agent would.
pub(super) fn seal(
    fixture: &Fixture,
    requests: Requests,
    clients: usize,
    plan: &Plan,
) -> Result<Answers, Failure> {
    checked(fixture, closed_loop(fixture.server.address, requests, clients, plan.length)?)
}

/// Refuses a round that was not what it is taken for.
pub(super) fn checked(fixture: &Fixture, answers: Answers) -> Result<Answers, Failure> {
    if answers.other > 0 || answers.good == 0 {
        let sample = String::from_utf8_lossy(&answers.sample).into_owned();
        return Err(unexpected(format!(
            "{} answers of {} were refusals: {sample}",
            answers.other,
            answers.good + answers.other
        )));
    }
    let answer: Answer = serde_json::from_slice(&answers.sample).map_err(unexpected)?;
    let entry = STANDARD.decode(&answer.entry).map_err(unexpected)?;
    let evidence =
        ReceiptEvidence { receipt: &answer.receipt, entry: &entry, answer: Some(&answer), intent: None };
    let report = verify_receipt(&evidence, Some(&fixture.trust));
    if report.verdict != Verdict::Valid || answer.decision.outcome != Outcome::Allow {
        return Err(unexpected(format!(
            "an answer that is {:?} and {:?}",
            report.verdict, answer.decision.outcome
        )));
    }
    Ok(answers)
}
