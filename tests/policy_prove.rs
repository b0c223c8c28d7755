#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]
//! Promised: a hole planted in a shipped pack is found, with a call that our own engine lets through, and the packs
//! themselves pass; proven, refuted and unknown are three answers; without a solver there is none.
#![cfg(feature = "prove")]

#[allow(dead_code, reason = "shared with tests/e2e.rs, which uses all of it")]
#[path = "e2e/agents.rs"]
mod agents;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/described.rs"]
mod described;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/http.rs"]
mod http;
#[allow(dead_code, reason = "as above")]
#[path = "e2e/process.rs"]
mod process;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use process::{Home, Server};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The solver, or a line that says that there is none.
fn has_solver() -> bool {
    let there = Command::new("cvc5").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: proofs (there is no cvc5 on the path)");
    }
    there
}

fn foreseal(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_foreseal"))
        .args(arguments)
        .env_remove("FORESEAL_SOLVER")
        .env_remove("FORESEAL_POLICIES")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Proves, and holds the report against its schema.
#[track_caller]
fn prove(bundle: &Path, arguments: &[&str], exit: i32) -> Value {
    let of = ["policy", "prove", bundle.to_str().unwrap(), "--json"];
    let (code, stdout, stderr) = foreseal(&[&of, arguments].concat());
    assert_eq!(code, exit, "{arguments:?}\n{stdout}\n{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let schema: Value =
        serde_json::from_slice(&std::fs::read(root("schemas/policy.proof.schema.json")).unwrap()).unwrap();
    if let Err(error) = jsonschema::validate(&schema, &report) {
        panic!("{error}\n{stdout}");
    }
    let answer = ["proven", "refuted", "unknown"][usize::try_from(exit).unwrap()];
    assert_eq!(report["answer"], answer, "{stdout}");
    assert!(report["solver"].as_str().unwrap().starts_with("cvc5 "));
    report
}

/// A bundle of its own directory.
struct Written(tempfile::TempDir);

impl Written {
    fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn copy(pack: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(root(pack)).unwrap() {
            let path = entry.unwrap().path();
            // Its tests are about the pack as it is; a signature would be, too.
            if path.is_file() && !path.ends_with("signature.json") {
                std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts `new` in the place of `old` wherever it stands in the rules.
    fn plant(self, old: &str, new: &str) -> Self {
        let mut planted = 0;
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "cedar") {
                let text = std::fs::read_to_string(&path).unwrap();
                planted += text.matches(old).count();
                std::fs::write(&path, text.replace(old, new)).unwrap();
            }
        }
        assert!(planted > 0, "{old:?} is not in the pack any longer");
        self
    }
}

const TOOLS: &str = r#"{"tools": [
    {"server": "bank", "name": "pay", "groups": ["payment", "external"], "destinations": [{"at": "/to", "type": "iban"}],
     "payload": ["/note"], "input": {"type": "object", "properties": {"to": {"type": "string"},
     "amount": {"type": "number"}, "n": {"type": "integer"}, "m": {"type": "integer"}, "k": {"type": "integer"}, "note": {"type": "string"},
     "cc": {"type": "array", "items": {"type": "string"}}}}},
    {"server": "bank", "name": "look", "groups": ["read"], "destinations": []},
    {"server": "desk", "name": "run", "groups": ["execute"]}]}"#;
const PERMIT: &str = "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n";

fn rules(text: &str) -> Written {
    Written::of(&[("rules.cedar", &format!("{PERMIT}{text}")), ("tools.json", TOOLS)])
}

/// The counterexamples' tests, put into the bundle, come out as they say: the engine agrees in another process, and by
/// another command.
fn confirmed(bundle: &Path, report: &Value) -> usize {
    let mut tests = Vec::new();
    for finding in
        report["proofs"].as_array().unwrap().iter().flat_map(|proof| proof["findings"].as_array().unwrap())
    {
        if let Some(test) = finding.pointer("/counterexample/test") {
            tests.push(test.clone());
        }
    }
    let directory = bundle.join("tests");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("found.json"), json!({"tests": tests}).to_string()).unwrap();
    let (code, stdout, stderr) = foreseal(&["policy", "test", bundle.to_str().unwrap()]);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(code, 0, "{stdout}{stderr}");
    tests.len()
}

const LARGE: &str = "action == Action::\"bank/send_payment\" && context.args has amount && \
                     context.args.amount.greaterThanOrEqual(decimal(\"100.0\"))";

