//! `foreseal inspect`: what something holds, in words or as JSON. It verifies nothing, and says so.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::arguments::Inspect;
use super::files;
use super::output::{Failure, data};
use crate::evidence::answer::AnswerCall;
use crate::evidence::{Answer, Receipt};
use crate::ledger::at_rest;
use crate::merkle::{Hash, leaf_hash};
use crate::note::{Checkpoint, SignedNote};
use crate::record::decision::Outcome;
use crate::record::entry::Entry;

/// What was found. Serialised, it is `schemas/inspect.schema.json`.
#[derive(Serialize)]
struct Shown {
    schema: &'static str,
    kind: Kind,
    /// Always `false`: this is what something says, and not whether it is so.
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<AnswerShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<DirectoryShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<LeafShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<CheckpointShown>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Answer,
    Receipt,
    Checkpoint,
    Entry,
    Leaf,
    DataDirectory,
}

#[derive(Serialize)]
struct AnswerShown {
    id: String,
    outcome: Outcome,
    calls: Vec<AnswerCall>,
}

#[derive(Serialize)]
struct DirectoryShown {
    leaves: u64,
    types: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct LeafShown {
    /// Where it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    hash: Hash,
    bytes: usize,
    /// What it says; `null` for what is no JSON.
    entry: Option<Value>,
}

#[derive(Serialize)]
struct ReceiptShown {
    index: u64,
    path: Vec<Hash>,
}

#[derive(Serialize)]
struct CheckpointShown {
    origin: String,
    size: u64,
    root: Hash,
    signatures: Vec<SignatureShown>,
}

#[derive(Serialize)]
struct SignatureShown {
    name: String,
    key_id: String,
}

pub(super) fn run(what: &Inspect) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let shown = if at_rest::is_data_directory(&*disk, &what.what) {
        data_directory(&what.what, what.index)?
    } else {
        file(&what.what)?
    };
    if what.json {
        data(&serde_json::to_string_pretty(&shown).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    for line in shown.lines() {
        data(&line);
    }
    data("(shown as found; nothing was verified)");
    Ok(ExitCode::SUCCESS)
}

impl Shown {
    fn new(kind: Kind) -> Self {
        Self {
            schema: "foreseal.inspect.v1",
            kind,
            verified: false,
            answer: None,
            directory: None,
            leaf: None,
            receipt: None,
            checkpoint: None,
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(answer) = &self.answer {
            lines.push(format!("answer to intent {}: {}", answer.id, answer.outcome));
            for call in &answer.calls {
                let why: Vec<String> =
                    call.reasons.iter().map(|r| format!("{} ({})", r.message, r.rule)).collect();
                lines.push(format!("  call {}: {} - {}", call.id, call.outcome, why.join("; ")));
            }
        }
        if let Some(directory) = &self.directory {
            lines.push(format!("data directory with {} leaves", directory.leaves));
            lines.extend(directory.types.iter().map(|(kind, count)| format!("  {count} {kind}")));
        }
        if let Some(leaf) = &self.leaf {
            lines.extend(leaf.lines());
        }
        match &self.receipt {
            Some(ReceiptShown { index, path }) => {
                lines.push(format!("receipt for leaf {index}: {} hashes up to", path.len()));
            }
            None if self.kind == Kind::Answer => lines.push("receipt: cannot be read".to_owned()),
            None => {}
        }
        match &self.checkpoint {
            Some(checkpoint) => lines.extend(checkpoint.lines()),
            None if self.receipt.is_some() => lines.push("a checkpoint that cannot be read".to_owned()),
            None => {}
        }
        lines
    }
}

impl LeafShown {
    fn of(index: Option<u64>, bytes: &[u8]) -> Self {
        Self { index, hash: leaf_hash(bytes), bytes: bytes.len(), entry: serde_json::from_slice(bytes).ok() }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(index) = self.index {
            lines.push(format!("leaf {index}, hash {}, {} bytes:", self.hash, self.bytes));
        }
        match self.entry.as_ref().and_then(|value| serde_json::to_string_pretty(value).ok()) {
            Some(pretty) => lines.extend(pretty.lines().map(|line| format!("  {line}"))),
            None => lines.push("  not JSON".to_owned()),
        }
        lines
    }
}

impl CheckpointShown {
    fn of(text: &str) -> Option<Self> {
        let note: SignedNote = text.parse().ok()?;
        let checkpoint = Checkpoint::parse(&note.text).ok()?;
        let signatures = note.signatures.iter().map(|signature| SignatureShown {
            name: signature.name.to_string(),
            key_id: hex::encode(signature.key_id),
        });
        Some(Self {
            origin: checkpoint.origin.to_string(),
            size: checkpoint.size,
            root: checkpoint.root,
            signatures: signatures.collect(),
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("checkpoint of {}: size {}, root {}", self.origin, self.size, self.root)];
        let signatures = self.signatures.iter();
        lines.extend(signatures.map(|s| format!("  signature by {} (key {})", s.name, s.key_id)));
        lines
    }
}

fn file(path: &Path) -> Result<Shown, Failure> {
    let bytes = files::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if let Ok(answer) = Answer::parse(&text) {
        let leaf = STANDARD.decode(&answer.entry).ok();
        let leaf = leaf.map(|entry| LeafShown::of(Some(answer.index), &entry));
        let (id, outcome) = (answer.id.to_string(), answer.decision.outcome);
        let shown = AnswerShown { id, outcome, calls: answer.decision.calls };
        return Ok(Shown { answer: Some(shown), leaf, ..with_receipt(Kind::Answer, &answer.receipt) });
    }
    if Receipt::parse(&text).is_ok() {
        return Ok(with_receipt(Kind::Receipt, &text));
    }
    if let Some(checkpoint) = CheckpointShown::of(&text) {
        return Ok(Shown { checkpoint: Some(checkpoint), ..Shown::new(Kind::Checkpoint) });
    }
    if Entry::parse(&bytes).is_ok() {
        return Ok(Shown { leaf: Some(LeafShown::of(None, &bytes)), ..Shown::new(Kind::Entry) });
    }
    Err(Failure::new(
        format!("{}: no answer, receipt, checkpoint or entry", path.display()),
        "give one of these, or a data directory",
    ))
}

fn with_receipt(kind: Kind, text: &str) -> Shown {
    let shown = Shown::new(kind);
    let Ok(receipt) = Receipt::parse(text) else { return shown };
    let checkpoint = CheckpointShown::of(&receipt.checkpoint);
    Shown { receipt: Some(ReceiptShown { index: receipt.index, path: receipt.path }), checkpoint, ..shown }
}

fn data_directory(path: &Path, wanted: Option<u64>) -> Result<Shown, Failure> {
    let disk = files::disk();
    let unreadable = |e: &dyn std::fmt::Display| {
        Failure::new(
            format!("{}: {e}", path.display()),
            "run `foreseal fsck --data DIR` to see what is wrong",
        )
    };
    let mut found = None;
    let mut leaves = 0u64;
    let mut types = BTreeMap::<String, u64>::new();
    at_rest::for_each_leaf(&*disk, path, &mut |index, bytes| {
        leaves = index + 1;
        if Some(index) == wanted {
            found = Some(bytes.to_vec());
            return ControlFlow::Break(());
        }
        if wanted.is_none() {
            let kind =
                Entry::parse(bytes).map_or_else(|_| "unreadable".to_owned(), |entry| entry.kind().to_owned());
            *types.entry(kind).or_default() += 1;
        }
        ControlFlow::Continue(())
    })
    .map_err(|e| unreadable(&e))?;
    if let Some(index) = wanted {
        let bytes = found.ok_or_else(|| {
            Failure::new(format!("there is no leaf {index}: the log has {leaves}"), "give a smaller --index")
        })?;
        return Ok(Shown { leaf: Some(LeafShown::of(Some(index), &bytes)), ..Shown::new(Kind::Leaf) });
    }
    let note = at_rest::last_checkpoint(&*disk, path).map_err(|e| unreadable(&e))?;
    let checkpoint = note.and_then(|note| CheckpointShown::of(&note));
    let directory = DirectoryShown { leaves, types };
    Ok(Shown { directory: Some(directory), checkpoint, ..Shown::new(Kind::DataDirectory) })
}
