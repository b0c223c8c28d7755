//! What a thousand rules cost over ten.

use serde_json::json;

use super::super::output::Failure;
use super::probe::done_per_core_s;
use super::report::{Bound, Draft, number};
use super::workload::bundle;
use super::{Plan, Results, unexpected};
use crate::policy::{AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine, Evaluated};
use crate::record::decision::Outcome;

pub(super) fn measure(plan: &Plan, results: &mut Results) -> Result<(), Failure> {
    let many = engine(50, 1_000)?;
    let few = engine(1, 10)?;
    let workload = workload()?;
    let (mut rounds, mut twelve) = (Vec::new(), 0.0);
    for _ in 0..plan.rounds {
        let mut times = [0.0; 3];
        for (time, engine) in times.iter_mut().zip([&many, &few, &workload]) {
            (*time, _) = decide_us(engine, plan)?;
        }
        let [many, few, workload] = times;
        rounds.push((many, few));
        twelve = workload;
    }
    let draft = Draft {
        row: "policy",
        what: "deciding one call by 1 000 rules over 50 tools".to_owned(),
        unit: "µs",
        bound: Bound::AtMost,
        hold: 3.0,
        stretch: None,
        notes: vec![
            "rules scoped to one tool each, but for three: 23 of the 1 000 speak about the call, and 10 of the 10"
                .to_owned(),
            "in this thread's own processor time".to_owned(),
            format!("the workload's rules, 12 of 93: {} µs", number(twelve)),
        ],
    };
    results.rows.push(draft.against("10 rules", &rounds));
    Ok(())
}

fn engine(tools: usize, rules: usize) -> Result<Engine, Failure> {
    Engine::new(Bundle::load(bundle(tools, rules)).map_err(unexpected)?).map_err(unexpected)
}

/// A decision by the workload's rules: its processor time in µs, and what it says.
pub(super) fn of_workload(plan: &Plan) -> Result<(f64, Evaluated), Failure> {
    decide_us(&workload()?, plan)
}

fn workload() -> Result<Engine, Failure> {
    Engine::new(Bundle::load(super::fixture::rules()).map_err(unexpected)?).map_err(unexpected)
}

fn decide_us(engine: &Engine, plan: &Plan) -> Result<(f64, Evaluated), Failure> {
    let args = json!({
        "ticket": 12_345, "to": "alice@example.com", "subject": "Your order", "body": "It is on its way.",
        "amount": 12.5, "urgent": false,
    });
    let args = &args;
    let calls = [CallView::new("c1", "desk", "send_reply", args)];
    let roles = ["support".to_owned()];
    let agent = AgentFacts { name: "bench-agent", roles: &roles, signed: false };
    let claimed = Claimed {
        goal_stated: true,
        reasoning_steps: 4,
        observations: 1,
        environment: Some("prod"),
        principal: Some("user:alice@example.com"),
    };
    let input = DecideInput { claimed, ..DecideInput::new(agent, &calls, 1_750_000_000_000) };
    let evaluated = engine.decide(&input);
    let outcome = evaluated.decision.outcome;
    if outcome != Outcome::Allow {
        return Err(unexpected(format!("the workload's call is {}", outcome.as_str())));
    }
    let per_s = done_per_core_s(plan.length / 3, || {
        for _ in 0..16 {
            std::hint::black_box(engine.decide(std::hint::black_box(&input)));
        }
        Ok(16)
    })?;
    Ok((1e6 / per_s, evaluated))
}
