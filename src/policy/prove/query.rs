//! Questions to the solver, one at a time: rules compiled by Cedar's symbolic compiler, the answer read back.
//!
//! The compiler's trait for solvers is asynchronous and speaks of tokio's writers. Here a script is written into memory
//! and handed over as a whole, so that no future ever waits and none needs a runtime.

use std::cell::RefCell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cedar_policy::{Policy, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver as SymbolicSolver, SolverError};
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, SmtLibScript as _, WellFormedAsserts,
    always_denies_asserts, implies_asserts, matches_implies_asserts, never_errors_asserts,
};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;

/// An SMT solver that reads SMT-LIB 2.6: an external program, whoever runs it.
pub trait Solver: std::fmt::Debug + Send + Sync {
    /// Its name and version, as it gives them itself.
    fn about(&self) -> &str;

    /// What comes belongs to another bundle: its time begins.
    fn begin(&self) {}

    /// Runs one script, which asks once whether it can be satisfied and then for a model; what the solver printed.
    ///
    /// # Errors
    /// Says why there is no output: a time limit, a crash.
    fn run(&self, script: &[u8]) -> Result<String, String>;
}

/// What became of a question.
#[derive(Debug)]
pub(super) enum Found {
    /// There is no such call.
    Nothing,
    /// Here is one, as far as the solver is concerned.
    Example(Box<Env>),
    /// Not known, and why.
    Unknown(String),
}

/// Everything that was asked of a solver on the way to one answer.
#[derive(Debug)]
pub(super) struct Questions<'a> {
    solver: &'a dyn Solver,
    asked: RefCell<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    scripts: u64,
    digest: Sha256,
}

/// How many questions went to the solver, and the SHA-256 of its input: each script with its length before it, as 8
/// bytes, big-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) queries: u64,
    pub(super) digest: [u8; 32],
}

impl<'a> Questions<'a> {
    pub(super) fn to(solver: &'a dyn Solver) -> Self {
        Self { solver, asked: RefCell::default() }
    }

    /// What was asked so far; a new record begins.
    pub(super) fn take(&self) -> Record {
        let asked = self.asked.take();
        Record { queries: asked.scripts, digest: asked.digest.finalize().into() }
    }

    /// A call that the rules allow, as Cedar counts: a permit matches and no forbid does. Rules that fail do neither.
    pub(super) fn allowed(&self, rules: &PolicySet, env: &RequestEnv, schema: &Schema) -> Found {
        match CompiledPolicySet::compile(rules, env, schema) {
            Ok(rules) => self.ask(&always_denies_asserts(&rules)),
            Err(error) => Found::Unknown(why(&error)),
        }
    }

    /// A call that the first rules allow and the second do not.
    pub(super) fn allowed_and_not(
        &self,
        (first, second): (&PolicySet, &PolicySet),
        env: &RequestEnv,
        schema: &Schema,
    ) -> Found {
        let compile = |rules| CompiledPolicySet::compile(rules, env, schema).map_err(Box::new);
        match (compile(first), compile(second)) {
            (Ok(first), Ok(second)) => self.ask(&implies_asserts(&first, &second)),
            (Err(error), _) | (_, Err(error)) => Found::Unknown(why(&error)),
        }
    }

    /// A call that the first rule matches and the second does not.
    pub(super) fn matched_and_not(
        &self,
        (first, second): (&Policy, &Policy),
        env: &RequestEnv,
        schema: &Schema,
    ) -> Found {
        let compile = |rule| CompiledPolicy::compile(rule, env, schema).map_err(Box::new);
        match (compile(first), compile(second)) {
            (Ok(first), Ok(second)) => self.ask(&matches_implies_asserts(&first, &second)),
            (Err(error), _) | (_, Err(error)) => Found::Unknown(why(&error)),
        }
    }

    /// A call on which the rule fails.
    pub(super) fn failing(&self, rule: &Policy, env: &RequestEnv, schema: &Schema) -> Found {
        match CompiledPolicy::compile(rule, env, schema) {
            Ok(rule) => self.ask(&never_errors_asserts(&rule)),
            Err(error) => Found::Unknown(why(&error)),
        }
    }

    fn ask(&self, asserts: &WellFormedAsserts<'_>) -> Found {
        let script = Script { solver: self.solver, written: Vec::new(), ran: None };
        let mut compiler = match CedarSymCompiler::new(script) {
            Ok(compiler) => compiler,
            Err(error) => return Found::Unknown(why(&error)),
        };
        let answer = at_once(compiler.check_sat(asserts));
        // What the compiler folds to true or false asks nobody.
        if let Some(ran) = compiler.solver_mut().ran.take() {
            let asked = &mut *self.asked.borrow_mut();
            asked.scripts = asked.scripts.saturating_add(1);
            asked.digest.update(u64::try_from(ran.len()).unwrap_or(u64::MAX).to_be_bytes());
            asked.digest.update(&ran);
        }
        match answer {
            Some(Ok(None)) => Found::Nothing,
            Some(Ok(Some(example))) => Found::Example(Box::new(example)),
            Some(Err(error)) => Found::Unknown(why(&error)),
            None => Found::Unknown("the symbolic compiler waits for something".to_owned()),
        }
    }
}

/// The result of a future that waits for nothing.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// For people.
fn why(error: &Error) -> String {
    match error {
        Error::SolverUnknown => "the solver does not know, within its limits".to_owned(),
        Error::SolverError(SolverError::Solver(said)) => said.clone(),
        Error::CompileError(error) => format!("not expressible: {error}"),
        Error::DecodeModel(_) | Error::ConcretizeError(_) | Error::ModelInvalid { .. } => {
            format!("there is an example, and it cannot be read: {error}")
        }
        other => other.to_string(),
    }
}

/// A script in memory, and who runs it.
struct Script<'a> {
    solver: &'a dyn Solver,
    written: Vec<u8>,
    /// The script that was run.
    ran: Option<Vec<u8>>,
}

impl SymbolicSolver for Script<'_> {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.written
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        Ok(self.smtlib_input().set_option("produce-models", "true").await?)
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        Ok(match self.check_sat_with_model().await? {
            DecisionWithModel::Sat { .. } => Decision::Sat,
            DecisionWithModel::Unsat => Decision::Unsat,
            DecisionWithModel::Unknown => Decision::Unknown,
        })
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        let mut script = std::mem::take(&mut self.written);
        script.extend_from_slice(b"(check-sat)\n(get-model)\n");
        let said = self.solver.run(&script);
        self.ran = Some(script);
        let said = said.map_err(SolverError::Solver)?;
        let (answer, model) = said.split_once('\n').unwrap_or((&said, ""));
        match answer.trim() {
            "sat" => Ok(DecisionWithModel::Sat { model: model.to_owned() }),
            // A model was asked for that there is not: what the solver says of that is not looked at.
            "unsat" => Ok(DecisionWithModel::Unsat),
            "unknown" => Ok(DecisionWithModel::Unknown),
            "" => Err(SolverError::Solver("the solver ended without an answer".to_owned())),
            other => {
                let shown: String = other.chars().filter(|c| !c.is_control()).take(ERROR_CHARS).collect();
                Err(SolverError::Solver(format!("the solver refused the question: {shown}")))
            }
        }
    }
}

/// Characters of a solver's own error that are shown.
const ERROR_CHARS: usize = 200;
