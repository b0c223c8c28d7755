//! Plays runs the way their agents would: think, declare the call, wait for the answer, and only then act.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::output::{Failure, data, progress};
use super::traces::{Run, ToolCall};
use crate::evidence::verify::{ReceiptEvidence, verify_receipt};
use crate::evidence::{Answer, Verdict};
use crate::ledger::clock::{Clock, SystemClock};
use crate::note::TrustPolicy;
use crate::record::limits;
use crate::service::{Caller, ErrorCode, NewAgent, Service, ServiceError, SubmissionHeaders};

/// Runs played side by side, when nobody watches each call.
const RUNS_AT_ONCE: usize = 64;
/// Room in a body for everything but the observations.
const OBSERVATIONS_MAX_BYTES: usize = limits::BODY_MAX_BYTES / 2;
/// The reasoning and prompts of a run, taken from its end.
const REASONING_MAX_BYTES: usize = limits::BODY_MAX_BYTES / 8;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sealed: usize,
    pub(super) refused: usize,
    pub(super) unverified: usize,
    pub(super) outcomes: BTreeMap<String, usize>,
    pub(super) refusals: BTreeMap<String, usize>,
    pub(super) tokens: Vec<(String, String)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.sealed += other.sealed;
        self.refused += other.refused;
        self.unverified += other.unverified;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (why, count) in other.refusals {
            *self.refusals.entry(why).or_default() += count;
        }
    }
}

/// The agents of the runs, one a suite, with their tokens.
pub(super) struct Cast {
    agents: BTreeMap<String, (String, String)>,
}

impl Cast {
    /// Registers an agent for each suite; one that is registered already gets a new token.
    pub(super) async fn register(service: &Service, runs: &[Run]) -> Result<Self, Failure> {
        let mut agents = BTreeMap::new();
        for run in runs {
            if agents.contains_key(&run.suite) {
                continue;
            }
            let name = agent_name(&run.suite);
            let new =
                || NewAgent { name: name.clone(), roles: vec!["assistant".to_owned()], public_key: None };
            let registered = match service.register_agent(&Caller::Operator(0), new()).await {
                Err(error) if error.code == ErrorCode::NameTaken => {
                    service.rotate_agent(&Caller::Operator(0), new()).await
                }
                other => other,
            };
            let registered = registered
                .map_err(|error| Failure::new(format!("registering {name}: {error}"), "see the message"))?;
            agents.insert(run.suite.clone(), (name, registered.token.unwrap_or_default()));
        }
        Ok(Self { agents })
    }

    pub(super) fn len(&self) -> usize {
        self.agents.len()
    }

    pub(super) fn tokens(&self) -> Vec<(String, String)> {
        self.agents.values().cloned().collect()
    }

    fn of(&self, service: &Service, run: &Run) -> Result<(String, Caller), ServiceError> {
        let (name, token) = self.agents.get(&run.suite).cloned().unwrap_or_default();
        Ok((name, service.authenticate(Some(&token))?))
    }
}

fn agent_name(suite: &str) -> String {
    let safe = suite.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' });
    let name: String = safe.take(limits::ID_MAX_CHARS - 6).collect();
    format!("{name}-agent")
}

/// Plays all runs. With `told`, one after another and each call printed.
pub(super) async fn play(
    service: &Arc<Service>,
    cast: &Cast,
    runs: &[Run],
    trust: &Arc<TrustPolicy>,
    told: bool,
) -> Result<Tally, Failure> {
    let places = Arc::new(Semaphore::new(RUNS_AT_ONCE));
    let done = Arc::new(AtomicUsize::new(0));
    let mut bar = progress("sealing");
    let mut tasks = JoinSet::new();
    let mut tally = Tally::default();
    let started = SystemClock.now().as_millis();
    for (number, run) in runs.iter().enumerate() {
        let (name, caller) =
            cast.of(service, run).map_err(|e| Failure::new(e.to_string(), "report this as a defect"))?;
        let actor = Actor {
            service: Arc::clone(service),
            trust: Arc::clone(trust),
            name,
            caller,
            session: format!("demo-{started}-{number}"),
            told,
        };
        let (run, places, done) = (run.clone(), Arc::clone(&places), Arc::clone(&done));
        tasks.spawn(async move {
            let _place = places.acquire().await;
            let tally = actor.play(&run).await;
            done.fetch_add(1, Ordering::Relaxed);
            tally
        });
        if told {
            // One after another, so that it reads as a story.
            join(&mut tasks, &mut tally).await?;
        }
    }
    while join(&mut tasks, &mut tally).await? {
        bar(done.load(Ordering::Relaxed) as u64, runs.len() as u64);
    }
    Ok(tally)
}

