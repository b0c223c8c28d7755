//! The solver, cvc5: a program of its own, one process for each question.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::output::Failure;
use crate::policy::prove::Solver;
use crate::record::limits;

/// How cvc5 begins to say who it is.
const VERSION: &str = "This is cvc5 version ";
/// How long a solver that was told its limit may take to stop.
const GRACE: Duration = Duration::from_secs(2);
/// For one question, where nobody says otherwise.
#[cfg(feature = "server")]
const QUESTION_SECONDS: u64 = 10;
/// What a solver prints is read up to here: models are small.
const OUTPUT_MAX_BYTES: u64 = 16 << 20;

/// A solver that was found, with the time that it has.
#[derive(Debug)]
pub(super) struct Cvc5 {
    program: PathBuf,
    about: String,
    /// For one question.
    question: Duration,
    /// For all of one bundle's.
    until: Mutex<Instant>,
}

impl Cvc5 {
    /// Finds the program, `cvc5` on the path unless one is named, and asks for its version.
    pub(super) fn find(named: Option<&Path>, question_s: u64) -> Result<Self, Failure> {
        let program = named.map_or_else(|| PathBuf::from("cvc5"), Path::to_owned);
        let hint = "install cvc5 (Debian: apt-get install cvc5), or name the program with --solver";
        let failed = |what: String| Failure::new(format!("{}: {what}", program.display()), hint);
        let asked = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let said = asked.map_err(|error| {
            failed(match error.kind() {
                ErrorKind::NotFound => "no such program".to_owned(),
                _ => error.to_string(),
            })
        })?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.lines().next().and_then(|line| line.trim().strip_prefix(VERSION));
        let version: String = version
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or_else(|| failed("it does not say that it is cvc5".to_owned()))?
            .to_owned();
        let until = Mutex::new(end());
        let question = Duration::from_secs(question_s);
        Ok(Self { program, about: format!("cvc5 {version}"), question, until })
    }

    /// The one that the environment names, or the one on the path; none where there is none.
    #[cfg(feature = "server")]
    pub(super) fn of_environment() -> Option<Self> {
        let named = std::env::var_os("FORESEAL_SOLVER").map(PathBuf::from);
        Self::find(named.as_deref(), QUESTION_SECONDS).ok()
    }

    fn start(&self, limit: Duration) -> std::io::Result<Child> {
        // Patterns (`like`) need the whole theory of strings; the limit is for each question.
        Command::new(&self.program)
            .args(["--lang", "smt", "--strings-exp", &format!("--tlimit-per={}", limit.as_millis())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// When the time of a bundle that begins now is over.
fn end() -> Instant {
    Instant::now() + Duration::from_secs(limits::PROOFS_MAX_SECONDS)
}

impl Solver for Cvc5 {
    fn begin(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = end();
    }

    fn about(&self) -> &str {
        &self.about
    }

    fn run(&self, script: &[u8]) -> Result<String, String> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = self.question.min(until.saturating_duration_since(Instant::now()));
        if limit.is_zero() {
            return Err("the time for proofs is over".to_owned());
        }
        let mut child = self.start(limit).map_err(|error| format!("the solver did not start: {error}"))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the solver has no input or output".to_owned());
        };
        let (told, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let mut said = String::new();
            let read = output.take(OUTPUT_MAX_BYTES).read_to_string(&mut said);
            // Nobody waits any longer where the time was over.
            let _ = told.send(read.map(|_| said));
        });
        // It reads everything before it says anything; where it stops reading, what it said tells why.
        let _ = input.write_all(script);
        drop(input);
        let said = answer.recv_timeout(limit + GRACE);
        // It is told to end whether it has or not, and waited for: no process stays behind.
        let _ = child.kill();
        let _ = child.wait();
        match said {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(error)) => Err(format!("the solver's answer could not be read: {error}")),
            Err(_) => Err("the solver did not answer in time".to_owned()),
        }
    }
}
