#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
//! Promised: what a new bundle says otherwise is named rule by rule and tool by tool, and nothing milder passes for
//! stricter or neutral.
#![cfg(feature = "replay")]

use std::collections::BTreeMap;

use foreseal::policy::{Bundle, Change, Direction, diff};

const TOOLS: &str = r#"{"tools": [
    {"server": "bank", "name": "pay", "groups": ["payment"], "destinations": [{"at": "/to", "type": "iban"}],
     "input": {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "number"},
     "cc": {"type": "string"}}}}]}"#;

fn bundle(rules: &str, tools: &str, more: &[(&str, &str)]) -> Bundle {
    let files = [("rules.cedar", rules), ("tools.json", tools)].into_iter().chain(more.iter().copied());
    let files: BTreeMap<String, Vec<u8>> =
        files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect();
    Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))
}

const PERMIT: &str = "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n";

fn hold(annotations: &str) -> String {
    format!(
        "{PERMIT}@id(\"h\") @outcome(\"hold\") {annotations} forbid (principal, action in Action::\"payment\", resource);"
    )
}

fn changes(old: &str, new: &str) -> Vec<Change> {
    diff(&bundle(old, TOOLS, &[]), &bundle(new, TOOLS, &[]))
}

fn only(changes: &[Change]) -> &Change {
    let [change] = changes else { panic!("{changes:?}") };
    change
}

#[test]
fn nothing_differs_from_itself_and_every_step_has_its_opposite() {
    let demands = "@approver(\"cfo\") @quorum(\"2\") @expires(\"1h\") @ticket(\"chg\") @step_up(\"totp\") @human(\"ann\")";
    let strict = hold(demands);
    assert_eq!(changes(&strict, &strict), []);
    for weaker in [
        demands.replace("cfo", "clerk"),
        demands.replace("@approver(\"cfo\")", ""),
        demands.replace("@quorum(\"2\")", ""),
        demands.replace("1h", "2h"),
        demands.replace("@expires(\"1h\")", ""),
        demands.replace("chg", "any"),
        demands.replace("@ticket(\"chg\")", ""),
        demands.replace("@step_up(\"totp\")", ""),
        demands.replace("ann", "bob"),
        demands.replace("@human(\"ann\")", ""),
    ] {
        let change = changes(&strict, &hold(&weaker));
        assert_eq!(only(&change).direction, Direction::Weakening, "{weaker}: {change:?}");
        let back = changes(&hold(&weaker), &strict);
        let another = ["clerk", "any", "bob"].iter().any(|name| weaker.contains(name));
        // Somebody else instead is a weakening either way: nobody knows whose word is worth more.
        let expected = if another { Direction::Weakening } else { Direction::Tightening };
        assert_eq!(only(&back).direction, expected, "{weaker}: {back:?}");
    }
}

#[test]
fn rules_come_go_and_change_what_they_do() {
    let forbid = |outcome: &str| {
        format!("{PERMIT}@id(\"f\") {outcome} forbid (principal, action in Action::\"payment\", resource);")
    };
    let denies = forbid("");
    for (old, new, direction) in [
        (PERMIT, denies.as_str(), Direction::Tightening),
        (&denies, PERMIT, Direction::Weakening),
        ("", PERMIT, Direction::Weakening),
        (PERMIT, "", Direction::Tightening),
        (&denies, &forbid("@outcome(\"defer\")"), Direction::Weakening),
        (&denies, &forbid("@outcome(\"hold\")"), Direction::Weakening),
        (&forbid("@outcome(\"hold\")"), &forbid("@outcome(\"defer\")"), Direction::Tightening),
        (&forbid("@outcome(\"hold\")"), &denies, Direction::Tightening),
        (&forbid("@outcome(\"modify\") @transform(\"drop:/cc\")"), &denies, Direction::Tightening),
        (&denies, &forbid("@outcome(\"modify\") @transform(\"drop:/cc\")"), Direction::Weakening),
        (
            &forbid("@outcome(\"modify\") @transform(\"cap:/amount:5\")"),
            &forbid("@outcome(\"modify\") @transform(\"cap:/amount:6\")"),
            Direction::Weakening,
        ),
        (
            &forbid("@outcome(\"modify\") @transform(\"drop:/cc\")"),
            &forbid("@outcome(\"modify\") @transform(\"drop:/cc; cap:/amount:6\")"),
            Direction::Tightening,
        ),
        (&denies, &forbid("@reason(\"because\")"), Direction::Neutral),
    ] {
        let found = changes(old, new);
        assert_eq!(only(&found).direction, direction, "{old}\n{new}\n{found:?}");
    }
    let narrower = denies.replace("payment\", resource)", "payment\", resource) when { principal.signed }");
    let found = changes(&denies, &narrower);
    assert!(only(&found).other_calls && only(&found).direction == Direction::Unknown, "{found:?}");
}

