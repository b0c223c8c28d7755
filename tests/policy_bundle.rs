#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: a bundle that is wrong in any way is not active, and the error names file, line, column and rule
//! and ends with what to do; every byte of a bundle counts in its digest; no file makes the loader panic.
#![cfg(feature = "replay")]

use std::collections::{BTreeMap, BTreeSet};

use foreseal::policy::{Bundle, BundleError, Fault, FaultKind, action_id};
use proptest::prelude::*;

const TOOLS: &str = r#"{"tools": [
  {"server": "bank", "name": "send_money", "groups": ["external", "payment"], "input": {"type": "object", "properties": {
     "amount": {"type": "number"}, "to": {"type": "string"}, "query": {"type": "string"}}}},
  {"server": "mail", "name": "read", "groups": ["read", "inbox"]}]}"#;

fn files(rules: &str) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("rules.cedar".to_owned(), rules.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
    ])
}

fn refusal(files: BTreeMap<String, Vec<u8>>) -> BundleError {
    let error = Bundle::load(files).expect_err("must not load");
    let shown = error.to_string();
    assert!(shown.lines().last().unwrap().starts_with("hint: "), "{shown}");
    error
}

/// The only fault.
fn fault(rules: &str) -> Fault {
    let error = refusal(files(rules));
    assert_eq!(error.faults().len(), 1, "{rules}: {error}");
    error.faults()[0].clone()
}

fn tools_fault(tools: &str) -> Fault {
    let error = refusal(BTreeMap::from([("tools.json".to_owned(), tools.as_bytes().to_vec())]));
    error.faults()[0].clone()
}

#[test]
fn annotations_are_known_or_refused() {
    for (annotations, effect, part) in [
        ("@id(\"a\") @owner(\"x\")", "permit", "@owner is not an annotation"),
        ("@id(\"a\") @Outcome(\"hold\")", "forbid", "@Outcome is not an annotation"),
        ("@id(\"a\") @outcome(\"allow\")", "forbid", "not an outcome"),
        ("@id(\"a\") @outcome(\"HOLD\")", "forbid", "not an outcome"),
        ("@id(\"a\") @outcome", "forbid", "not an outcome"),
        ("@id(\"a\") @outcome(\"modify\")", "forbid", "without @transform"),
        ("@id(\"a\") @outcome(\"hold\")", "permit", "@outcome on a permit"),
        ("@id(\"a\") @outcome(\"deny\")", "permit", "@outcome on a permit"),
        ("@id(\"a\") @expires(\"1m\")", "permit", "@expires on a permit"),
        ("@id(\"a\") @approver(\"x\")", "forbid", "for holds"),
        ("@id(\"a\") @outcome(\"deny\") @expires(\"1m\")", "forbid", "for holds"),
        ("@id(\"a\") @outcome(\"hold\") @approver(\"\")", "forbid", "not a role"),
        ("@id(\"a\") @outcome(\"hold\") @approver(\"a b\")", "forbid", "not a role"),
        ("@id(\"a\") @outcome(\"hold\") @quorum(\"0\")", "forbid", "not a number of people"),
        ("@id(\"a\") @outcome(\"hold\") @quorum(\"17\")", "forbid", "not a number of people"),
        ("@id(\"a\") @outcome(\"hold\") @quorum(\"02\")", "forbid", "not a number of people"),
        ("@id(\"a\") @outcome(\"hold\") @human(\"A B\")", "forbid", "not a person's name"),
        ("@id(\"a\") @outcome(\"hold\") @ticket", "forbid", "not the name of a kind of ticket"),
        ("@id(\"a\") @outcome(\"hold\") @step_up(\"\")", "forbid", "not the name of a method"),
        ("@id(\"a\") @quorum(\"2\")", "forbid", "@quorum is for holds"),
        ("@id(\"a\") @ticket(\"x\")", "forbid", "@ticket is for holds"),
        ("@id(\"a\") @step_up(\"x\")", "forbid", "@step_up is for holds"),
        ("@id(\"a\") @human(\"x\")", "forbid", "@human is for holds"),
        ("@id(\"a\") @outcome(\"defer\") @approver(\"x\")", "forbid", "@approver is for holds"),
        (
            "@id(\"a\") @outcome(\"modify\") @expires(\"1m\") @transform(\"drop:/to\")",
            "forbid",
            "@expires is for holds",
        ),
        ("@id(\"a\") @transform(\"drop:/to\")", "forbid", "@transform is for @outcome(\"modify\")"),
        (
            "@id(\"a\") @outcome(\"hold\") @transform(\"drop:/to\")",
            "forbid",
            "@transform is for @outcome(\"modify\")",
        ),
        ("@id(\"a\") @transform(\"drop:/to\")", "permit", "@transform on a permit"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"x\")", "forbid", "it has no path"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"replace:/to\")", "forbid", "not on the list"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"drop:to\")", "forbid", "a path begins with /"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"cap:/amount\")", "forbid", "it has no number"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"cap:/amount:1.00000\")", "forbid", "up to 4 places"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"redact:feelings:/query\")", "forbid", "no data class"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"drop:/to/0\")", "forbid", "it counts items"),
        ("@id(\"a\") @outcome(\"modify\") @transform(\"drop:/to;\")", "forbid", "it has no path"),
        ("@id(\"a\") @reason(\" \")", "forbid", "@reason is empty"),
        ("@id(\"a\") @reason(\"a\\nb\")", "forbid", "@reason is empty"),
    ] {
        let fault = fault(&format!("\n  {annotations} {effect} (principal, action, resource);"));
        assert!(fault.message.contains(part), "{annotations}: {}", fault.message);
        assert_eq!((fault.kind, fault.rule.as_deref()), (FaultKind::Annotation, Some("a")), "{annotations}");
        assert_eq!(fault.place.unwrap().to_string(), "rules.cedar:2:3");
    }
}