/// Waits for one run and adds what came of it; `false` when there is none left.
async fn join(tasks: &mut JoinSet<Tally>, tally: &mut Tally) -> Result<bool, Failure> {
    let Some(played) = tasks.join_next().await else { return Ok(false) };
    tally.add(played.map_err(|error| Failure::new(error.to_string(), "report this as a defect"))?);
    Ok(true)
}

/// One agent in one session.
struct Actor {
    service: Arc<Service>,
    trust: Arc<TrustPolicy>,
    name: String,
    caller: Caller,
    session: String,
    told: bool,
}

impl Actor {
    async fn play(&self, run: &Run) -> Tally {
        let mut tally = Tally::default();
        let mut goal = vec![run.user_prompt.clone()];
        let mut reasoning = Vec::new();
        let mut seen = Vec::new();
        if self.told {
            data(&format!("\n{} is asked: {}", self.name, first_words(&run.user_prompt, 160)));
        }
        for step in &run.steps {
            goal.extend(step.user.clone());
            if !step.reasoning.is_empty() {
                reasoning.push(step.reasoning.clone());
            }
            for call in &step.tool_calls {
                let body = self.intent(&goal, &reasoning, &seen, call);
                self.submit(call, body, &mut tally).await;
            }
            for (call, result) in step.tool_calls.iter().zip(&step.tool_results) {
                seen.push(json!({ "source": call.name, "trust": "untrusted", "content": result.content }));
            }
        }
        tally
    }

    /// The declared document, as the agent would write it. What it has seen goes along, newest last.
    fn intent(&self, goal: &[String], reasoning: &[String], seen: &[Value], call: &ToolCall) -> Vec<u8> {
        let mut declared = json!({
            "agent": self.name,
            "session": self.session,
            "created": SystemClock.now().to_string(),
            "goal": goal.join("\n"),
            "reasoning": newest(reasoning, limits::REASONING_STEPS_MAX, REASONING_MAX_BYTES, String::len),
            "observations": newest(seen, limits::OBSERVATIONS_MAX, OBSERVATIONS_MAX_BYTES, |o| o.to_string().len()),
            "calls": [{ "id": "c1", "tool": call.name, "args": call.args }],
        });
        if let (Some(server), Some(declared)) = (&call.server, declared.pointer_mut("/calls/0")) {
            declared["server"] = json!(server);
        }
        declared.to_string().into_bytes()
    }

    async fn submit(&self, call: &ToolCall, body: Vec<u8>, tally: &mut Tally) {
        let sent = body.clone();
        match self.service.submit(&self.caller, body, &SubmissionHeaders::default()).await {
            Ok(answer) => {
                tally.sealed += 1;
                *tally.outcomes.entry(answer.decision.outcome.to_string()).or_default() += 1;
                if !self.verifies(&answer, &sent) {
                    tally.unverified += 1;
                }
                if self.told {
                    tell(call, &answer);
                }
            }
            Err(error) => {
                tally.refused += 1;
                *tally.refusals.entry(format!("{}: {}", error.code.as_str(), error.detail)).or_default() += 1;
            }
        }
    }

    /// What an auditor would do with the answer, the body and the public key.
    fn verifies(&self, answer: &Answer, body: &[u8]) -> bool {
        let Ok(entry) = base64::engine::general_purpose::STANDARD.decode(&answer.entry) else { return false };
        let evidence = ReceiptEvidence {
            receipt: &answer.receipt,
            entry: &entry,
            answer: Some(answer),
            intent: Some(body),
        };
        verify_receipt(&evidence, Some(&self.trust)).verdict == Verdict::Valid
    }
}

fn newest<T: Clone>(items: &[T], count_max: usize, bytes_max: usize, length: impl Fn(&T) -> usize) -> Vec<T> {
    let mut bytes = 0;
    let fitting = items.iter().rev().take(count_max).take_while(|item| {
        bytes += length(item);
        bytes <= bytes_max
    });
    let mut kept: Vec<T> = fitting.cloned().collect();
    kept.reverse();
    kept
}

fn first_words(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        line
    } else {
        line.chars().take(chars_max).chain(['…']).collect()
    }
}

fn tell(call: &ToolCall, answer: &Answer) {
    let colour = match answer.decision.outcome {
        crate::record::decision::Outcome::Allow => "32",
        crate::record::decision::Outcome::Deny => "31",
        _ => "33",
    };
    let args = first_words(&Value::Object(call.args.clone()).to_string(), 72);
    data(&format!(
        "  leaf {:>4}  \x1b[{colour}m{:<5}\x1b[0m {} {args}",
        answer.index,
        answer.decision.outcome.as_str(),
        call.name
    ));
    if answer.decision.outcome != crate::record::decision::Outcome::Allow {
        for reason in &answer.decision.reasons {
            data(&format!("             because {} ({})", reason.message, reason.rule));
        }
    }
}