#[test]
fn packs_pass_and_planted_holes_are_found() {
    if !has_solver() {
        return;
    }
    let starter = root("policies/starter");
    prove(&starter, &["--never", LARGE, "--never-errors"], 0);
    // A hole: another amount, an `unless` that lets more pass, a rule that no longer holds the payments.
    for (old, new) in [
        ("lessThan(decimal(\"100.0\"))", "lessThan(decimal(\"1000.0\"))"),
        ("context.args.amount.lessThan(decimal(\"100.0\"))", "context.args has subject"),
        (
            "@id(\"payments-need-finance\")\n@outcome(\"hold\")\n@approver(\"finance_manager\")\n@expires(\"15m\")",
            "@id(\"payments-need-finance\") @outcome(\"modify\") @transform(\"cap:/amount:5000\")",
        ),
    ] {
        let holed = Written::copy("policies/starter").plant(old, new);
        let report = prove(holed.path(), &["--never", LARGE], 1);
        let finding = &report["proofs"][0]["findings"][0];
        assert_eq!(finding["tool"], "bank/send_payment", "{report}");
        assert_eq!(finding["counterexample"]["confirmed"], "intent", "{report}");
        assert!(confirmed(holed.path(), &report) > 0);
        // And beside the pack it is milder.
        prove(holed.path(), &["--no-more-permissive-than", starter.to_str().unwrap()], 1);
    }
}

/// Every shipped pack holds what it says of itself.
#[test]
fn shipped_packs_hold_what_they_claim() {
    if !has_solver() {
        return;
    }
    let mut claiming = 0;
    for entry in std::fs::read_dir(root("policies")).unwrap() {
        let pack = entry.unwrap().path();
        if pack.join("proofs.json").is_file() {
            prove(&pack, &[], 0);
            claiming += 1;
        }
    }
    assert!(claiming > 0, "no pack says what is to be proven of it");
}

