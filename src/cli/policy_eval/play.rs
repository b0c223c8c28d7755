//! Plays runs the way their parties would: an application opens the session with the user's words, the agent declares
//! each call, tool servers report what the calls that may run answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::output::Failure;
use super::inputs::{Judge, Plans};
use super::traces::{Kind, Run, Step, ToolCall};
use crate::record::decision::Outcome;
use crate::record::limits;
use crate::record::session::EndUser;
use crate::service::{
    Caller, ErrorCode, NewAgent, NewParty, PartyKind, Service, ServiceError, Stopwatch, SubmissionHeaders,
};

/// Bytes of an agent's thoughts that go along with a call, from their end.
const REASONING_MAX_BYTES: usize = limits::BODY_MAX_BYTES / 8;
/// Bytes of what an agent read of stopped calls that go along, the newest.
const OBSERVATIONS_MAX_BYTES: usize = limits::BODY_MAX_BYTES / 2;

/// Where runs are played, and who plays.
pub(super) struct Stage {
    pub(super) service: Arc<Service>,
    pub(super) judge: Judge,
    pub(super) plans: Plans,
    pub(super) principals: BTreeMap<String, EndUser>,
    agents: BTreeMap<String, (String, Caller)>,
    servers: BTreeMap<String, Caller>,
}

/// A run with its place in the files.
pub(super) struct Scene {
    pub(super) corpus: Arc<str>,
    pub(super) line: usize,
    pub(super) run: Run,
    pub(super) session: String,
    pub(super) application: Caller,
}

/// A run that was played: what became of its calls.
pub(super) struct Played {
    pub(super) corpus: Arc<str>,
    pub(super) line: usize,
    pub(super) suite: String,
    pub(super) task: String,
    pub(super) injection: Option<String>,
    pub(super) model: String,
    pub(super) kind: Kind,
    pub(super) calls: Vec<PlayedCall>,
    /// From each call's declaration to its answer, in microseconds.
    pub(super) answers_us: Vec<u64>,
}

/// A call that was decided.
pub(super) struct PlayedCall {
    pub(super) server: String,
    pub(super) tool: String,
    pub(super) mal: bool,
    pub(super) outcome: Outcome,
    /// The rules that decided; an error's code where the service took no such intent.
    pub(super) rules: Vec<String>,
    pub(super) side_effect: bool,
    pub(super) fetch: bool,
}

impl PlayedCall {
    /// Whether it may not run as things are.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.outcome, Outcome::Deny | Outcome::Defer | Outcome::Hold)
    }
}

/// A defect, or a service that cannot go on.
fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the evaluation could not go on: {error}"), "see the message")
}

impl Stage {
    pub(super) fn new(
        service: Arc<Service>,
        judge: Judge,
        plans: Plans,
        principals: BTreeMap<String, EndUser>,
    ) -> Self {
        Self { service, judge, plans, principals, agents: BTreeMap::new(), servers: BTreeMap::new() }
    }

    /// Registers an application for the next runs.
    pub(super) async fn application(&self, name: &str) -> Result<Caller, Failure> {
        self.party(PartyKind::Application, name).await
    }

    /// Ends it, and with it the memory of its sessions.
    pub(super) async fn dismiss(&self, name: &str) -> Result<(), Failure> {
        let kind = PartyKind::Application;
        let ended = self.service.revoke_party(&Caller::Operator(0), kind, name.to_owned()).await;
        ended.map(drop).map_err(unexpected)
    }

    async fn party(&self, kind: PartyKind, name: &str) -> Result<Caller, Failure> {
        let new = NewParty { name: name.to_owned() };
        let registered = self.service.register_party(&Caller::Operator(0), kind, new).await;
        let registered = registered.map_err(|error| registration_failure(name, &error))?;
        self.service.authenticate(registered.token.as_deref()).map_err(unexpected)
    }

    /// Registers who is not registered yet and takes part in a run: an agent for each suite, and the tools' servers.
    pub(super) async fn cast(&mut self, run: &Run) -> Result<(), Failure> {
        if !self.agents.contains_key(&run.suite) {
            let name = format!("{}-agent", run.suite);
            let new = NewAgent { name: name.clone(), roles: Vec::new(), public_key: None };
            let registered = self.service.register_agent(&Caller::Operator(0), new).await;
            let registered = registered.map_err(|error| registration_failure(&name, &error))?;
            let caller = self.service.authenticate(registered.token.as_deref()).map_err(unexpected)?;
            self.agents.insert(run.suite.clone(), (name, caller));
        }
        for call in run.steps.iter().flat_map(|step| &step.tool_calls) {
            let server = server_of(&self.judge, run, call);
            if !self.servers.contains_key(server) {
                let caller = self.party(PartyKind::ToolServer, server).await?;
                self.servers.insert(server.to_owned(), caller);
            }
        }
        Ok(())
    }

    /// Plays one run from its first to its last step.
    pub(super) async fn play(&self, scene: Scene) -> Result<Played, Failure> {
        let place = format!("{}, line {}", scene.corpus, scene.line);
        let at = |error: ServiceError| {
            Failure::new(format!("{place}: {error}"), "look at this run; it breaks a limit of docs/limits.md")
        };
        let run = &scene.run;
        let Some((name, caller)) = self.agents.get(&run.suite) else {
            return Err(unexpected(format!("no agent of {}", run.suite)));
        };
        let sealed = self.service.open_session(&scene.application, self.opening(&scene, name)).await;
        let opened = sealed.map_err(at)?.id;
        let mut actor =
            Actor { stage: self, scene: &scene, name, caller, thoughts: Vec::new(), read: Vec::new() };
        let (mut calls, mut answers_us) = (Vec::new(), Vec::new());
        for step in &run.steps {
            if let Some(words) = &step.user {
                let turn = self.service.take_turn(&scene.application, opened, json!({ "words": [words] }));
                turn.await.map_err(at)?;
            }
            actor.step(step, &mut calls, &mut answers_us).await.map_err(at)?;
        }
        let kind = run.kind();
        let Scene { corpus, line, run, .. } = scene;
        let Run { suite, user_task_id: task, injection_task_id: injection, model, .. } = run;
        Ok(Played { corpus, line, suite, task, injection, model, kind, calls, answers_us })
    }

