//! Verify a receipt, or a whole answer, offline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answer::Answer;
use super::receipt::Receipt;
use super::report::{Outcome, Report};
use crate::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use crate::note::{Checkpoint, Quorum, TrustError, TrustPolicy};
use crate::record::entry::{Entry, IntentEntry};
use crate::record::field_tree::{FieldTree, Seed};
use crate::record::intent::Intent;

/// What `verify receipt` is given.
#[derive(Debug, Clone)]
pub struct ReceiptEvidence<'a> {
    /// The tlog-proof.
    pub receipt: &'a str,
    /// The leaf's bytes.
    pub entry: &'a [u8],
    /// The whole answer the receipt came in, if it did.
    pub answer: Option<&'a Answer>,
    /// The declared document's exact bytes, if the verifier holds them.
    pub intent: Option<&'a [u8]>,
}

/// Verifies a receipt against the keys the verifier trusts.
#[must_use]
pub fn verify_receipt(evidence: &ReceiptEvidence<'_>, trust: Option<&TrustPolicy>) -> Report {
    let mut report = Report::new("receipt");
    let receipt = match Receipt::parse(evidence.receipt) {
        Ok(receipt) => receipt,
        Err(error) => {
            report.undecided("receipt is a tlog-proof", error.to_string());
            return report;
        }
    };
    report.passed("receipt is a tlog-proof", format!("index {}", receipt.index));
    let Some(checkpoint) = check_checkpoint(&mut report, "checkpoint", &receipt.checkpoint, trust) else {
        return report;
    };
    // Hash first, parse after: whatever other bytes say, they are not the sealed leaf.
    let leaf = leaf_hash(evidence.entry);
    match verify_inclusion(&leaf, receipt.index, checkpoint.size, &receipt.path, &checkpoint.root) {
        Ok(()) => report.passed(
            "entry is in the log",
            format!("leaf {} of {}, under the signed root", receipt.index, checkpoint.size),
        ),
        Err(error) => {
            report.failed("entry is in the log", error.to_string());
            return report;
        }
    }
    match Entry::parse(evidence.entry) {
        Ok(Entry::Intent(entry)) => {
            report.passed("entry is an intent", format!("sealed at {}, {}", entry.at, entry.outcome));
            check_answer(&mut report, evidence, &receipt, &entry);
            check_declared(&mut report, evidence, &entry);
        }
        Ok(Entry::Unknown { kind, version }) => {
            if evidence.answer.is_some() || evidence.intent.is_some() {
                let detail = format!("type \"{kind}\" version {version} is not understood");
                report.undecided("answer is of an intent", detail);
            }
            report.not_checked(format!(
                "what the entry says: type \"{kind}\" version {version} is not understood"
            ));
        }
        // An answer that speaks of a decision, around a leaf that holds none, is a forgery.
        Ok(entry) if evidence.answer.is_some() || evidence.intent.is_some() => {
            report.failed(
                "answer is of an intent",
                format!("the proven entry is of type \"{}\"", entry.kind()),
            );
        }
        Ok(entry) => report.passed("entry is well formed", format!("type \"{}\"", entry.kind())),
        Err(error) => report.failed("entry is well formed", error.to_string()),
    }
    report.not_checked("that the actions happened as sealed, or happened at all");
    report.not_checked("that the decision follows from the policy (an auditor's replay does that)");
    report
}

/// Verifies a signed checkpoint, and says what it establishes.
pub(crate) fn check_checkpoint(
    report: &mut Report,
    what: &str,
    note: &str,
    trust: Option<&TrustPolicy>,
) -> Option<Checkpoint> {
    let name = format!("{what} is signed by a trusted log key");
    let Some(trust) = trust else {
        report.undecided(name, "no trust policy was given, and keys inside evidence prove nothing");
        report.hint = Some(
            "pass --trust FILE, the tlog-policy file you got from the log's operator out of band".into(),
        );
        return None;
    };
    let verified = match trust.verify(note) {
        Ok(verified) => verified,
        Err(error) => {
            match error {
                TrustError::Invalid(_) => report.failed(name, error.to_string()),
                _ => report.undecided(name, error.to_string()),
            }
            return None;
        }
    };
    let checkpoint = verified.checkpoint;
    report.passed(name, format!("{} size {} root {}", checkpoint.origin, checkpoint.size, checkpoint.root));
    let witnesses = format!("{what} is cosigned by the quorum");
    match verified.quorum {
        Quorum::None => {
            note_once(report, "split view not excluded: the trust policy names no witness quorum");
        }
        Quorum::Met(quorum) => report.passed(witnesses, format!("quorum \"{quorum}\"")),
        Quorum::NotMet { name } => {
            report.record(witnesses, Outcome::BelowPolicy, format!("quorum \"{name}\" is not met"));
            note_once(report, "split view not excluded: too few witnesses cosigned");
        }
    }
    Some(checkpoint)
}

fn note_once(report: &mut Report, what: &str) {
    if !report.not_checked.iter().any(|noted| noted == what) {
        report.not_checked(what);
    }
}