#[test]
fn facts_that_cannot_be_are_no_counterexamples() {
    if !has_solver() {
        return;
    }
    let bundle = rules(
        "@id(\"strangers\") @outcome(\"hold\") forbid (principal, action in Action::\"external\", resource)
           unless { [\"grounded\", \"none\"].contains(context.grounding.destinations) };
         @id(\"no-commands\") forbid (principal, action == Action::\"desk/run\", resource)
           when { !resource.labelled };",
    );
    for never in [
        "action in Action::\"payment\" && [\"ungrounded\", \"record\", \"vouched\"].contains(context.grounding.destinations)",
        "action in Action::\"payment\" && !context.grounding.ungrounded.isEmpty()",
        "action in Action::\"payment\" && context.grounding.destinations == \"Ungrounded\"",
        "action in Action::\"read\" && context.grounding.destinations != \"none\"",
        "action in Action::\"call\" && context.tool.name == \"run\"",
        "action in Action::\"call\" && context.signals has sql",
        "action == Action::\"unregistered\"",
        "context.session.calls < 0",
        "principal == Agent::\"a\" && principal.name == \"b\"",
        "resource.name == \"pay\" && action == Action::\"bank/look\"",
    ] {
        prove(bundle.path(), &["--never", never], 0);
    }
    for never in [
        "action in Action::\"payment\" && context.grounding.destinations == \"grounded\"",
        "action in Action::\"payment\" && context.args has note && context.args.note like \"*evil*\"",
        "action in Action::\"payment\" && context.signals.classes.contains(\"pii-email\")",
        "context.session.calls > 5 && principal.roles.containsAny([\"a\", \"b\"])",
        "context has principal && context.principal.roles.contains(\"admin\")",
        "context has plan && context.plan.conforms",
    ] {
        let report = prove(bundle.path(), &["--never", never], 1);
        confirmed(bundle.path(), &report);
    }
    // A rule's own calls: held, and not denied.
    assert_eq!(prove(bundle.path(), &["--never", "strangers"], 0)["proofs"][0]["always"], "hold");
    prove(bundle.path(), &["--never", "strangers", "--at-least", "deny"], 1);
    assert_eq!(prove(bundle.path(), &["--never", "no-commands"], 0)["proofs"][0]["always"], "deny");
}

#[test]
fn rules_that_fail_and_rules_that_say_nothing() {
    if !has_solver() {
        return;
    }
    let overflowing = rules(
        "@id(\"product\") forbid (principal, action == Action::\"bank/pay\", resource)
           when { context.args has n && context.args has m && context.args.n * context.args.m > 100 };",
    );
    let report = prove(overflowing.path(), &["--never-errors"], 1);
    let finding = &report["proofs"][0]["findings"][0];
    assert_eq!((&finding["rule"], &finding["tool"]), (&json!("product"), &json!("bank/pay")));
    assert_eq!(finding["counterexample"]["outcome"], "deny");
    assert_eq!(confirmed(overflowing.path(), &report), 1);
    // Integers are those that all JSON readers agree on: a thousand of them still fit.
    let bounded = rules(
        "@id(\"sum\") forbid (principal, action == Action::\"bank/pay\", resource)
           when { context.args has n && context.args.n * 1000 + context.time.ms > 100 };",
    );
    prove(bounded.path(), &["--never-errors"], 0);

    let dead = rules(
        "@id(\"wide\") forbid (principal, action in Action::\"external\", resource) when { !principal.signed };
         @id(\"narrow\") forbid (principal, action in Action::\"payment\", resource) when { !principal.signed };
         @id(\"held\") @outcome(\"hold\") forbid (principal, action in Action::\"payment\", resource)
           when { !principal.signed && context.args has to };
         @id(\"never\") forbid (principal, action == Action::\"bank/look\", resource)
           when { context.grounding.destinations == \"record\" };
         @id(\"why\") forbid (principal, action == Action::\"unregistered\", resource);
         @id(\"own\") @outcome(\"hold\") forbid (principal, action in Action::\"payment\", resource) unless { context.args has to };",
    );
    let report = prove(dead.path(), &["--dead-rules"], 1);
    let found: Vec<(&str, &str)> = report["proofs"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["rule"].as_str().unwrap(), finding["what"].as_str().unwrap()))
        .collect();
    let subsumed = "wherever it matches, another rule says as much";
    let expected =
        [("held", subsumed), ("narrow", subsumed), ("never", "the rule matches no call"), ("wide", subsumed)];
    // `wide` reaches unregistered tools as well, where `why` denies; of the registered external ones `narrow` says as much.
    assert_eq!(found, expected, "{report}");
}

#[test]
fn unknown_is_an_answer_of_its_own() {
    if !has_solver() {
        return;
    }
    // Are there three numbers below a million with n³ + m³ = k³? Fermat knew; a solver multiplies bits.
    let cubes = "action == Action::\"bank/pay\" && context.args has n && context.args has m && context.args has k && \
                 context.args.n > 0 && context.args.m > 0 && context.args.k > 0 && \
                 context.args.n < 1000000 && context.args.m < 1000000 && context.args.k < 1000000 && \
                 context.args.n * context.args.n * context.args.n + context.args.m * context.args.m * context.args.m == \
                 context.args.k * context.args.k * context.args.k";
    let report = prove(rules("").path(), &["--never", cubes, "--solver-seconds", "1"], 2);
    let finding = &report["proofs"][0]["findings"][0];
    assert_eq!((&finding["answer"], &finding["tool"]), (&json!("unknown"), &json!("bank/pay")), "{report}");
    assert!(finding.get("counterexample").is_none());
}

#[test]
fn without_a_solver_nothing_passes() {
    let bundle = rules("");
    let path = bundle.path().to_str().unwrap();
    for solver in ["/nowhere/cvc5", "/bin/true", "/bin/cat"] {
        let (code, stdout, stderr) =
            foreseal(&["policy", "prove", path, "--never-errors", "--solver", solver, "--json"]);
        assert_eq!(code, 2, "{stdout}");
        let said: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(said["schema"], "foreseal.failure.v1");
        assert!(stderr.contains("hint:") && stderr.contains("cvc5"), "{stderr}");
    }
    let (code, _, stderr) = foreseal(&["policy", "prove", path]);
    assert!(code == 2 && stderr.contains("nothing is to be proven"), "{stderr}");
}

#[test]
fn what_a_hold_demands_counts() {
    if !has_solver() {
        return;
    }
    let hold = |demands: &str| {
        rules(&format!(
            "@id(\"h\") @outcome(\"hold\") {demands} forbid (principal, action in Action::\"payment\", resource);"
        ))
    };
    let old = hold("@approver(\"cfo\") @quorum(\"2\") @expires(\"1h\")");
    let than = ["--no-more-permissive-than", old.path().to_str().unwrap()];
    for stricter in [
        "@approver(\"cfo\") @quorum(\"2\") @expires(\"1h\")",
        "@approver(\"cfo\") @quorum(\"3\") @expires(\"15m\") @ticket(\"chg\") @human(\"ann\") @step_up(\"totp\")",
    ] {
        prove(hold(stricter).path(), &than, 0);
    }
    for weaker in [
        "@approver(\"clerk\") @quorum(\"2\") @expires(\"1h\")",
        "@quorum(\"2\") @expires(\"1h\")",
        "@approver(\"cfo\") @expires(\"1h\")",
        "@approver(\"cfo\") @quorum(\"2\")",
        "@approver(\"cfo\") @quorum(\"2\") @expires(\"2h\")",
    ] {
        let report = prove(hold(weaker).path(), &than, 1);
        let finding = &report["proofs"][0]["findings"][0];
        assert_eq!(
            (&finding["rule"], &finding["counterexample"]["compared_outcome"]),
            (&json!("h"), &json!("hold"))
        );
    }
    // Denied is stricter than held by anybody; a narrower scope is not; another rule may demand it instead.
    let deny = rules("@id(\"other\") forbid (principal, action in Action::\"payment\", resource);");
    prove(deny.path(), &than, 0);
    let renamed = rules(
        "@id(\"a\") @outcome(\"hold\") @approver(\"cfo\") @quorum(\"2\") @expires(\"1h\")
           forbid (principal, action in Action::\"payment\", resource) when { principal.signed };
         @id(\"b\") @outcome(\"hold\") @approver(\"cfo\") @quorum(\"2\") @expires(\"1h\")
           forbid (principal, action == Action::\"bank/pay\", resource) unless { principal.signed };",
    );
    prove(renamed.path(), &than, 0);
    prove(old.path(), &["--equal", renamed.path().to_str().unwrap()], 0);
    prove(deny.path(), &["--equal", old.path().to_str().unwrap()], 1);
    let narrower = rules(
        "@id(\"h\") @outcome(\"hold\") @approver(\"cfo\") @quorum(\"2\") @expires(\"1h\")
           forbid (principal, action in Action::\"payment\", resource) when { context.args has to };",
    );
    assert!(confirmed(narrower.path(), &prove(narrower.path(), &than, 1)) > 0);
}

/// What has other facts by the other bundle is not compared, and says so.
#[test]
fn bundles_are_compared_where_facts_are_the_same() {
    if !has_solver() {
        return;
    }
    let rule = "@id(\"h\") @outcome(\"hold\") forbid (principal, action in Action::\"payment\", resource);";
    let old = rules(rule);
    let than = ["--no-more-permissive-than", old.path().to_str().unwrap()];
    let with =
        |tools: &str| Written::of(&[("rules.cedar", &format!("{PERMIT}{rule}")), ("tools.json", tools)]);
    // Out of the group: milder. Into it: stricter. The groups are each bundle's own.
    let out = TOOLS.replace("\"payment\", \"external\"", "\"external\"");
    let out = with(&out.replace("[\"read\"]", "[\"read\", \"payment\"]"));
    assert_eq!(prove(out.path(), &than, 1)["proofs"][0]["findings"][0]["tool"], "bank/pay");
    prove(with(&TOOLS.replace("[\"read\"]", "[\"read\", \"payment\"]")).path(), &than, 0);
    let labelled = with(&TOOLS.replace("\"iban\"", "\"account\""));
    assert_eq!(prove(labelled.path(), &than, 2)["proofs"][0]["findings"][0]["tool"], "bank/pay");
    let fewer = with(&TOOLS.replace(
        "{\"server\": \"bank\", \"name\": \"look\", \"groups\": [\"read\"], \"destinations\": []},",
        "",
    ));
    prove(fewer.path(), &than, 0);
    let more = prove(old.path(), &["--no-more-permissive-than", fewer.path().to_str().unwrap()], 1);
    let finding = &more["proofs"][0]["findings"][0];
    assert_eq!(
        (&finding["tool"], &finding["counterexample"]["outcome"]),
        (&json!("bank/look"), &json!("allow"))
    );
}

/// A rule of the old bundle that fails denies; one that is gone does not.
#[test]
fn a_rule_that_failed_is_not_taken_for_one_that_allowed() {
    if !has_solver() {
        return;
    }
    let failing = "@id(\"fails\") forbid (principal, action == Action::\"bank/pay\", resource)
        when { context.args has n && context.args.n * 9223372036854775807 == 7 };";
    let (old, new) = (rules(failing), rules(""));
    let than = ["--no-more-permissive-than", old.path().to_str().unwrap()];
    prove(new.path(), &than, 2);
    prove(old.path(), &than, 0);
}

#[test]
fn the_diff_says_what_the_solver_says() {
    if !has_solver() {
        return;
    }
    let old = rules(
        "@id(\"f\") forbid (principal, action in Action::\"payment\", resource) when { context.args has to };",
    );
    let diff = |new: &Written| -> Value {
        let [old, new] = [old.path(), new.path()].map(|path| path.to_str().unwrap());
        let (code, stdout, stderr) = foreseal(&["policy", "diff", old, new, "--prove", "--json"]);
        assert_eq!(code, 0, "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let schema = std::fs::read(root("schemas/policy.diff.schema.json")).unwrap();
        jsonschema::validate(&serde_json::from_slice(&schema).unwrap(), &report).unwrap();
        report
    };
    for (conditions, matches, direction, answer) in [
        ("when { context.args has to && principal.signed }", "fewer", "weakening", "refuted"),
        ("when { context.args has to || principal.signed }", "more", "tightening", "proven"),
        ("unless { !(context.args has to) }", "same", "neutral", "proven"),
        ("when { context.args has amount }", "other", "weakening", "refuted"),
    ] {
        let new = rules(&format!(
            "@id(\"f\") forbid (principal, action in Action::\"payment\", resource) {conditions};"
        ));
        let report = diff(&new);
        let change = &report["changes"][0];
        assert_eq!(
            (&change["matches"], &change["direction"]),
            (&json!(matches), &json!(direction)),
            "{report}"
        );
        assert_eq!(report["proof"]["answer"], answer, "{report}");
    }
}

/// All that a handed-out bundle shows, as text.
fn handed_out(home: &Home, server: &Server, to: u64) -> String {
    let out = home.path("case.zip");
    let range = ["--from", "0", "--to", &to.to_string(), "--reveal", "all", "--out", out.to_str().unwrap()];
    let mut export = process::foreseal();
    export
        .arg("export")
        .args(range)
        .env("FORESEAL_URL", server.url())
        .env("FORESEAL_TOKEN", home.admin_token());
    let ended = process::run(&mut export);
    assert!(out.is_file(), "{}", ended.stderr);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(out).unwrap()).unwrap();
    let mut text = Vec::new();
    for i in 0..archive.len() {
        std::io::Read::read_to_end(&mut archive.by_index(i).unwrap(), &mut text).unwrap();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A bundle that requires proofs becomes active where they are proven then and there, and what was proven is sealed with
/// it; otherwise the active one stays.
#[test]
fn required_proofs_are_made_before_a_bundle_becomes_active() {
    if !has_solver() {
        return;
    }
    let files = |rules: &str| {
        json!({"files": {
            "rules.cedar": format!("{PERMIT}{rules}"), "tools.json": TOOLS,
            "manifest.json": r#"{"name": "n", "version": "1", "proofs": "required"}"#,
            "proofs.json": r#"{"proofs": [{"id": "no-payments", "never": "action in Action::\"payment\"", "at_least": "deny"},
                                           {"id": "sound", "never_errors": true}]}"#,
        }})
        .to_string()
    };
    let holds = "@id(\"no\") forbid (principal, action in Action::\"payment\", resource);";
    let holed = "@id(\"no\") forbid (principal, action in Action::\"payment\", resource) unless { principal.signed };";
    let home = Home::with_ledger();
    let server = home.serve();
    let operator = server.operator();
    let before = operator.get("/v1/policies").json();
    let refused = operator.post("/v1/policies", files(holed));
    assert_eq!((refused.status, refused.code().as_str()), (409, "not_proven"), "{}", refused.text());
    assert!(
        refused.text().contains("no-payments") && refused.text().contains("bank/pay"),
        "{}",
        refused.text()
    );
    assert_eq!(operator.get("/v1/policies").json()["digest"], before["digest"], "the active bundle stays");
    let made = operator.post("/v1/policies", files(holds));
    assert_eq!(made.status, 201, "{}", made.text());
    let index = made.json()["index"].as_u64().unwrap();
    let sealed = handed_out(&home, &server, index + 1);
    for said in ["queries_digest", "no-payments", "cvc5 ", "always denied: action in Action::"] {
        assert!(sealed.contains(said), "{said:?} is not sealed");
    }
    server.stop().expect(0);

    // Without a solver nothing is proven. What is active stays active over a restart: it was proven.
    let mut command = home.serve_command(&[]);
    command.env("FORESEAL_SOLVER", "/nowhere/cvc5");
    let server = Server::start(command, &home.admin_token());
    let operator = server.operator();
    assert_eq!(operator.get("/v1/policies").json()["digest"], made.json()["digest"]);
    let again = operator.post("/v1/policies", files(&format!("{holds}\n")));
    assert_eq!((again.status, again.code().as_str()), (409, "not_proven"), "{}", again.text());
    assert!(again.text().contains("found no solver"), "{}", again.text());
    server.stop().expect(0);
}
