//! Promise 7: from sealed inputs and sealed policy, whoever holds the keys and no service derives the same facts and the
//! same verdicts. What is not there is never called equal, and what was changed, by whomever, is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    missing_docs
)]
#![cfg(feature = "server")]

#[path = "support/ledger.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;

#[path = "ledger_sessions/scene.rs"]
#[allow(dead_code, unreachable_pub)]
mod scene;

#[path = "replay/candidates.rs"]
mod candidates;
#[path = "replay/forge.rs"]
#[allow(unreachable_pub)]
mod forge;
#[path = "replay/story.rs"]
#[allow(unreachable_pub)]
mod story;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use foreseal::disk::Disk;
use foreseal::evidence::Verdict;
use foreseal::journal::{FrameKey, segment_file_name};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::payload::Payload;
use foreseal::ledger::rederive::{Gap, Kind, Replay, replay};
use foreseal::policy::{AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine, FactsForm};
use foreseal::record::entry::{Entry, IntentEntry};
use foreseal::record::evaluation::{document_of, groups_of};
use foreseal::record::field_tree::{Commitment, FieldTree};
use foreseal::record::intent::Intent;
use serde_json::{Value, json};

use forge::{Sealed, leaves, rewritten};
use support::Site;

static STORY: LazyLock<Site> = LazyLock::new(|| story::told(1));

fn replayed(site: &Site) -> Replay {
    replay(&site.disk(), &site.layout, Some(&site.trust()), &mut |_, _| {})
}

fn intents(site: &Site) -> Vec<(u64, IntentEntry, Payload)> {
    let intent = |leaf: Sealed| match Entry::parse(&leaf.entry).unwrap() {
        Entry::Intent(entry) => Some((leaf.index, entry, leaf.payload.unwrap())),
        _ => None,
    };
    leaves(site).into_iter().filter_map(intent).collect()
}

/// Nothing that was changed passes as all re-derived.
#[track_caller]
fn assert_caught(found: &Replay) {
    assert_eq!(found.report.verdict, Verdict::Invalid, "{found:#?}");
    assert!(found.difference_count > 0 || found.report.checks.iter().any(|c| c.name == "journal is whole"));
    for level in [&found.verdicts, &found.facts] {
        assert_eq!(level.rederived + level.different + level.not_rederivable, found.decisions, "{found:#?}");
    }
}

#[track_caller]
fn assert_names(found: &Replay, what: &str) {
    assert_caught(found);
    let named: Vec<&str> = found.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert!(named.contains(&what), "{what} is not among {named:?}");
}

