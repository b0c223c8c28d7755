//! `foreseal inspect`: what something holds, in words. It verifies nothing, and says so.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arguments::Inspect;
use super::files;
use super::output::{Failure, data};
use crate::evidence::{Answer, Receipt};
use crate::ledger::at_rest;
use crate::merkle::leaf_hash;
use crate::note::{Checkpoint, SignedNote};
use crate::record::entry::Entry;

pub(super) fn run(what: &Inspect) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let lines = if at_rest::is_data_directory(&*disk, &what.what) {
        data_directory(&what.what, what.index)?
    } else {
        file(&what.what)?
    };
    for line in lines {
        data(&line);
    }
    data("(shown as found; nothing was verified)");
    Ok(ExitCode::SUCCESS)
}

fn file(path: &Path) -> Result<Vec<String>, Failure> {
    let bytes = files::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    if let Ok(answer) = Answer::parse(&text) {
        let mut lines = vec![format!("answer to intent {}: {}", answer.id, answer.decision.outcome)];
        for call in &answer.decision.calls {
            let why: Vec<String> =
                call.reasons.iter().map(|r| format!("{} ({})", r.message, r.rule)).collect();
            lines.push(format!("  call {}: {} - {}", call.id, call.outcome, why.join("; ")));
        }
        if let Ok(entry) = STANDARD.decode(&answer.entry) {
            lines.extend(entry_lines(answer.index, &entry));
        }
        lines.extend(receipt_lines(&answer.receipt));
        return Ok(lines);
    }
    if Receipt::parse(&text).is_ok() {
        return Ok(receipt_lines(&text));
    }
    if let Some(lines) = note_lines(&text) {
        return Ok(lines);
    }
    if Entry::parse(&bytes).is_ok() {
        return Ok(entry_lines(0, &bytes).into_iter().skip(1).collect());
    }
    Err(Failure::new(
        format!("{}: no answer, receipt, checkpoint or entry", path.display()),
        "give one of these, or a data directory",
    ))
}

fn receipt_lines(text: &str) -> Vec<String> {
    let Ok(receipt) = Receipt::parse(text) else { return vec!["receipt: cannot be read".to_owned()] };
    let mut lines = vec![format!("receipt for leaf {}: {} hashes up to", receipt.index, receipt.path.len())];
    lines.extend(
        note_lines(&receipt.checkpoint)
            .unwrap_or_else(|| vec!["a checkpoint that cannot be read".to_owned()]),
    );
    lines
}

fn note_lines(text: &str) -> Option<Vec<String>> {
    let note: SignedNote = text.parse().ok()?;
    let checkpoint = Checkpoint::parse(&note.text).ok()?;
    let mut lines = vec![format!(
        "checkpoint of {}: size {}, root {}",
        checkpoint.origin, checkpoint.size, checkpoint.root
    )];
    for signature in &note.signatures {
        lines.push(format!("  signature by {} (key {})", signature.name, hex::encode(signature.key_id)));
    }
    Some(lines)
}

fn entry_lines(index: u64, bytes: &[u8]) -> Vec<String> {
    let mut lines = vec![format!("leaf {index}, hash {}, {} bytes:", leaf_hash(bytes), bytes.len())];
    let pretty = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    match pretty.and_then(|value| serde_json::to_string_pretty(&value).ok()) {
        Some(pretty) => lines.extend(pretty.lines().map(|line| format!("  {line}"))),
        None => lines.push("  not JSON".to_owned()),
    }
    lines
}

fn data_directory(path: &Path, wanted: Option<u64>) -> Result<Vec<String>, Failure> {
    let disk = files::disk();
    let unreadable = |e: &dyn std::fmt::Display| {
        Failure::new(
            format!("{}: {e}", path.display()),
            "run `foreseal fsck --data DIR` to see what is wrong",
        )
    };
    let mut found = None;
    let mut leaves = 0u64;
    let mut kinds = std::collections::BTreeMap::<String, u64>::new();
    at_rest::for_each_leaf(&*disk, path, &mut |index, bytes| {
        leaves = index + 1;
        if Some(index) == wanted {
            found = Some(bytes.to_vec());
            return ControlFlow::Break(());
        }
        if wanted.is_none() {
            let kind =
                Entry::parse(bytes).map_or_else(|_| "unreadable".to_owned(), |entry| entry.kind().to_owned());
            *kinds.entry(kind).or_default() += 1;
        }
        ControlFlow::Continue(())
    })
    .map_err(|e| unreadable(&e))?;
    if let Some(index) = wanted {
        let bytes = found.ok_or_else(|| {
            Failure::new(format!("there is no leaf {index}: the log has {leaves}"), "give a smaller --index")
        })?;
        return Ok(entry_lines(index, &bytes));
    }
    let mut lines = vec![format!("data directory with {leaves} leaves")];
    lines.extend(kinds.iter().map(|(kind, count)| format!("  {count} {kind}")));
    if let Some(note) = at_rest::last_checkpoint(&*disk, path).map_err(|e| unreadable(&e))? {
        lines.extend(note_lines(&note).unwrap_or_default());
    }
    Ok(lines)
}