#[test]
fn durations_are_whole_bounded_and_have_a_unit() {
    let rule = |expires: &str| {
        files(&format!(
            "@id(\"a\") @outcome(\"hold\") @expires(\"{expires}\") forbid (principal, action, resource);"
        ))
    };
    for good in ["1s", "90s", "15m", "1h", "30d", "2592000s"] {
        assert!(Bundle::load(rule(good)).is_ok(), "{good}");
    }
    for bad in [
        "",
        "0s",
        "15",
        "m",
        "-1m",
        "+1m",
        "1.5h",
        "01m",
        "15 m",
        "15M",
        "31d",
        "2592001s",
        "99999999999999999999s",
        "18446744073709551615d",
        "1w",
        "１m",
    ] {
        assert_eq!(refusal(rule(bad)).faults()[0].kind, FaultKind::Annotation, "{bad:?}");
    }
}

#[test]
fn ids_are_there_well_formed_and_unique_over_all_files() {
    let yes = "permit (principal, action, resource);";
    assert_eq!(fault(yes).kind, FaultKind::Id);
    for bad in ["", " ", "a b", "a/b", "ä", "no_permit", "no_policy", "policy_error", "request_invalid"] {
        assert_eq!(fault(&format!("@id(\"{bad}\") {yes}")).kind, FaultKind::Id, "{bad:?}");
    }
    assert!(Bundle::load(files(&format!("@id(\"{}\") {yes}", "x".repeat(128)))).is_ok());
    assert_eq!(fault(&format!("@id(\"{}\") {yes}", "x".repeat(129))).kind, FaultKind::Id);
    let mut two = files(&format!("@id(\"same\")\n{yes}"));
    two.insert("again.cedar".to_owned(), format!("// one\n\n   @id(\"same\") {yes}").into_bytes());
    let error = refusal(two);
    let fault = &error.faults()[0];
    assert_eq!((fault.kind, fault.rule.as_deref()), (FaultKind::Id, Some("same")));
    assert!(
        error.to_string().contains("rules.cedar:1:1") && error.to_string().contains("again.cedar:3:4"),
        "{error}"
    );
    // Twice on one rule is for Cedar to refuse.
    assert_eq!(self::fault(&format!("@id(\"a\") @id(\"b\") {yes}")).kind, FaultKind::Syntax);
}