#[test]
fn promise_7_every_decision_is_derived_again_whatever_happened() {
    let site = &*STORY;
    let found = replayed(site);
    let intents = intents(site);
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    assert_eq!((found.decisions, found.difference_count), (intents.len() as u64, 0));
    assert_eq!((found.verdicts.rederived, found.facts.rederived), (found.decisions, found.decisions));
    let n = found.decisions;
    let coverage =
        format!("verdicts of {n} of {n} decisions re-derived; facts of {n} of {n}; 0 not re-derivable");
    assert_eq!(found.coverage(), coverage);
    // The story has in it what it promises.
    let outcomes: BTreeSet<&str> =
        intents.iter().flat_map(|(_, entry, _)| &entry.calls).map(|call| call.outcome.as_str()).collect();
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
    let policies: BTreeSet<_> = intents.iter().map(|(_, entry, _)| entry.policy).collect();
    assert_eq!(policies.len(), 4, "{policies:?}");
    assert!(intents.iter().any(|(_, entry, _)| entry.signer.is_some()));
    let facts: Vec<String> = intents
        .iter()
        .map(|(_, _, payload)| String::from_utf8(payload.evaluation.clone()).unwrap())
        .collect();
    for fact in [r#""conforms":true"#, r#""conforms":false"#, r#""pci-card-number""#, r#""changed":{"args""#]
    {
        assert!(facts.iter().any(|text| text.contains(fact)), "{fact} is nowhere");
    }
}

#[test]
fn the_service_may_not_be_running_and_without_keys_nothing_is_called_equal() {
    let site = Site::new(3);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    desk.seal(&agent, &support::intent("mailer", None, 1));
    assert_eq!(replayed(&site).report.verdict, Verdict::Undecided, "a service has it open");
    drop(desk);
    let found = replayed(&site);
    assert_eq!(
        found.report.verdict,
        Verdict::Valid,
        "no policy was active, and that is derived too: {found:#?}"
    );
    let elsewhere = Layout::new(&site.layout.data, Some(Path::new("/nowhere")));
    let found = replay(&site.disk(), &elsewhere, Some(&site.trust()), &mut |_, _| {});
    assert_eq!(found.report.verdict, Verdict::Undecided, "{found:#?}");
    assert_eq!((found.decisions, found.verdicts.rederived, found.facts.rederived), (1, 0, 0));
    assert_eq!(found.facts.reasons[0].reason, Gap::NoKeys);
    // Nor without anybody's key to trust, nor under another log's.
    let found = replay(&site.disk(), &elsewhere, None, &mut |_, _| {});
    assert_eq!(found.report.verdict, Verdict::Undecided, "{found:#?}");
    let other = Site::new(4);
    other.init();
    let found = replay(&site.disk(), &site.layout, Some(&other.trust()), &mut |_, _| {});
    assert_ne!(found.report.verdict, Verdict::Valid, "{found:#?}");
    // An empty log establishes nothing.
    assert_eq!(replayed(&other).report.verdict, Verdict::Undecided);
}

/// One byte of what was sealed, changed by who holds every key: the leaf commits to another.
#[test]
fn one_changed_byte_of_a_payload_a_fact_or_a_policy_is_named() {
    let site = &*STORY;
    let all = leaves(site);
    let mut seen = BTreeSet::new();
    for (turn, leaf) in all.iter().enumerate().filter(|(_, leaf)| leaf.payload.is_some()) {
        let kind = Entry::parse(&leaf.entry).unwrap().kind().to_owned();
        // Of each kind some; of intents every third.
        if seen.contains(&kind) && turn % 7 != 0 {
            continue;
        }
        let parts: &[bool] = if kind == "intent" { &[false, true] } else { &[false] };
        for evaluation in parts {
            let flipped = rewritten(site, |sealed| {
                let Some(payload) = sealed.payload.as_mut().filter(|_| sealed.index == leaf.index) else {
                    return;
                };
                let bytes = if *evaluation { &mut payload.evaluation } else { &mut payload.declared };
                let at = (turn * 37 + 11) % bytes.len();
                bytes[at] ^= 1 << (turn % 7);
            });
            let what = match (kind.as_str(), evaluation) {
                ("intent", false) => "payload",
                ("intent", true) => "evaluation",
                (kind, _) => kind,
            };
            assert_names(&replayed(&flipped), &format!("{what} of leaf {}", leaf.index));
        }
        seen.insert(kind);
    }
    let kinds: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        kinds,
        ["agent", "application", "intent", "operator", "outcome", "policy", "session", "tool", "turn"]
    );
}

/// One bit at rest, by who holds no key.
#[test]
fn one_flipped_bit_of_the_journal_never_passes_and_a_payload_is_named() {
    let site = &*STORY;
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let journal = site.layout.journal();
    let frames = forge::frames(site);
    let segments = frames.last().unwrap().header().position.segment + 1;
    let mut named = 0;
    for _ in 0..60 {
        let copy = site.moved_to(site.faulty.snapshot());
        let path = journal.join(segment_file_name(next(segments as usize) as u64));
        let length = site.faulty.contents(&path).unwrap().len();
        assert!(copy.faulty.flip_bit(&path, next(length) as u64, next(8) as u8));
        let found = replayed(&copy);
        assert_eq!(found.report.verdict, Verdict::Invalid, "{found:#?}");
        named += u64::from(found.differences.iter().any(|difference| difference.kind == Kind::Sealed));
    }
    assert!(named > 10, "{named}");
    // In the ciphertext of a payload: that payload, and no other.
    for frame in frames.iter().filter(|frame| frame.payloads().len() > 0).step_by(5) {
        let payload = frame.payloads().next().unwrap();
        let within = frame
            .as_bytes()
            .windows(payload.ciphertext.len())
            .position(|window| window == payload.ciphertext)
            .unwrap();
        let at = frame.header().position;
        let copy = site.moved_to(site.faulty.snapshot());
        let offset = at.offset + (within + next(payload.ciphertext.len())) as u64;
        assert!(copy.faulty.flip_bit(&journal.join(segment_file_name(at.segment)), offset, next(8) as u8));
        let found = replayed(&copy);
        assert_caught(&found);
        let index = frame.header().first_index + u64::from(payload.entry);
        let kind = Entry::parse(frame.entry(payload.entry as usize).unwrap()).unwrap().kind().to_owned();
        let what = if kind == "intent" { "payload" } else { &kind };
        let named: Vec<&str> = found.differences.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!(named, [format!("{what} of leaf {index}")]);
    }
}

