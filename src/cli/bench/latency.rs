//! How long one client waits, and how long many do as the load grows.

use std::path::Path;

use super::super::output::Failure;
use super::fixture::{Fixture, Server};
use super::load::open_loop;
use super::report::{Bound, Draft, Line, Plot, Row, Spread, number};
use super::throughput::{checked, seal};
use super::{Plan, Results, probe};

/// Offered loads, as parts of the most that was sealed.
const LOADS: [f64; 7] = [0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9];
/// The percentiles that are drawn.
const PERCENTILES: [(f64, &str); 4] = [(50.0, "p50"), (90.0, "p90"), (99.0, "p99"), (99.9, "p99.9")];

pub(super) fn measure(
    plan: &Plan,
    directory: &Path,
    one: bool,
    load: bool,
    results: &mut Results,
) -> Result<(), Failure> {
    let fixture = Fixture::make(&directory.join("latency"))?;
    let warm = seal(&fixture, fixture.requests(), plan.clients, plan)?;
    let trivial = probe::trivial_server(warm.sample.len())?;
    if one {
        results.rows.push(one_client(plan, directory, &fixture, &trivial)?);
    }
    if load {
        let most = seal(&fixture, fixture.requests(), plan.clients, plan)?.rate_per_s();
        results.rows.push(half_load(plan, &fixture, &trivial, most)?);
        results.plots.push(curve(plan, &fixture, most)?);
    }
    Ok(())
}

fn one_client(plan: &Plan, directory: &Path, fixture: &Fixture, trivial: &Server) -> Result<Row, Failure> {
    let (mut rounds, mut syncs, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let sync = probe::append_and_sync(directory, plan.probes)?.value_at_quantile(0.5) as f64 / 1e3;
        let answer = super::load::closed_loop(trivial.address, fixture.requests(), 1, plan.length)?;
        let sealed = seal(fixture, fixture.requests(), 1, plan)?;
        rounds.push((sealed.latency_us(50.0), sync + answer.latency_us(50.0)));
        syncs.push(sync);
        answers.push(answer.latency_us(50.0));
    }
    let draft = Draft {
        row: "latency",
        what: "latency p50, one client".to_owned(),
        unit: "µs",
        bound: Bound::AtMost,
        hold: 2.0,
        stretch: Some(1.6),
        notes: vec![format!(
            "the yardstick is the sum of two medians: append and sync {} µs, trivial handler {} µs",
            number(Spread::of(&syncs).median),
            number(Spread::of(&answers).median)
        )],
    };
    Ok(draft.against("4 KiB append + fdatasync + trivial handler", &rounds))
}

fn half_load(plan: &Plan, fixture: &Fixture, trivial: &Server, most: f64) -> Result<Row, Failure> {
    let (mut values, mut yardsticks, mut medians) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let rate = most / 2.0;
        let answer = open_loop(trivial.address, fixture.requests(), plan.clients, rate, plan.length)?;
        let sealed = open_loop(fixture.server.address, fixture.requests(), plan.clients, rate, plan.length)?;
        let sealed = checked(fixture, sealed)?;
        values.push(sealed.latency_us(99.0) / 1e3);
        medians.push(sealed.latency_us(50.0) / 1e3);
        yardsticks.push(answer.latency_us(99.0) / 1e3);
    }
    let draft = Draft {
        row: "load",
        what: "latency p99 at half the maximum load".to_owned(),
        unit: "ms",
        bound: Bound::AtMost,
        hold: 10.0,
        stretch: Some(5.0),
        notes: vec![
            format!(
                "offered steadily: {} intents a second of at most {}; latency counts from when a request was due",
                number(most / 2.0),
                number(most)
            ),
            format!(
                "p50 {} ms; the trivial handler's p99 at the same rate {} ms",
                number(Spread::of(&medians).median),
                number(Spread::of(&yardsticks).median)
            ),
        ],
    };
    Ok(draft.alone(&values))
}

fn curve(plan: &Plan, fixture: &Fixture, most: f64) -> Result<Plot, Failure> {
    let mut lines: Vec<Line> =
        PERCENTILES.iter().map(|(_, name)| Line { name: (*name).to_owned(), points: Vec::new() }).collect();
    for part in LOADS {
        let rate = most * part;
        let sealed = open_loop(fixture.server.address, fixture.requests(), plan.clients, rate, plan.length)?;
        let sealed = checked(fixture, sealed)?;
        for (line, (percentile, _)) in lines.iter_mut().zip(PERCENTILES) {
            line.points.push((rate, sealed.latency_us(percentile) / 1e3));
        }
    }
    Ok(Plot {
        name: "latency",
        title: format!("Latency against offered load ({} connections)", plan.clients),
        x: "intents offered a second, steadily",
        y: "latency from when it was due, ms",
        lines,
    })
}
