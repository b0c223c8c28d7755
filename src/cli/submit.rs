//! `foreseal submit`: intents from a file, as they are.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::agent::connect;
use super::arguments::Submit;
use super::files;
use super::output::{Failure, data, status};
use super::remote::{Remote, Response};
use crate::record::{json, limits};

/// An intent with an id can be sent again without being sealed twice.
const TRIES: u32 = 4;
const INPUT_MAX_BYTES: u64 = 1 << 30;

pub(super) fn run(what: &Submit) -> Result<ExitCode, Failure> {
    let remote = connect(&what.connection)?;
    let input = read_input(&what.file)?;
    let mut refused = 0u32;
    let mut unanswered = 0u32;
    for (number, intent) in intents(&input).into_iter().enumerate() {
        let fate = fate_of(&remote, intent);
        match &fate {
            Fate::Sealed { .. } => {}
            Fate::Refused { detail, .. } => {
                refused += 1;
                status(&format!("intent {}: {detail}", number + 1));
            }
            Fate::Unanswered { detail, .. } => {
                unanswered += 1;
                status(&format!("intent {}: {detail}", number + 1));
            }
        }
        if what.json {
            let line = Line { schema: "foreseal.submit.v1", intent: number + 1, fate };
            data(&serde_json::to_string(&line).unwrap_or_default());
        } else if let Fate::Sealed { text, .. } = fate {
            data(&text);
        }
    }
    match (refused, unanswered) {
        (0, 0) => Ok(ExitCode::SUCCESS),
        (refused, 0) => Err(Failure::new(
            format!("{refused} intents were refused; nothing of them was sealed"),
            "docs/errors.md says what each code means",
        )),
        (_, unanswered) => Err(Failure::new(
            format!("{unanswered} intents got no answer, {refused} were refused"),
            "send the same file again: intents with an id are sealed once",
        )),
    }
}

/// What became of one intent. Serialised, it is `schemas/submit.schema.json`.
#[derive(Serialize)]
struct Line {
    schema: &'static str,
    /// Which of the input's intents, counted from 1.
    intent: usize,
    #[serde(flatten)]
    fate: Fate,
}

#[derive(Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
enum Fate {
    /// It is in the log, with this decision.
    Sealed {
        answer: Value,
        /// The same, byte for byte as it came.
        #[serde(skip)]
        text: String,
    },
    /// Nothing of it was sealed.
    Refused {
        detail: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Value>,
    },
    /// Whether it was sealed is not known.
    Unanswered {
        detail: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Value>,
    },
}

fn fate_of(remote: &Remote, intent: &[u8]) -> Fate {
    if intent.len() > limits::BODY_MAX_BYTES {
        // The service would refuse it while it is still being sent, which can look like a lost connection.
        let (is, most) = (intent.len(), limits::BODY_MAX_BYTES);
        let detail = format!("not sent: it has {is} bytes, at most {most} are taken");
        return Fate::Refused { detail, problem: None };
    }
    let unknown = |error: String| {
        let detail = format!("no answer, so whether it was sealed is not known: {error}");
        Fate::Unanswered { detail, problem: None }
    };
    let response = match send(remote, intent) {
        Ok(response) => response,
        Err(error) => return unknown(error),
    };
    let body = serde_json::from_slice(&response.body);
    match (response.status, body) {
        (201, Ok(answer)) => {
            Fate::Sealed { answer, text: String::from_utf8_lossy(&response.body).into_owned() }
        }
        (201, Err(error)) => unknown(format!("the answer is no JSON: {error}")),
        // Only what the service says was not sealed counts as refused.
        (_, problem) => {
            let (detail, problem) = (response.problem(), problem.ok());
            if response.was_not_sealed() {
                Fate::Refused { detail, problem }
            } else {
                Fate::Unanswered { detail, problem }
            }
        }
    }
}

fn read_input(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return files::read(path);
    }
    let mut input = Vec::new();
    let read = std::io::stdin().take(INPUT_MAX_BYTES).read_to_end(&mut input);
    read.map_err(|error| Failure::new(format!("standard input: {error}"), "pipe one intent, or one a line"))?;
    Ok(input)
}

/// The whole input if it is one JSON text, else its lines.
fn intents(input: &[u8]) -> Vec<&[u8]> {
    let limits = json::JsonLimits { max_bytes: input.len(), ..json::JsonLimits::default() };
    if json::parse_with(input, &limits).is_ok() {
        return vec![input];
    }
    input.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace)).collect()
}

fn send(remote: &Remote, intent: &[u8]) -> Result<Response, String> {
    let repeatable = json::parse(intent).is_ok_and(|value| value.get("id").is_some());
    let mut tried = 0;
    loop {
        tried += 1;
        let response = remote.post_json("/v1/intents", intent);
        let again = match &response {
            Ok(response) => response.status == 503 || (repeatable && matches!(response.status, 500 | 504)),
            Err(_) => repeatable,
        };
        if !again || tried == TRIES {
            return response;
        }
        std::thread::sleep(Duration::from_millis(250 << tried));
    }
}