/// An intent's evaluation as a service that lies would seal it: committed to, and signed.
fn sealed_anew(leaf: &mut Sealed, change: impl FnOnce(&mut Value, &mut Value)) {
    let payload = leaf.payload.as_mut().unwrap();
    let mut evaluation: Value = serde_json::from_slice(&payload.evaluation).unwrap();
    let mut entry: Value = serde_json::from_slice(&leaf.entry).unwrap();
    change(&mut evaluation, &mut entry);
    payload.evaluation = foreseal::record::canonical::to_jcs(&evaluation).unwrap();
    let tree = FieldTree::of_groups(groups_of(&evaluation), &payload.evaluation_seed).unwrap();
    entry["evaluation"] = serde_json::to_value::<Commitment>(tree.commitment()).unwrap();
    leaf.entry = foreseal::record::canonical::to_jcs(&entry).unwrap();
}

/// A service that seals a lie seals it well: commitments, signatures and tags hold.
#[test]
fn a_lie_that_was_sealed_is_found() {
    let site = &*STORY;
    let held = intents(site).into_iter().find(|(_, entry, payload)| {
        entry.outcome.as_str() == "hold" && payload.evaluation.windows(10).any(|w| w == b"ungrounded")
    });
    let (index, entry, payload) = held.unwrap();
    let engine = {
        let policy = leaves(site).into_iter().find(|leaf| Some(leaf.index) == entry.policy).unwrap();
        let record: Value = serde_json::from_slice(&policy.payload.unwrap().declared).unwrap();
        let files = record["files"].as_object().unwrap().iter();
        let files = files.map(|(path, text)| (path.clone(), text.as_str().unwrap().as_bytes().to_vec()));
        Engine::new(Bundle::load(files.collect()).unwrap()).unwrap()
    };
    let evaluation: Value = serde_json::from_slice(&payload.evaluation).unwrap();
    let call = entry.calls.iter().position(|call| call.outcome.as_str() == "hold").unwrap();
    let lied = |change: &dyn Fn(&mut Value, &mut Value)| {
        replayed(&rewritten(site, |leaf| {
            if leaf.index == index {
                sealed_anew(leaf, change);
            }
        }))
    };
    // Sealed as it was: this is how the lies below are told.
    assert_eq!(lied(&|_, _| ()).report.verdict, Verdict::Valid);
    // A fact, and the verdict that follows from it: only history knows better.
    let text = evaluation["requests"][call].to_string().replace("\"ungrounded\":[", "\"ungrounded\":[ ");
    let rosy: Value = serde_json::from_str(
        &text
            .replace("\"ungrounded\"}", "\"grounded\"}")
            .replace("\"destinations\":\"ungrounded\"", "\"destinations\":\"grounded\""),
    )
    .unwrap();
    assert_ne!(rosy, evaluation["requests"][call], "the request says it in another form");
    let verdict = engine.decide_request(&rosy).unwrap();
    assert_eq!(verdict.call.outcome.as_str(), "allow");
    let found = lied(&|evaluation, entry| {
        evaluation["requests"][call] = rosy.clone();
        evaluation["verdicts"][call] = verdict.to_json();
        entry["calls"][call]["outcome"] = "allow".into();
        let calls = entry["calls"].as_array().unwrap();
        if calls.iter().all(|call| call["outcome"] == "allow") {
            entry["outcome"] = "allow".into();
            entry.as_object_mut().unwrap().remove("expires");
        }
    });
    assert_names(&found, &format!("facts of leaf {index}"));
    assert_eq!((found.verdicts.different, found.facts.different > 0), (0, true), "{found:#?}");
    let first = found.differences.iter().find(|difference| difference.leaf == index).unwrap();
    assert!(
        first.at.as_ref().unwrap().starts_with(&format!("/requests/{call}/context/grounding")),
        "{first:?}"
    );
    // A verdict that no rule gave.
    let found = lied(&|evaluation, entry| {
        evaluation["verdicts"][call]["outcome"] = "allow".into();
        entry["calls"][call]["outcome"] = "allow".into();
    });
    assert_names(&found, &format!("verdict of leaf {index}"));
    assert!(found.differences.iter().any(|d| d.kind == Kind::Verdict && d.call.is_some()), "{found:#?}");
    // What the leaf says beside the evaluation.
    for (member, value) in [("engine", json!(1)), ("expires", json!("2031-01-01T00:00:00.000Z"))] {
        let found = lied(&|_, entry| entry[member] = value.clone());
        assert_names(&found, &format!("verdict of leaf {index}"));
    }
    let found = lied(&|_, entry| entry["delta"] = json!({"labels": ["untrusted"]}));
    assert_names(&found, &format!("facts of leaf {index}"));
    let found = lied(&|evaluation, _| evaluation["engine"]["bundle"] = "00".repeat(32).into());
    assert_names(&found, &format!("verdict of leaf {index}"));
    // A fact that nothing rests on, and one more member.
    let found = lied(&|evaluation, _| evaluation["facts"]["rate"]["agent_minute"] = json!(7_777));
    assert_names(&found, &format!("facts of leaf {index}"));
    let found = lied(&|evaluation, _| evaluation["more"] = json!(1));
    assert_names(&found, &format!("facts of leaf {index}"));
    // A policy whose record says that it is another.
    let found = replayed(&rewritten(site, |leaf| {
        if Some(leaf.index) == entry.policy {
            let payload = leaf.payload.as_mut().unwrap();
            let mut record: Value = serde_json::from_slice(&payload.declared).unwrap();
            record["digest"] = "11".repeat(32).into();
            payload.declared = foreseal::record::canonical::to_jcs(&record).unwrap();
            let tree = FieldTree::of_document(&record, &payload.declared_seed).unwrap();
            let mut entry: Value = serde_json::from_slice(&leaf.entry).unwrap();
            entry["declared"] = serde_json::to_value(tree.commitment()).unwrap();
            leaf.entry = foreseal::record::canonical::to_jcs(&entry).unwrap();
        }
    }));
    assert_names(&found, &format!("policy of leaf {}", entry.policy.unwrap()));
}

