#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]
//! Promised: every pack loads, and its tests pass; without any one of its rules, some test of its own fails; what packs
//! share is the same; and each loads with the tools of every registry, because rules name groups and facts, not tools.
#![cfg(feature = "replay")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use foreseal::policy::{AgentFacts, Bundle, CallView, DecideInput, Engine, SessionFacts};
use foreseal::record::decision::Outcome;
use serde_json::json;

const PACKS: [&str; 8] =
    ["coding", "confidential", "data-protection", "default", "payments", "plan", "read-only", "strict"];

type Files = BTreeMap<String, Vec<u8>>;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(pack: &str) -> Files {
    let directory = here("policies").join(pack);
    let mut files = Files::new();
    for (below, prefix) in [("", ""), ("tests", "tests/")] {
        for entry in std::fs::read_dir(directory.join(below)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
                files.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn engine(files: Files) -> Engine {
    Engine::new(Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// A file of rules without one of them; `None` where it is not there.
fn without(text: &str, rule: &str) -> Option<String> {
    let from = text.find(&format!("@id(\"{rule}\")"))?;
    let rest = &text[from + 1..];
    let to = rest.find("\n@id(").map_or(text.len(), |next| from + 2 + next);
    Some(format!("{}{}", &text[..from], &text[to..]))
}

#[test]
fn every_pack_loads_without_a_warning_and_its_tests_pass() {
    let there: BTreeSet<String> = std::fs::read_dir(here("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "starter")
        .collect();
    assert_eq!(there, PACKS.map(str::to_owned).into());
    for pack in PACKS {
        let engine = engine(files(pack));
        assert!(engine.bundle().warnings().is_empty(), "{pack}: {:?}", engine.bundle().warnings());
        assert_eq!(engine.bundle().manifest().name.as_deref(), Some(pack));
        let (count, failed) = engine.run_tests();
        assert!(count > 5 && failed.is_empty(), "{pack}, {count} tests: {failed:#?}");
    }
}

#[test]
fn without_any_one_rule_some_test_of_the_pack_fails() {
    for pack in PACKS {
        let whole = files(pack);
        let rules: Vec<String> = engine(whole.clone()).bundle().rules().map(str::to_owned).collect();
        for rule in rules {
            // What no test file can be long enough for is tested below.
            if rule == "unread-leaves-after-a-look" {
                continue;
            }
            let mut less = whole.clone();
            let file = less.iter_mut().find_map(|(name, bytes)| {
                let text = std::str::from_utf8(bytes).ok().filter(|_| name.ends_with(".cedar"))?;
                let text = without(text, &rule)?;
                *bytes = text.into_bytes();
                Some(())
            });
            assert!(file.is_some(), "{pack}: {rule} is in no file");
            let engine = engine(less);
            assert!(engine.bundle().rules().all(|other| other != rule));
            let (_, failed) = engine.run_tests();
            assert!(!failed.is_empty(), "{pack}: all tests pass without {rule}");
        }
    }
}

#[test]
fn what_packs_share_is_the_same() {
    let base = files("default")["base.cedar"].clone();
    for pack in PACKS {
        assert_eq!(files(pack)["base.cedar"], base, "{pack}");
    }
    for pack in ["strict", "confidential"] {
        assert_eq!(files(pack)["default.cedar"], files("default")["default.cedar"], "{pack}");
    }
}

#[test]
fn every_pack_loads_with_the_tools_of_every_registry() {
    let mut seen = 0;
    for entry in std::fs::read_dir(here("tests/registries")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".tools.json") {
            continue;
        }
        seen += 1;
        for pack in PACKS {
            let mut files = files(pack);
            files.retain(|file, _| file.ends_with(".cedar"));
            files.insert("tools.json".to_owned(), std::fs::read(entry.path()).unwrap());
            let engine = engine(files);
            let unlabelled: Vec<&str> = engine
                .bundle()
                .tools()
                .filter(|tool| !tool.labels.labelled)
                .map(|tool| tool.name.as_str())
                .collect();
            assert!(unlabelled.is_empty(), "{name}: {unlabelled:?}");
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn a_rule_about_a_group_without_tools_loads_with_a_warning_and_one_that_is_misspelt_does_not() {
    let load = |rule: &str| {
        let tools = r#"{"tools": [{"server": "mail", "name": "inbox", "groups": ["read"]}]}"#;
        let rule = format!("@id(\"rule\") forbid {rule};");
        let files = [("a.cedar", rule.as_bytes()), ("tools.json", tools.as_bytes())];
        Bundle::load(files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into())
    };
    for fine in [
        "(principal, action in Action::\"physical\", resource)",
        "(principal, action in [Action::\"physical\", Action::\"security\"], resource) when { resource.irreversible }",
        "(principal, action in Action::\"payment\", resource) when { context.asked == \"no\" }",
    ] {
        let bundle = load(fine).unwrap_or_else(|error| panic!("{fine}: {error}"));
        let said: Vec<&str> = bundle.warnings().iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(said, ["no registered tool is in the groups that it is about"], "{fine}");
    }
    for wrong in [
        "(principal, action == Action::\"physical\", resource)",
        "(principal, action in Action::\"physical\", resource) when { context.signals has shel }",
        "(principal, action in Action::\"physical\", resource) when { context.signals.shel }",
        "(principal, action in Action::\"physical\", resource) when { context.args has dor }",
        "(principal, action in Action::\"fysical\", resource)",
        "(principal, action in Action::\"read\", resource) when { false }",
    ] {
        assert!(load(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_too_much_to_look_at_leaves_after_a_look() {
    let engine = engine(files("data-protection"));
    let decide = |bytes: usize| {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode("plain words, ".repeat(bytes / 13));
        let args = json!({"to": [], "body": body});
        let calls = [CallView::new("c1", "mail", "send", &args)];
        let session = SessionFacts { opened: true, ..SessionFacts::default() };
        let agent = AgentFacts { name: "desk", roles: &[], signed: false };
        let decided = engine
            .decide(&DecideInput { session: &session, ..DecideInput::new(agent, &calls, 1_790_000_000_000) });
        let rules: Vec<String> = decided.decision.reasons.iter().map(|reason| reason.rule.clone()).collect();
        (decided.decision.outcome, rules)
    };
    assert_eq!(decide(1_000).0, Outcome::Allow);
    let (outcome, rules) = decide(400_000);
    assert_eq!(
        (outcome, rules.as_slice()),
        (Outcome::Hold, ["unread-leaves-after-a-look".to_owned()].as_slice())
    );
}