    /// What the application says when it opens the session.
    fn opening(&self, scene: &Scene, agent: &str) -> Value {
        let run = &scene.run;
        let mut body = Map::new();
        body.insert("agent".to_owned(), agent.into());
        body.insert("session".to_owned(), scene.session.as_str().into());
        body.insert("words".to_owned(), json!([run.user_prompt]));
        if let Some(principal) = self.principals.get(&run.suite) {
            body.insert("principal".to_owned(), json!(principal));
        }
        if let Some(plan) = self.plans.of(&self.judge, &run.suite, &run.user_task_id, &run.user_prompt) {
            body.insert("plan".to_owned(), plan);
        }
        Value::Object(body)
    }
}

fn registration_failure(name: &str, error: &ServiceError) -> Failure {
    let hint = "suites and servers are named with 1 to 120 letters, digits, and . _ : -";
    Failure::new(format!("registering {name:?}: {error}"), hint)
}

/// A call's server: its own word, else what the registry says.
fn server_of<'a>(judge: &'a Judge, run: &'a Run, call: &'a ToolCall) -> &'a str {
    call.server.as_deref().unwrap_or_else(|| judge.server(&run.suite, &call.name))
}

/// The agent of one run.
struct Actor<'a> {
    stage: &'a Stage,
    scene: &'a Scene,
    name: &'a str,
    caller: &'a Caller,
    thoughts: Vec<&'a str>,
    /// What the recording says that stopped calls answered: what the agent would have read had they run.
    read: Vec<Value>,
}

impl<'a> Actor<'a> {
    /// Declares the calls of a step, one intent each, and then has those that may run answered.
    async fn step(
        &mut self,
        step: &'a Step,
        calls: &mut Vec<PlayedCall>,
        answers_us: &mut Vec<u64>,
    ) -> Result<(), ServiceError> {
        if !step.reasoning.is_empty() {
            self.thoughts.push(&step.reasoning);
        }
        let mut may_run = Vec::new();
        for call in &step.tool_calls {
            let took = Stopwatch::start();
            let answer = self
                .stage
                .service
                .submit(self.caller, self.intent(call), &SubmissionHeaders::default())
                .await;
            answers_us.push(u64::try_from(took.elapsed().as_micros()).unwrap_or(u64::MAX));
            self.read.clear();
            let (id, outcome, rules) = match answer {
                Ok(answer) => {
                    let rules = answer.decision.reasons.into_iter().map(|reason| reason.rule).collect();
                    (Some(answer.id), answer.decision.outcome, rules)
                }
                // What the service takes for no intent cannot run either.
                Err(error) if matches!(error.code, ErrorCode::MalformedIntent | ErrorCode::TooLarge) => {
                    (None, Outcome::Deny, vec![error.code.as_str().to_owned()])
                }
                Err(error) => return Err(error),
            };
            let (run, judge) = (&self.scene.run, &self.stage.judge);
            let server = server_of(judge, run, call).to_owned();
            let played = PlayedCall {
                side_effect: judge.has_side_effect(&server, &call.name),
                fetch: judge.fetches(&server, &call.name),
                tool: call.name.clone(),
                mal: call.mal,
                server,
                outcome,
                rules,
            };
            may_run.push(id.filter(|_| !played.is_stopped()));
            calls.push(played);
        }
        for ((call, id), result) in step.tool_calls.iter().zip(may_run).zip(&step.tool_results) {
            let Some(id) = id else {
                self.read
                    .push(json!({ "source": call.name, "trust": "untrusted", "content": result.content }));
                continue;
            };
            let status = if result.failed() { "error" } else { "ok" };
            let outcome = json!({ "call": "c1", "status": status, "result": result.content });
            let server = server_of(&self.stage.judge, &self.scene.run, call);
            let server = self.stage.servers.get(server).unwrap_or(self.caller);
            self.stage.service.report_outcome(server, id, Some(self.name.to_owned()), outcome).await?;
        }
        Ok(())
    }

    /// The declared document, as the agent would write it.
    fn intent(&self, call: &ToolCall) -> Vec<u8> {
        let thoughts = newest(&self.thoughts, limits::REASONING_STEPS_MAX, REASONING_MAX_BYTES, |t| t.len());
        let size = |observation: &Value| observation.to_string().len();
        let read = newest(&self.read, limits::OBSERVATIONS_MAX, OBSERVATIONS_MAX_BYTES, size);
        let server = server_of(&self.stage.judge, &self.scene.run, call);
        json!({
            "agent": self.name,
            "session": self.scene.session,
            "goal": self.scene.run.user_prompt,
            "reasoning": thoughts,
            "observations": read,
            "calls": [{ "id": "c1", "server": server, "tool": call.name, "args": call.args }],
        })
        .to_string()
        .into_bytes()
    }
}

/// As many as fit, from the end.
fn newest<T: Clone>(items: &[T], count_max: usize, bytes_max: usize, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut bytes = 0;
    let fitting = items.iter().rev().take(count_max).take_while(|item| {
        bytes += size(item);
        bytes <= bytes_max
    });
    let mut kept: Vec<T> = fitting.cloned().collect();
    kept.reverse();
    kept
}