/// What is not there is counted, and so is what rests on it; the rest is derived.
#[test]
fn what_is_missing_is_not_rederivable_and_neither_is_what_rests_on_it() {
    let site = &*STORY;
    let all = intents(site);
    let session_of = |index: u64| all.iter().find(|(known, _, _)| *known == index).unwrap().1.session;
    // An intent with observations: later ones in its session rest on it.
    let (gone, _, _) = all.iter().find(|(_, entry, _)| entry.delta.is_some()).unwrap();
    let found = replayed(&rewritten(site, |leaf| {
        if leaf.index == *gone {
            leaf.payload = None;
        }
    }));
    let resting =
        all.iter().filter(|(index, entry, _)| index > gone && entry.session == session_of(*gone)).count()
            as u64;
    assert!(resting >= 4);
    assert_eq!(found.report.verdict, Verdict::Undecided, "{found:#?}");
    assert_eq!((found.verdicts.rederived, found.verdicts.not_rederivable), (found.decisions - 1, 1));
    assert_eq!(found.facts.not_rederivable, 1 + resting, "{:?}", found.facts);
    assert_eq!(found.facts.rederived, found.decisions - 1 - resting);
    let reasons: Vec<_> =
        found.facts.reasons.iter().map(|missing| (missing.reason, missing.decisions)).collect();
    assert_eq!(reasons, [(Gap::NoPayload, 1), (Gap::History, resting)]);
    // What the user said when a session was opened.
    let opened =
        leaves(site).into_iter().find(|leaf| matches!(Entry::parse(&leaf.entry), Ok(Entry::Session(_))));
    let opened = opened.unwrap();
    let Ok(Entry::Session(session)) = Entry::parse(&opened.entry) else { panic!("a session") };
    let found = replayed(&rewritten(site, |leaf| {
        if leaf.index == opened.index {
            leaf.payload = None;
        }
    }));
    let resting =
        all.iter().filter(|(i, entry, _)| *i > opened.index && entry.session == session.session).count();
    assert_eq!((found.verdicts.rederived, found.facts.not_rederivable), (found.decisions, resting as u64));
    assert_eq!(found.report.verdict, Verdict::Undecided);
    // A policy: nothing it decided, and no facts from there on.
    let policy = all.last().unwrap().1.policy.unwrap();
    let found = replayed(&rewritten(site, |leaf| {
        if leaf.index == policy {
            leaf.payload = None;
        }
    }));
    let under = all.iter().filter(|(_, entry, _)| entry.policy == Some(policy)).count() as u64;
    assert_eq!((found.verdicts.not_rederivable, found.facts.not_rederivable), (under, under), "{found:#?}");
    assert_eq!(found.verdicts.reasons[0].reason, Gap::NoPolicy);
    // The key of an epoch: all that was sealed in it.
    let copy = site.moved_to(site.faulty.snapshot());
    for name in copy.faulty.read_dir(&site.layout.epochs()).unwrap() {
        copy.faulty.remove(&site.layout.epochs().join(name)).unwrap();
    }
    let found = replayed(&copy);
    assert_eq!((found.report.verdict, found.verdicts.rederived), (Verdict::Undecided, 0), "{found:#?}");
    assert_eq!(found.facts.reasons[0].reason, Gap::NoEpochKey);
}