#[test]
fn malformed_cedar_is_refused_with_its_position() {
    for (rules, place) in [
        ("@id(\"a\")\npermit (principal, action resource);", "rules.cedar:2:27"),
        ("@id(\"a\") permit (principal, action, resource)", "rules.cedar:1:"),
        ("// é\n  permti (principal, action, resource);", "rules.cedar:2:3"),
        ("@id(\"a\") permit (principal, action, resource) when { context.args.x == \"", "rules.cedar:1:"),
    ] {
        let error = refusal(files(rules));
        assert_eq!(error.faults()[0].kind, FaultKind::Syntax, "{error}");
        assert!(error.to_string().contains(place), "{error}");
    }
    let template = fault("@id(\"a\") permit (principal == ?principal, action, resource);");
    assert_eq!(template.kind, FaultKind::Template);
}

#[test]
fn rules_must_fit_the_tools() {
    for (rule, kind) in [
        ("permit (principal, action == Action::\"bank/send_mony\", resource);", FaultKind::Validation),
        ("permit (principal, action in Action::\"no_group\", resource);", FaultKind::Validation),
        (
            "permit (principal, action in [Action::\"read\", Action::\"raed\"], resource);",
            FaultKind::Validation,
        ),
        (
            "permit (principal, action, resource) when { action == Action::\"bank/x\" };",
            FaultKind::Validation,
        ),
        ("permit (principal, action, resource == Tool::\"bank/x\");", FaultKind::UnknownTool),
        (
            "permit (principal, action, resource) unless { resource == Tool::\"bank/x\" };",
            FaultKind::UnknownTool,
        ),
        ("permit (principal == User::\"a\", action, resource);", FaultKind::Validation),
        (
            "forbid (principal, action, resource) when { context.args.amount.lessThan(decimal(\"1.0\")) };",
            FaultKind::Validation,
        ),
        (
            "forbid (principal, action == Action::\"bank/send_money\", resource) when { context.args.amount.lessThan(decimal(\"1.0\")) };",
            FaultKind::Validation,
        ),
        (
            "forbid (principal, action == Action::\"bank/send_money\", resource) when { context.args has amount && context.args.amount < 5 };",
            FaultKind::Validation,
        ),
        ("forbid (principal, action, resource) when { principal.trust > 3 };", FaultKind::Validation),
        (
            "forbid (principal, action, resource) when { ip(context.tool.name).isLoopback() };",
            FaultKind::Validation,
        ),
        ("forbid (principal, action == Action::\"external\", resource);", FaultKind::Impossible),
        (
            "forbid (principal, action == Action::\"bank/send_money\", resource) when { context.args has amonut };",
            FaultKind::Impossible,
        ),
        ("forbid (principal, action, resource is Agent);", FaultKind::Impossible),
    ] {
        let error = refusal(files(&format!(
            "@id(\"fine\") permit (principal, action in Action::\"call\", resource);\n@id(\"bad\") {rule}"
        )));
        let kinds: Vec<FaultKind> = error.faults().iter().map(|fault| fault.kind).collect();
        assert!(kinds.contains(&kind), "{rule}: {error}");
        for fault in error.faults() {
            assert_eq!(fault.rule.as_deref(), Some("bad"), "{error}");
            assert_eq!(fault.place.as_ref().unwrap().line, 2, "{error}");
        }
    }
}

