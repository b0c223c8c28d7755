//! Another bundle over sealed history: what it would have decided otherwise, and nothing that it would not.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreseal::evidence::Verdict;
use foreseal::ledger::rederive::{Candidate, Change, Comparison, Shadow, compare, last_shadow};
use foreseal::ledger::{Change as Administered, NewPolicy};
use foreseal::policy::{Bundle, Engine};
use foreseal::record::decision::Outcome;
use foreseal::record::entry::OutcomeStatus;
use serde_json::json;

use crate::forge::rewritten;
use crate::scene::{Scene, call};
use crate::story::{files, rules, send, told};
use crate::support::Site;

fn judged(site: &Site, files: BTreeMap<String, Vec<u8>>) -> Comparison {
    let engine = Arc::new(Engine::new(Bundle::load(files.clone()).unwrap()).unwrap());
    by(site, Candidate::Given { engine, files })
}

fn by(site: &Site, candidate: Candidate) -> Comparison {
    let trust = site.trust();
    compare(&site.disk(), &site.layout, Some(&trust), candidate, 3, &mut |_, _| {})
}

/// A ledger under one policy: reads, then mail to whom the address book names, to whom the user named, and to a stranger.
fn letters(seed: u64) -> Scene {
    let mut scene = Scene::new(seed);
    scene.desk().activate(files(rules())).unwrap();
    scene.open("s", json!({ "words": ["Write to ann@example.com and to Bob"] }));
    let read = scene.submit(&scene.intent("s", vec![call("contacts", json!({}))]));
    let book = json!({"contacts": [{"email": "bob@example.com"}]});
    scene.report(read, 0, OutcomeStatus::Ok, "contacts", book).unwrap();
    for to in ["ann@example.com", "bob@example.com", "bob@example.com", "eve@example.com"] {
        scene.submit(&scene.intent("s", vec![send(to)]));
    }
    scene.submit(&scene.intent("s", vec![call("never", json!({})), send("ann@example.com")]));
    scene
}

fn letters_at_rest(seed: u64) -> Site {
    let mut scene = letters(seed);
    scene.conclude();
    scene.site
}

#[test]
fn the_same_bundle_changes_nothing_and_all_is_judged() {
    let site = letters_at_rest(31);
    let found = judged(&site, files(rules()));
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    assert_eq!((found.decisions, found.calls, found.judged.rederived), (6, 7, 6));
    assert_eq!((found.calls_judged, found.unchanged, found.changes.len()), (7, 7, 0), "{found:#?}");
    // Comments are other bytes, and no other decision.
    let found = judged(&site, files(&format!("// noted\n{}", rules())));
    assert_eq!((found.unchanged, found.changes.len()), (7, 0));
}

#[test]
fn what_a_candidate_decides_otherwise_is_counted_by_rule_and_tool_with_examples() {
    let site = letters_at_rest(32);
    // Nobody is a stranger any more, and nothing is forbidden but mail to Ann.
    let candidate = r#"
        @id("all") permit (principal, action, resource);
        @id("not-ann") @reason("ask Ann first") forbid (principal, action == Action::"mail/send", resource)
        when { context.args has to && context.args.to == "ann@example.com" };
        @id("look-up") @outcome("defer") forbid (principal, action == Action::"mail/contacts", resource);"#;
    let mut found = judged(&site, files(candidate));
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    let count = |change| found.changes.get(&change).map_or((0, 0), |judged| (judged.calls, judged.decisions));
    assert_eq!(count(Change::NewlyDenied), (2, 2), "{found:#?}");
    assert_eq!(count(Change::NewlyAllowed), (2, 2));
    assert_eq!(count(Change::NewlyDeferred), (1, 1));
    assert_eq!(
        (count(Change::NewlyHeld), count(Change::NewlyModified), count(Change::OtherTerms)),
        ((0, 0), (0, 0), (0, 0))
    );
    assert_eq!(found.unchanged, 2);
    let allowed = &found.changes[&Change::NewlyAllowed];
    let before: Vec<(&str, u64)> = allowed.rules_before.iter().map(|(rule, n)| (rule.as_str(), *n)).collect();
    assert_eq!(before, [("never", 1), ("strangers", 1)]);
    assert_eq!(allowed.rules_after.get("all"), Some(&2));
    let denied = &found.changes[&Change::NewlyDenied];
    assert_eq!((denied.rules_after.get("not-ann"), denied.rules_before.get("all")), (Some(&2), Some(&2)));
    let example = &denied.examples[0];
    assert_eq!(
        (example.before, example.after, example.tool.as_str()),
        (Outcome::Allow, Outcome::Deny, "mail/send")
    );
    assert_eq!(
        (example.rules_before.as_slice(), example.rules_after.as_slice()),
        (&["all".to_owned()][..], &["not-ann".to_owned()][..])
    );
    let sends = &found.tools["mail/send"];
    assert_eq!((sends.calls, sends.unchanged), (5, 2), "{sends:?}");
    assert_eq!((sends.changes[&Change::NewlyDenied], sends.changes[&Change::NewlyAllowed]), (2, 1));
    assert!(found.tools.values().map(|tool| tool.calls).sum::<u64>() == found.calls_judged);
    found.demand_none(Change::NewlyHeld);
    assert_eq!(found.report.verdict, Verdict::Valid);
    found.demand_none(Change::NewlyAllowed);
    assert_eq!(found.report.verdict, Verdict::BelowPolicy);
}