/// What was decided when facts had another form is derived in that form.
#[test]
fn decisions_of_the_first_form_are_derived_in_it() {
    let site = Site::new(12);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    desk.activate(support::permit_all(1)).unwrap();
    for number in 0..6 {
        desk.seal(&agent, &support::intent("mailer", None, number));
    }
    drop(desk);
    let engine = Engine::new(Bundle::load_for(support::permit_all(1), FactsForm::V1).unwrap()).unwrap();
    let old = |lie: bool| {
        replayed(&rewritten(&site, |leaf| {
            let Ok(Entry::Intent(entry)) = Entry::parse(&leaf.entry) else { return };
            if entry.seq % 2 == 1 {
                return;
            }
            let intent = Intent::parse(&leaf.payload.as_ref().unwrap().declared).unwrap();
            let views: Vec<CallView<'_>> = intent
                .calls
                .iter()
                .map(|call| CallView::new(&call.id, &call.server, &call.tool, &call.args))
                .collect();
            let roles = ["mail".to_owned()];
            let claimed =
                Claimed { goal_stated: true, reasoning_steps: if lie { 3 } else { 2 }, ..Claimed::default() };
            let facts = AgentFacts { name: "mailer", roles: &roles, signed: false };
            let input = DecideInput { claimed, ..DecideInput::new(facts, &views, entry.at.as_millis()) };
            let decided: Value =
                serde_json::from_slice(&document_of(&engine.decide(&input).evaluation)).unwrap();
            sealed_anew(leaf, |evaluation, entry| {
                *evaluation = decided;
                entry["engine"] = 1.into();
            });
        }))
    };
    let found = old(false);
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    assert_eq!((found.decisions, found.facts.rederived), (6, 6));
    let found = old(true);
    assert_eq!((found.verdicts.different, found.facts.different), (0, 3), "{found:#?}");
    // A form that this build does not know says nothing, and is not called equal.
    let found = replayed(&rewritten(&site, |leaf| {
        if matches!(Entry::parse(&leaf.entry), Ok(Entry::Intent(entry)) if entry.seq == 3) {
            sealed_anew(leaf, |evaluation, entry| {
                evaluation["engine"]["version"] = 9.into();
                entry["engine"] = 9.into();
            });
        }
    }));
    assert_eq!((found.report.verdict, found.facts.not_rederivable), (Verdict::Undecided, 1), "{found:#?}");
    assert_eq!(found.verdicts.reasons[0].reason, Gap::Version);
}

/// Frames that a hand without the journal's key wrote end the walk, and another ledger's keys open nothing.
#[test]
fn frames_without_the_ledgers_tag_do_not_pass() {
    let site = &*STORY;
    let forged = forge::rewritten_by(site, &FrameKey::from_bytes([1; 32]), |_| ());
    let found = replayed(&forged);
    assert_eq!(found.report.verdict, Verdict::Invalid, "{found:#?}");
    assert!(
        found.report.checks.iter().any(|check| check.name == "frames carry the ledger's tag"),
        "{found:#?}"
    );
    let other = Site::new(22);
    other.init();
    let copy = site.moved_to(site.faulty.snapshot());
    let foreign = other.faulty.contents(&other.layout.journal_key()).unwrap();
    copy.faulty.place(&site.layout.journal_key(), &foreign).unwrap();
    assert_eq!(replayed(&copy).report.verdict, Verdict::Undecided, "a key of another ledger opens nothing");
}
