//! Recorded runs, read one at a time: `.jsonl`, or `.jsonl.zst`.

use std::io::{BufRead as _, BufReader, Read, Take};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::output::Failure;
use crate::disk::{Disk as _, DiskFile, OpenMode, RealDisk};

/// One run, in bytes.
const LINE_MAX_BYTES: u64 = 16 << 20;

/// One run of one agent: a line of the file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) suite: String,
    pub(super) user_task_id: String,
    #[serde(default)]
    pub(super) injection_task_id: Option<String>,
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) user_prompt: String,
    pub(super) steps: Vec<Step>,
    /// Did the agent do what the user asked for?
    #[serde(default)]
    pub(super) utility: Option<bool>,
    /// What became of the attack.
    #[serde(default)]
    pub(super) outcome: Option<String>,
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
    /// The suite's name where none is given.
    #[serde(default)]
    pub(super) server: Option<String>,
    pub(super) name: String,
    pub(super) args: Map<String, Value>,
    /// Does it carry out a part of the injected goal?
    #[serde(default)]
    pub(super) mal: bool,
}

/// What a call brought.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ToolResult {
    #[serde(default)]
    pub(super) content: Value,
    /// What went wrong, if something did.
    #[serde(default)]
    pub(super) error: Value,
}

impl ToolResult {
    /// Did the call fail?
    pub(super) fn failed(&self) -> bool {
        match &self.error {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        }
    }
}

/// Which measure a run counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its attack succeeded.
    Attack,
    /// Nobody attacked, and it did what the user asked for.
    Benign,
    /// Anything else: it says nothing about what a policy stops or costs.
    Neither,
}

impl Run {
    pub(super) fn kind(&self) -> Kind {
        match &self.injection_task_id {
            Some(_) if self.outcome.as_deref() == Some("success") => Kind::Attack,
            None if self.utility == Some(true) => Kind::Benign,
            _ => Kind::Neither,
        }
    }
}

/// A file of runs.
pub(super) struct Traces {
    path: PathBuf,
    /// The file's name without its endings.
    pub(super) corpus: String,
    lines: Box<dyn std::io::BufRead + Send>,
    read: Arc<AtomicU64>,
    /// The number of the line read last.
    pub(super) line: usize,
}

impl Traces {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let broken = |error: String| failure(path, &error);
        let file = RealDisk.open(path, OpenMode::Read).map_err(|e| broken(e.to_string()))?;
        let length = file.len().map_err(|e| broken(e.to_string()))?;
        let read = Arc::new(AtomicU64::new(0));
        let bytes = FileBytes { file, at: 0, length, read: Arc::clone(&read) };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let lines: Box<dyn std::io::BufRead + Send> = match name.strip_suffix(".zst") {
            None => Box::new(BufReader::new(bytes)),
            Some(_) => {
                let decoder = StreamingDecoder::new(BufReader::new(bytes));
                let frame = Some(decoder.map_err(|e| broken(e.to_string()))?);
                Box::new(BufReader::new(Frames { frame }))
            }
        };
        let corpus = name.strip_suffix(".zst").unwrap_or(&name);
        let corpus = corpus.strip_suffix(".jsonl").unwrap_or(corpus).to_owned();
        Ok(Self { path: path.to_owned(), corpus, lines, read, line: 0 })
    }

    /// Bytes of the file that were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The next run, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Run>, Failure> {
        loop {
            let mut line = Vec::new();
            let mut limited: Take<_> = (&mut self.lines).take(LINE_MAX_BYTES + 1);
            let read = limited.read_until(b'\n', &mut line);
            self.line += 1;
            if read.map_err(|error| self.failure(&error.to_string()))? == 0 {
                return Ok(None);
            }
            if line.len() as u64 > LINE_MAX_BYTES {
                return Err(self.failure(&format!("is longer than {LINE_MAX_BYTES} bytes")));
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                let run = serde_json::from_slice(&line);
                return run.map(Some).map_err(|error| self.failure(&error.to_string()));
            }
        }
    }

    fn failure(&self, what: &str) -> Failure {
        failure(&self.path, &format!("line {}: {what}", self.line))
    }
}

fn failure(path: &Path, what: &str) -> Failure {
    let hint =
        "traces are .jsonl or .jsonl.zst files, one run a line: see \"Files\" in docs/effectiveness.md";
    Failure::new(format!("{}: {what}", path.display()), hint)
}

/// What is compressed in all frames of a file, one after the other: the decoder ends with the first.
struct Frames {
    frame: Option<StreamingDecoder<BufReader<FileBytes>, FrameDecoder>>,
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else { return Ok(0) };
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.frame.take().map(StreamingDecoder::into_inner) else { return Ok(0) };
            if rest.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(rest).map_err(std::io::Error::other)?);
        }
    }
}

/// A file's bytes one after the other, counted.
struct FileBytes {
    file: Arc<dyn DiskFile>,
    at: u64,
    length: u64,
    read: Arc<AtomicU64>,
}

impl Read for FileBytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let Some(part) = buffer.get_mut(..wanted) else { return Ok(0) };
        self.file.read_exact_at(part, self.at)?;
        self.at += wanted as u64;
        self.read.store(self.at, Ordering::Relaxed);
        Ok(wanted)
    }
}