/// Facts are derived by the candidate's tools: an address book that it does not believe grounds nothing.
#[test]
fn a_candidates_tools_change_the_facts() {
    let site = letters_at_rest(33);
    let mut candidate = files(rules());
    let tools = String::from_utf8(candidate["tools.json"].clone()).unwrap();
    let disbelieved = tools.replace(r#""authoritative":[{"at":"/contacts/*/email","type":"email"}],"#, "");
    assert_ne!(tools, disbelieved);
    candidate.insert("tools.json".to_owned(), disbelieved.into_bytes());
    let found = judged(&site, candidate);
    assert_eq!(found.count(Change::NewlyHeld), 2, "{found:#?}");
    assert_eq!((found.changes.len(), found.unchanged), (1, 5));
    assert_eq!(found.changes[&Change::NewlyHeld].rules_after.get("strangers"), Some(&2));
    // Who approves is a term of a hold.
    let found = judged(&site, files(&rules().replace("@approver(\"lead\")", "@approver(\"head\")")));
    assert_eq!(
        (found.count(Change::OtherTerms), found.changes.len(), found.unchanged),
        (1, 1, 6),
        "{found:#?}"
    );
}

#[test]
fn a_whole_story_is_judged_and_what_is_missing_is_not() {
    let site = told(34);
    let found = judged(&site, files("@id(\"nothing\") forbid (principal, action, resource);"));
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    assert_eq!((found.judged.rederived, found.count(Change::NewlyAllowed)), (found.decisions, 0));
    assert_eq!(found.unchanged + found.count(Change::NewlyDenied), found.calls);
    let mut gone = None;
    let damaged = rewritten(&site, |leaf| {
        if gone.is_none() && leaf.entry.ends_with(br#""type":"intent","v":1}"#) {
            (gone, leaf.payload) = (Some(leaf.index), None);
        }
    });
    let found = judged(&damaged, files(rules()));
    assert_eq!((found.report.verdict, found.judged.not_rederivable), (Verdict::Undecided, 1), "{found:#?}");
    let changed = rewritten(&site, |leaf| {
        if Some(leaf.index) == gone {
            leaf.payload.as_mut().unwrap().evaluation[40] ^= 1;
        }
    });
    let found = judged(&changed, files(rules()));
    assert_eq!(found.report.verdict, Verdict::Invalid, "{found:#?}");
    assert_eq!(found.differences[0].what, format!("evaluation of leaf {}", gone.unwrap()));
}

#[test]
fn a_bundle_in_shadow_is_judged_over_its_time_there() {
    let mut scene = letters(35);
    let bundle = |rules: &str| {
        let files = files(rules);
        NewPolicy::of(&Bundle::load(files.clone()).unwrap(), files, "test".to_owned())
    };
    let stricter = format!(
        "{}\n@id(\"no-mail\") forbid (principal, action == Action::\"mail/send\", resource);",
        rules()
    );
    scene.administer(Administered::ShadowPolicy(bundle(&stricter)));
    for to in ["ann@example.com", "eve@example.com"] {
        scene.submit(&scene.intent("s", vec![send(to)]));
    }
    let at_rest = |scene: &Scene| {
        let site = scene.site.moved_to(scene.site.faulty.snapshot().restart());
        drop(site.open());
        let shadow = last_shadow(&*site.disk(), &site.layout).unwrap();
        (site, shadow)
    };
    let (site, shadow) = at_rest(&scene);
    let Some(Shadow { leaf, until: None }) = shadow else { panic!("{shadow:?}") };
    let found = by(&site, Candidate::Shadow(shadow.unwrap()));
    assert_eq!(found.report.verdict, Verdict::Valid, "{found:#?}");
    assert_eq!((found.decisions, found.judged.rederived, found.count(Change::NewlyDenied)), (2, 2, 2));
    let judged = &found.changes[&Change::NewlyDenied];
    assert_eq!((judged.rules_before.get("strangers"), judged.rules_before.get("all")), (Some(&1), Some(&1)));
    assert_eq!(judged.rules_after.get("no-mail"), Some(&2));
    // It watched, and decided nothing.
    let replayed = crate::replayed(&site);
    assert_eq!((replayed.report.verdict, replayed.facts.rederived), (Verdict::Valid, 8), "{replayed:#?}");
    // Its time ends, and what comes then is not its business.
    scene.administer(Administered::WithdrawShadow);
    scene.submit(&scene.intent("s", vec![send("ann@example.com")]));
    let (site, shadow) = at_rest(&scene);
    assert!(matches!(shadow, Some(Shadow { leaf: found, until: Some(_) }) if found == leaf), "{shadow:?}");
    let found = by(&site, Candidate::Shadow(shadow.unwrap()));
    assert_eq!((found.decisions, found.count(Change::NewlyDenied)), (2, 2), "{found:#?}");
    scene.conclude();
}

#[test]
fn without_a_shadow_there_is_none() {
    let site = letters_at_rest(36);
    assert_eq!(last_shadow(&*site.disk(), &site.layout).unwrap(), None);
}