const ANY: &str = "@id(\"all\") permit (principal, action, resource);";

#[test]
fn tools_and_what_the_bundle_says_of_itself() {
    let of = |tools: &str, more: &[(&str, &str)]| diff(&bundle(ANY, TOOLS, &[]), &bundle(ANY, tools, more));
    let change = |found: &[Change]| (only(found).direction, only(found).name.clone());
    let pay = || "bank/pay".to_owned();
    assert_eq!(change(&of(r#"{"tools": []}"#, &[])), (Direction::Tightening, pay()));
    assert_eq!(change(&of(&TOOLS.replace("payment", "read"), &[])), (Direction::Unknown, pay()));
    assert_eq!(change(&of(&TOOLS.replace("\"iban\"", "\"text\""), &[])), (Direction::Unknown, pay()));
    assert_eq!(change(&of(&TOOLS.replace("number", "integer"), &[])), (Direction::Unknown, pay()));
    let proofs = ("proofs.json", r#"{"proofs": [{"id": "p", "never_errors": true}]}"#);
    let manifest = ("manifest.json", r#"{"name": "n", "version": "1", "proofs": "required"}"#);
    let demanding = bundle(ANY, TOOLS, &[proofs, manifest]);
    assert_eq!(change(&of(TOOLS, &[proofs, manifest])), (Direction::Tightening, "manifest.json".to_owned()));
    let gone = diff(&demanding, &bundle(ANY, TOOLS, &[]));
    assert!(
        gone.iter().all(|change| change.direction == Direction::Weakening) && gone.len() == 2,
        "{gone:?}"
    );
}

/// What `proofs.json` may not say keeps a bundle from loading, in every build.
#[test]
fn proofs_are_checked_when_the_bundle_is_loaded() {
    let load = |text: &str, manifest: &str| {
        let files =
            [("r.cedar", PERMIT), ("tools.json", TOOLS), ("proofs.json", text), ("manifest.json", manifest)];
        let files = files.into_iter().filter(|(_, text)| !text.is_empty());
        Bundle::load(files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect())
    };
    let claim = |body: &str| format!("{{\"proofs\": [{{\"id\": \"p\", {body}}}]}}");
    for body in [
        r#""never": "action in Action::\"payment\" && !principal.signed""#,
        r#""never": "forbid (principal, action in Action::\"payment\", resource) unless { principal.signed };""#,
        r#""never": "all", "at_least": "deny""#,
        r#""never_errors": true"#,
        r#""every_rule_decides": true"#,
    ] {
        assert_eq!(
            load(&claim(body), "").unwrap_or_else(|error| panic!("{body}: {error}")).claims().len(),
            1
        );
    }
    for (body, says) in [
        (r#""never": "context.nowhere""#, "nowhere"),
        (r#""never": "action in Action::\"nogroup\"""#, "nogroup"),
        (r#""never": "resource == Tool::\"no/tool\"""#, "no/tool"),
        (r#""never": "1 + ""#, "proof"),
        (r#""never": "context.time.ms""#, "proof"),
        (r#""never": "context.time.ms == \"now\"""#, "proof"),
        (r#""never": "true", "at_least": "allow""#, "at least allowed"),
        (r#""never": "true", "never_errors": true"#, "more than one"),
        (r#""never_errors": false"#, "says nothing"),
        (r#""never_errors": true, "at_least": "deny""#, "more than one"),
        (r#""nothing": true"#, "nothing"),
    ] {
        let error = load(&claim(body), "").err().unwrap_or_else(|| panic!("{body}: loaded"));
        let fault = &error.faults()[0];
        assert_eq!(fault.place.as_ref().unwrap().file, "proofs.json", "{body}");
        assert!(error.to_string().contains(says) && !fault.hint.is_empty(), "{body}: {error}");
    }
    // Nothing can meet it with these tools: said, and no reason to refuse.
    let idle = load(&claim(r#""never": "action in Action::\"physical\"""#), "").unwrap();
    assert!(idle.warnings()[0].message.contains("says nothing"), "{:?}", idle.warnings());
    assert!(idle.never("action in Action::\"physical\"", foreseal::record::decision::Outcome::Hold).is_err());
    let twice = r#"{"proofs": [{"id": "p", "never_errors": true}, {"id": "p", "never_errors": true}]}"#;
    assert!(load(twice, "").is_err());
    let required = r#"{"name": "n", "version": "1", "proofs": "required"}"#;
    assert!(load("", required).unwrap_err().to_string().contains("nothing is to be proven"));
    assert!(load(&claim(r#""never_errors": true"#), required).unwrap().manifest().proofs_required);
    assert!(load("", &required.replace("required", "wished")).is_err());
}