#[test]
fn what_is_allowed_and_odd_is_warned_of() {
    let warned = |rule: &str| {
        let bundle = Bundle::load(files(&format!("@id(\"a\") {rule}"))).unwrap();
        bundle.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let like = "forbid (principal, action == Action::\"bank/send_money\", resource) when { context.args has query && context.args.query like \"*drop*\" };";
    assert!(warned(like).contains("`like` on args.query"), "{}", warned(like));
    assert!(warned("permit (principal, action, resource);").contains("not registered"));
    let typo =
        "forbid (principal, action in Action::\"payment\", resource) unless { context.args has amonut };";
    assert!(warned(typo).contains("args.amonut"), "{}", warned(typo));
    assert_eq!(warned("permit (principal, action in Action::\"call\", resource);"), "");
}

#[test]
fn files_are_named_and_bounded() {
    for name in [
        "README.md",
        "tools.JSON",
        "a.cedar.bak",
        ".hidden.cedar",
        ".cedar",
        "sub/a.cedar",
        "../a.cedar",
        "a b.cedar",
        "ä.cedar",
        "",
        "tools.json\n",
    ] {
        let error = refusal(BTreeMap::from([(name.to_owned(), Vec::new())]));
        assert_eq!(error.faults()[0].kind, FaultKind::FileName, "{name:?}");
    }
    let error = refusal(BTreeMap::from([("a.cedar".to_owned(), b"// ok\n\xff".to_vec())]));
    assert_eq!(
        (error.faults()[0].kind, error.faults()[0].place.as_ref().unwrap().line),
        (FaultKind::Encoding, 2)
    );
    let comment = |bytes: usize| BTreeMap::from([("a.cedar".to_owned(), vec![b'/'; bytes])]);
    assert!(Bundle::load(comment(Bundle::MOST_BYTES - 7)).is_ok());
    assert_eq!(refusal(comment(Bundle::MOST_BYTES - 6)).faults()[0].kind, FaultKind::Limit);
    let many = |n: usize| -> String {
        (0..n)
            .map(|i| {
                format!("@id(\"r{i}\") permit (principal, action == Action::\"mail/read\", resource);\n")
            })
            .collect()
    };
    assert_eq!(Bundle::load(files(&many(1_000))).unwrap().rules().len(), 1_000);
    assert_eq!(refusal(files(&many(1_001))).faults()[0].kind, FaultKind::Limit);
    assert!(Bundle::load(BTreeMap::new()).unwrap().is_empty());
}

#[test]
fn deep_rules_are_refused_on_any_stack() {
    let load = |condition: String| {
        let rules = format!(
            "@id(\"ok\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource) when {{ {condition} }};"
        );
        let small = std::thread::Builder::new().stack_size(1 << 20);
        small.spawn(move || Bundle::load(files(&rules)).map(drop)).unwrap().join().unwrap()
    };
    for n in [50, 60, 64, 65, 100, 330, 999, 5_000] {
        for condition in [
            "(".repeat(n) + "true" + &")".repeat(n),
            "[".repeat(n) + "1" + &"]".repeat(n),
            "!(".repeat(n) + "true" + &")".repeat(n),
            "true".to_owned() + &" && true".repeat(n),
            "true".to_owned() + &" || 1 == 2".repeat(n),
            "context".to_owned() + &".a".repeat(n),
            "if true then true else ".repeat(n) + "true",
            "1".to_owned() + &" + 1".repeat(n) + " == 2",
        ] {
            let shown = condition.chars().take(16).collect::<String>();
            match load(condition) {
                Ok(()) => assert!(n <= 64, "{n} times {shown} loads"),
                Err(error) if n > 66 => {
                    let fault = &error.faults()[0];
                    assert_eq!(fault.kind, FaultKind::Limit, "{n} times {shown}: {error}");
                    assert!(fault.place.as_ref().unwrap().line <= 2);
                }
                Err(_) => {}
            }
        }
    }
    // What is long and not deep loads: strings, comments, sets.
    let strings = "\"".to_owned() + &"((((".repeat(5_000) + "\"";
    let set = format!("[{}].contains(context.tool.name)", vec!["\"a\""; 3_000].join(", "));
    load(format!("context.tool.name != {strings} && {set} // {}\n", "((".repeat(9_000))).unwrap();
}

#[test]
fn tools_are_declared_exactly() {
    for (tools, kind, part) in [
        ("{", FaultKind::Syntax, ""),
        ("[]", FaultKind::Syntax, ""),
        ("{\"tools\": [], \"more\": 1}", FaultKind::Syntax, "more"),
        ("{\"tools\": [{\"name\": \"a\", \"annotations\": {}}]}", FaultKind::Syntax, "annotations"),
        ("{\"tools\": [{\"name\": \"a\", \"name\": \"b\"}]}", FaultKind::Syntax, "name"),
        (
            "{\"tools\": [{\"name\": \"a\", \"input\": {\"type\": \"object\", \"type\": \"string\"}}]}",
            FaultKind::Syntax,
            "twice",
        ),
        ("{\"tools\": [{\"name\": \"\"}]}", FaultKind::Tools, "empty"),
        ("{\"tools\": [{\"name\": \"a\"}, {\"name\": \"a\", \"server\": \"\"}]}", FaultKind::Tools, "twice"),
        ("{\"tools\": [{\"name\": \"a\", \"groups\": [\"call\"]}]}", FaultKind::Tools, "call"),
        (
            "{\"tools\": [{\"name\": \"a\", \"groups\": [\"unregistered\"]}]}",
            FaultKind::Tools,
            "unregistered",
        ),
        ("{\"tools\": [{\"name\": \"a\", \"groups\": [\"A\"]}]}", FaultKind::Tools, "not a name"),
        ("{\"tools\": [{\"name\": \"a\", \"groups\": [\"a/b\"]}]}", FaultKind::Tools, "not a name"),
        ("{\"tools\": [{\"name\": \"a\", \"input\": {\"type\": \"array\"}}]}", FaultKind::Tools, "object"),
        (
            "{\"tools\": [{\"name\": \"a\", \"input\": {\"type\": \"object\", \"properties\": {\"x\": {\"type\": \"date\"}}}}]}",
            FaultKind::Tools,
            "date",
        ),
    ] {
        let fault = tools_fault(tools);
        assert_eq!(fault.kind, kind, "{tools}: {fault}");
        assert!(fault.message.contains(part), "{tools}: {fault}");
        assert_eq!(fault.place.as_ref().unwrap().file, "tools.json");
    }
    assert_eq!(tools_fault("{\"tools\":\n  [7]}").place.unwrap().line, 2);
    let deep = format!("{{\"tools\": [{{\"name\": \"a\", \"input\": {}}}]}}", "[".repeat(100_000));
    assert_eq!(tools_fault(&deep).kind, FaultKind::Syntax);
}

#[test]
fn every_byte_of_a_bundle_counts() {
    let files = files("@id(\"a\") permit (principal, action in Action::\"call\", resource);");
    let digest =
        |files: &BTreeMap<String, Vec<u8>>| Bundle::load(files.clone()).ok().map(|bundle| *bundle.digest());
    let original = digest(&files).unwrap();
    assert_eq!(digest(&files), Some(original));
    let mut seen = BTreeSet::from([original]);
    let mut loaded = 0;
    for (name, content) in &files {
        for (at, original_byte) in content.iter().enumerate() {
            for byte in [original_byte ^ 1, b' ', b'\n'] {
                let mut changed = files.clone();
                changed.get_mut(name).unwrap()[at] = byte;
                if changed == files {
                    continue;
                }
                if let Some(digest) = digest(&changed) {
                    assert_ne!(digest, original, "{name} at {at}");
                    seen.insert(digest);
                    loaded += 1;
                }
            }
        }
    }
    assert!(loaded > 50 && seen.len() > 50, "{loaded} variants loaded");
    // The same bytes cut differently into names and files are other bundles.
    let comment = |files: &[(&str, &str)]| {
        digest(&files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
            .unwrap()
    };
    let cuts = [
        comment(&[("a.cedar", "//1//2")]),
        comment(&[("a.cedar", "//1"), ("b.cedar", "//2")]),
        comment(&[("a.cedar", "//1//2"), ("b.cedar", "")]),
        comment(&[("aa.cedar", "//1//2")]),
        comment(&[]),
        comment(&[("a.cedar", ""), ("b.cedar", "//1//2")]),
    ];
    assert_eq!(cuts.iter().collect::<BTreeSet<_>>().len(), cuts.len());
}

proptest! {
    /// Names in rules are injective, and never a group's.
    #[test]
    fn tools_names_never_clash(a in "[a%/2F]{0,4}", b in "[a%/2F]{0,4}", c in "[a%/2F]{0,4}", d in "[a%/2F]{0,4}") {
        prop_assert_eq!(action_id(&a, &b) == action_id(&c, &d), (&a, &b) == (&c, &d));
        prop_assert_eq!(action_id(&a, &b).matches('/').count(), 1);
    }

    /// No text makes the loader panic.
    #[test]
    fn any_text_is_loaded_or_refused(
        rules in "(@id\\(\"[a-c]\"\\) ?|permit|forbid|\\(principal|, action|, resource\\)|;|when \\{|\\}|context|\\.args|has|\"|[ -~é]){0,24}",
        tools in "(\\{\"tools\":\\[|\\{\"name\":\"a\"|,\"input\":|\\{\"type\":\"object\"|\\}|\\]|[ -~]){0,12}",
    ) {
        let _ = Bundle::load(BTreeMap::from([("a.cedar".to_owned(), rules.into_bytes())]));
        let _ = Bundle::load(BTreeMap::from([("tools.json".to_owned(), tools.into_bytes())]));
    }
}