/// The answer around the receipt must say what the leaf says.
fn check_answer(report: &mut Report, evidence: &ReceiptEvidence<'_>, receipt: &Receipt, entry: &IntentEntry) {
    let Some(answer) = evidence.answer else { return };
    let mut wrong = Vec::new();
    if answer.id != entry.id {
        wrong.push(format!("id {} is not the sealed {}", answer.id, entry.id));
    }
    if answer.index != receipt.index {
        wrong.push(format!("index {} is not the proven {}", answer.index, receipt.index));
    }
    if answer.decision.outcome != entry.outcome {
        wrong.push(format!("outcome {} is not the sealed {}", answer.decision.outcome, entry.outcome));
    }
    if answer.decision.expires != entry.expires {
        wrong.push("its expiry is not the sealed one".to_owned());
    }
    let sealed = entry.calls.iter().map(|call| call.outcome);
    if !answer.decision.calls.iter().map(|call| call.outcome).eq(sealed) {
        wrong.push("its calls' verdicts are not the sealed ones".to_owned());
    }
    if STANDARD.decode(&answer.entry).ok().as_deref() != Some(evidence.entry) {
        wrong.push("its entry is not the proven one".to_owned());
    }
    if !answer.permits.is_empty() {
        report.undecided("permits are understood", "this version issues none, and verifies none");
    }
    let name = "answer says what the entry says";
    if wrong.is_empty() {
        report.passed(name, "id, index, expiry and every verdict are equal");
    } else {
        report.failed(name, wrong.join("; "));
    }
    if evidence.intent.is_none() {
        report.not_checked("which of the declared calls each verdict is of: pass --intent");
    }
    report.not_checked("reasons and conditions of the answer: they need the evaluation's opening");
}

/// The declared document, when the verifier holds it, must be the committed one.
fn check_declared(report: &mut Report, evidence: &ReceiptEvidence<'_>, entry: &IntentEntry) {
    let name = "declared document is the sealed one";
    let Some(body) = evidence.intent else {
        report.not_checked("what was declared: pass --intent with the exact body that was sent");
        return;
    };
    let Some(answer) = evidence.answer else {
        report.undecided(name, "the seed that opens it is in the answer, and only a receipt was given");
        return;
    };
    let seed = match STANDARD.decode(&answer.opening.declared.seed).map(<[u8; 32]>::try_from) {
        Ok(Ok(seed)) => Seed::from_bytes(seed),
        _ => return report.undecided(name, "the answer's seed is not 32 bytes of base64"),
    };
    let intent = match Intent::parse(body) {
        Ok(intent) => intent,
        Err(error) => return report.failed(name, format!("the given bytes are no intent: {error}")),
    };
    match FieldTree::of_document(&intent.document, &seed).map(|tree| tree.commitment()) {
        Ok(commitment) if commitment == entry.declared => {
            report.passed(name, format!("field tree root {}", commitment.root));
        }
        Ok(commitment) => {
            return report
                .failed(name, format!("its root is {}, sealed is {}", commitment.root, entry.declared.root));
        }
        Err(error) => return report.failed(name, error.to_string()),
    }
    // Verdicts are sealed in the order of the calls; the answer's ids must name them in that order too.
    if !intent.calls.iter().map(|call| &call.id).eq(answer.decision.calls.iter().map(|call| &call.id)) {
        report.failed(
            "answer's verdicts name the declared calls",
            "its call ids are not the declared ones, in order",
        );
    }
    // Of a modified call the answer says with which arguments it may run, and the digest is of those.
    let changed = |i: u32| answer.decision.calls.get(usize::try_from(i).ok()?)?.args.as_ref();
    let mut calls = intent.calls.iter().zip(&entry.calls).zip(0u32..);
    if intent.calls.len() == entry.calls.len()
        && calls.all(|((call, sealed), i)| sealed.is_of(&seed, i, call, changed(i)))
    {
        report.passed("sealed calls are the declared calls", format!("{} digests", entry.calls.len()));
    } else {
        report.failed("sealed calls are the declared calls", "a call's salted digest differs");
    }
}

/// Verifies that two signed checkpoints lie on one history, given the proof between them.
///
/// The proof is asked for lazily, because it is only needed when both checkpoints stand.
#[must_use]
pub fn verify_consistency_of(
    old: &str,
    new: &str,
    trust: Option<&TrustPolicy>,
    proof: impl FnOnce(u64, u64) -> Result<Vec<crate::merkle::Hash>, String>,
) -> Report {
    let mut report = Report::new("consistency");
    let old = check_checkpoint(&mut report, "old checkpoint", old, trust);
    let new = check_checkpoint(&mut report, "new checkpoint", new, trust);
    let (Some(old), Some(new)) = (old, new) else { return report };
    let name = "new checkpoint extends the old one";
    if old.origin != new.origin {
        report.undecided(name, format!("they are of two logs, {} and {}", old.origin, new.origin));
        return report;
    }
    if old.size > new.size {
        let detail =
            format!("the first has size {}, the second {}: swapped, or rolled back", old.size, new.size);
        report.undecided(name, detail);
        return report;
    }
    let (from, to) = (&old, &new);
    if from.size > 0 && from.size == to.size {
        if from.root == to.root {
            report.passed(name, "same size, same root");
        } else {
            report.failed(name, format!("two roots for size {}: the log has split", from.size));
        }
        return report;
    }
    match proof(from.size, to.size) {
        Err(problem) => report.undecided(name, format!("no proof to be had: {problem}")),
        Ok(proof) => match verify_consistency(from.size, &from.root, to.size, &to.root, &proof) {
            Ok(()) => {
                report.passed(name, format!("{} -> {} leaves, {} hashes", from.size, to.size, proof.len()));
            }
            Err(error) => report.failed(name, format!("the proof does not hold: {error}")),
        },
    }
    report
}
