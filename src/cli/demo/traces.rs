//! Recorded agent runs: our own bundled ones, and the formats that others record.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::files;
use super::super::output::Failure;

/// Decompressed, a file of traces may be this large.
const TRACES_MAX_BYTES: u64 = 1 << 30;

const BUNDLED: [&str; 3] = [
    include_str!("../../../examples/traces/banking.json"),
    include_str!("../../../examples/traces/coding.json"),
    include_str!("../../../examples/traces/support.json"),
];

/// One run of one agent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) suite: String,
    #[serde(default)]
    pub(super) user_prompt: String,
    pub(super) steps: Vec<Step>,
}

/// What happened next: the agent thought and called, or the user spoke.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Step {
    #[serde(default)]
    pub(super) reasoning: String,
    #[serde(default)]
    pub(super) tool_calls: Vec<ToolCall>,
    #[serde(default)]
    pub(super) tool_results: Vec<ToolResult>,
    #[serde(default)]
    pub(super) user: Option<String>,
}

/// A call, as it was made.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ToolCall {
    #[serde(default)]
    pub(super) server: Option<String>,
    pub(super) name: String,
    pub(super) args: Map<String, Value>,
}

/// What a call brought.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ToolResult {
    #[serde(default)]
    pub(super) content: Value,
}

/// A recorded coding agent (`.traj`): thought, action, observation.
#[derive(Deserialize)]
struct Trajectory {
    #[serde(default)]
    trajectory: Vec<TrajectoryStep>,
    /// Recordings without a trajectory have the same steps here, among other messages.
    #[serde(default)]
    history: Vec<Value>,
}

#[derive(Deserialize)]
struct TrajectoryStep {
    #[serde(default)]
    thought: String,
    action: String,
    #[serde(default)]
    observation: Value,
}

impl Run {
    pub(super) fn call_count(&self) -> usize {
        self.steps.iter().map(|step| step.tool_calls.len()).sum()
    }
}

/// The runs that come with the program.
pub(super) fn bundled() -> Result<Vec<Run>, Failure> {
    let runs = BUNDLED.iter().map(|text| serde_json::from_str(text));
    let runs: Result<Vec<Run>, _> = runs.collect();
    runs.map_err(|error| {
        Failure::new(format!("a bundled run cannot be read: {error}"), "report this as a defect")
    })
}

/// Reads a file of runs: one JSON object a line, compressed or not, or one object, or a trajectory.
pub(super) fn read(path: &Path) -> Result<Vec<Run>, Failure> {
    let failure = |what: String| {
        Failure::new(
            format!("{}: {what}", path.display()),
            "traces are .jsonl, .jsonl.zst, .json or .traj files of recorded runs",
        )
    };
    let bytes = files::read(path)?;
    let bytes = if path.extension().is_some_and(|extension| extension == "zst") {
        decompress(&bytes).map_err(failure)?
    } else {
        bytes
    };
    if path.extension().is_some_and(|extension| extension == "traj") {
        let trajectory: Trajectory = serde_json::from_slice(&bytes).map_err(|e| failure(e.to_string()))?;
        return Ok(vec![run_of(trajectory)]);
    }
    if let Ok(run) = serde_json::from_slice::<Run>(&bytes) {
        return Ok(vec![run]);
    }
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| failure(format!("line {}: {error}", number + 1)))
        })
        .collect()
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    decoder.take(TRACES_MAX_BYTES).read_to_end(&mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

fn run_of(trajectory: Trajectory) -> Run {
    let recorded = if trajectory.trajectory.is_empty() {
        let steps = trajectory
            .history
            .into_iter()
            .filter(|message| message.get("action").is_some_and(Value::is_string));
        steps.filter_map(|message| serde_json::from_value(message).ok()).collect()
    } else {
        trajectory.trajectory
    };
    let steps = recorded.into_iter().map(|step: TrajectoryStep| {
        let mut args = Map::new();
        args.insert("command".to_owned(), Value::String(step.action));
        Step {
            reasoning: step.thought,
            tool_calls: vec![ToolCall { server: Some("shell".to_owned()), name: "run".to_owned(), args }],
            tool_results: vec![ToolResult { content: step.observation }],
            user: None,
        }
    });
    Run { suite: "swe-agent".to_owned(), user_prompt: String::new(), steps: steps.collect() }
}
