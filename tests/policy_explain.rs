//! Promised: why a call was decided so is said in these words, and every fact that is said to have changed it does: the
//! engine decides so when the intent is put to it with that fact.
#![cfg(feature = "replay")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    missing_docs
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foreseal::policy::provenance::{FingerprintKey, Memory};
use foreseal::policy::{
    AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine, Evaluated, Explanation, Knowledge,
    SessionFacts,
};
use foreseal::record::decision::Outcome;
use foreseal::record::evaluation::document_of;
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const AT: i64 = 1_790_000_000_000;
const TOOLS: &str = r#"{"tools": [
  {"server": "bank", "name": "send_money", "groups": ["external", "payment"],
   "input": {"type": "object", "properties": {
     "to": {"type": "string"}, "amount": {"type": "number"}, "reference": {"type": "string"}}},
   "destinations": [{"at": "/to", "type": "iban"}], "payload": ["/reference"], "irreversible": true},
  {"server": "bank", "name": "balance", "groups": ["read"], "destinations": [],
   "input": {"type": "object", "properties": {"account": {"type": "string"}}}},
  {"server": "mail", "name": "send", "groups": ["external"],
   "input": {"type": "object", "properties": {
     "to": {"type": "array", "items": {"type": "string"}}, "cc": {"type": "array", "items": {"type": "string"}},
     "body": {"type": "string"}}},
   "destinations": [{"at": "/to/*", "type": "email"}, {"at": "/cc/*", "type": "email"}], "payload": ["/body"]},
  {"server": "desk", "name": "wipe", "groups": ["destructive"], "destinations": []}
]}"#;
const RULES: &str = r#"@id("registered-tools")
permit (principal, action in Action::"call", resource) unless { resource.name == "wipe" };

@id("tellers-wipe")
permit (principal, action == Action::"desk/wipe", resource)
when { principal.roles.contains("teller") && principal.signed };

@id("payments-need-finance")
@outcome("hold") @approver("finance_manager") @quorum("2") @expires("15m")
@reason("100 or more: two finance managers decide")
forbid (principal, action == Action::"bank/send_money", resource)
unless { context.args has amount && context.args.amount.lessThan(decimal("100.0")) };

@id("strangers")
@outcome("hold") @approver("support_lead") @reason("the destination is not from the user or a trusted record")
forbid (principal, action == Action::"bank/send_money", resource)
unless { ["grounded", "none"].contains(context.grounding.destinations) };

@id("explain-yourself")
@reason("an intent states its goal and at least one step of reasoning")
forbid (principal, action, resource)
unless { context.claimed.goal_stated && context.claimed.reasoning_steps > 0 };

@id("no-cards")
@reason("card numbers stay inside")
forbid (principal, action in Action::"external", resource)
when { context.signals.classes.contains("pci-card-number") };

@id("known-copies")
@outcome("modify") @transform("drop-ungrounded:/cc/*") @reason("strangers get no copies")
forbid (principal, action == Action::"mail/send", resource);

@id("bulk")
@outcome("defer") @expires("60s")
forbid (principal, action == Action::"bank/balance", resource)
when { context.rate.agent_minute > 30 };
"#;
const OVERFLOWS: &str = "@id(\"all\") permit (principal, action, resource);\n@id(\"overflows\")\nforbid (principal, action, resource)\nwhen { context.time.ms * 9223372036854775807 > 0 };\n";
const LANDLORD: &str = "DE89370400440532013000";

fn files(rules: &str) -> BTreeMap<String, Vec<u8>> {
    let files = [("rules.cedar", rules), ("tools.json", TOOLS)];
    files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into()
}

fn engine(rules: &str) -> Engine {
    Engine::new(Bundle::load(files(rules)).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// A question to the engine.
#[derive(Clone)]
struct Asked {
    server: &'static str,
    tool: &'static str,
    args: Value,
    words: &'static str,
    goal: bool,
    reasoning: u32,
    roles: Vec<String>,
    signed: bool,
    minute: u32,
    after: Vec<String>,
}

fn asked(server: &'static str, tool: &'static str, args: Value) -> Asked {
    Asked {
        server,
        tool,
        args,
        words: "Please pay my landlord DE89370400440532013000",
        goal: true,
        reasoning: 1,
        roles: Vec::new(),
        signed: false,
        minute: 1,
        after: Vec::new(),
    }
}

impl Asked {
    fn decide(&self, engine: &Engine) -> Evaluated {
        let (mut memory, key) = (Memory::default(), FingerprintKey::new(&[7; 32]));
        memory.user_words(&key, self.words);
        let session = SessionFacts { opened: true, turns: 1, ..SessionFacts::UNKNOWN.clone() };
        let calls =
            [CallView { after: &self.after, ..CallView::new("c1", self.server, self.tool, &self.args) }];
        let agent = AgentFacts { name: "desk-bot", roles: &self.roles, signed: self.signed };
        let claimed =
            Claimed { goal_stated: self.goal, reasoning_steps: self.reasoning, ..Claimed::default() };
        let mut input = DecideInput::new(agent, &calls, AT);
        input.claimed = claimed;
        input.session = &session;
        input.rate.agent_minute = self.minute;
        input.knowledge = Some(Knowledge { memory: &memory, key: &key });
        engine.decide(&input)
    }

    fn explain(&self, engine: &Engine) -> Explanation {
        let request = self.decide(engine).value("/requests/0").unwrap();
        engine.explain(&request).unwrap()
    }
}

fn pay(to: &str, amount: &Value) -> Asked {
    asked("bank", "send_money", json!({"to": to, "amount": amount}))
}

/// What is asked, by which rules, and what the case is about.
fn cases() -> Vec<(&'static str, &'static str, Asked)> {
    let stranger = "DE44500105175407324931";
    let mail = |cc: &str| asked("mail", "send", json!({"to": ["a@x.example"], "cc": [cc], "body": "hello"}));
    vec![
        ("a payment that is too large is held", RULES, pay(LANDLORD, &json!(250))),
        ("a payment to a stranger is held", RULES, pay(stranger, &json!(5))),
        ("a large payment to a stranger is held by two rules", RULES, pay(stranger, &json!(250))),
        ("an amount without an exact form is held", RULES, pay(LANDLORD, &json!(12.345_678))),
        (
            "no goal and no reasoning is denied",
            RULES,
            Asked { goal: false, reasoning: 0, ..pay(LANDLORD, &json!(5)) },
        ),
        (
            "a card number is denied",
            RULES,
            asked(
                "bank",
                "send_money",
                json!({"to": LANDLORD, "amount": 5, "reference": "4111 1111 1111 1111"}),
            ),
        ),
        ("no rule permits it", RULES, asked("desk", "wipe", json!({}))),
        (
            "no rule permits it, for one reason",
            RULES,
            Asked { roles: vec!["teller".to_owned()], ..asked("desk", "wipe", json!({})) },
        ),
        ("nobody registered the tool", RULES, asked("crm", "export", json!({"format": "csv"}))),
        ("copies to strangers are dropped", RULES, mail("eve@evil.example")),
        (
            "too many calls in a minute are deferred",
            RULES,
            Asked { minute: 40, ..asked("bank", "balance", json!({})) },
        ),
        ("arguments that are no object", RULES, asked("bank", "balance", json!(["current-1"]))),
        (
            "a call that comes after itself",
            RULES,
            Asked { after: vec!["c1".to_owned()], ..asked("bank", "balance", json!({})) },
        ),
        ("a rule that fails", OVERFLOWS, asked("bank", "balance", json!({}))),
        ("what is allowed", RULES, pay(LANDLORD, &json!(5))),
        ("no policy", "", pay(LANDLORD, &json!(5))),
        (
            "control characters and long texts are shown as such",
            RULES,
            pay(&format!("\u{1b}[31m{}", "x".repeat(200)), &json!("ten\u{7}")),
        ),
    ]
}

/// Files of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("foreseal-explain-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command, over a payload as the service answers it.
fn explain(evaluated: &Evaluated, rules: &str, more: &[&str]) -> Output {
    let folder = Folder::new(&format!("{:?}", std::thread::current().id()).replace(['(', ')'], ""));
    let bundle = folder.0.join("bundle");
    std::fs::create_dir_all(&bundle).unwrap();
    if !rules.is_empty() {
        for (name, bytes) in files(rules) {
            std::fs::write(bundle.join(name), bytes).unwrap();
        }
    }
    let evaluation: Value = serde_json::from_slice(&document_of(&evaluated.evaluation)).unwrap();
    let payload =
        json!({"id": "01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e", "index": 12, "evaluation": evaluation});
    let file = folder.0.join("payload.json");
    std::fs::write(&file, payload.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreseal"));
    command.args(["policy", "explain", "--answer"]).arg(&file).arg("--policies").arg(&bundle).args(more);
    command.output().unwrap()
}

fn bundle_of(rules: &str) -> Engine {
    if rules.is_empty() {
        return Engine::new(Bundle::load(BTreeMap::new()).unwrap()).unwrap();
    }
    engine(rules)
}

/// `FORESEAL_BLESS=1` writes the words, to be read before they are kept.
#[test]
fn each_decision_is_explained_in_these_words() {
    let mut said = String::new();
    for (about, rules, asked) in cases() {
        let evaluated = asked.decide(&bundle_of(rules));
        let output = explain(&evaluated, rules, &[]);
        assert_eq!(output.status.code(), Some(0), "{about}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{about}: {text:?}");
        let call = text.split_once("\n\n").unwrap_or_else(|| panic!("{about}: {text}")).1;
        writeln!(said, "# {about}\n{call}").unwrap();
    }
    let path = Path::new(ROOT).join("tests/policy_explain/explanations.txt");
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap();
    for (now, before) in said.split("# ").zip(known.split("# ")) {
        assert_eq!(now, before);
    }
    assert_eq!(said, known);
}

/// What each says would have changed it is put to the engine, as an intent.
#[test]
fn what_is_said_to_have_changed_it_does() {
    let engine = engine(RULES);
    let words = |asked: &Asked| -> Vec<String> {
        let told = asked.explain(&engine).alternatives;
        let told = told.iter().filter(|other| other.can_be_brought_about);
        told.map(|other| {
            let ifs: Vec<&str> = other.changes.iter().map(|change| change.words.as_str()).collect();
            format!("{}: {}", other.outcome, ifs.join(" and "))
        })
        .collect()
    };
    let decided = |asked: &Asked| asked.decide(&engine).decision.outcome;
    let stranger = "DE44500105175407324931";
    let large = pay(LANDLORD, &json!(250));
    assert_eq!(words(&large), ["allow: amount were just below 100"]);
    assert_eq!(decided(&large), Outcome::Hold);
    assert_eq!(decided(&pay(LANDLORD, &json!(99.9999))), Outcome::Allow);
    assert_eq!(decided(&pay(LANDLORD, &json!(100))), Outcome::Hold);
    let strange = pay(stranger, &json!(5));
    assert_eq!(words(&strange), ["allow: the user had named the destination (\"/to\")"]);
    assert_eq!(decided(&strange), Outcome::Hold);
    let named = Asked { words: "Pay DE44500105175407324931, please", ..strange };
    assert_eq!(decided(&named), Outcome::Allow);
    let silent = Asked { goal: false, reasoning: 0, ..pay(LANDLORD, &json!(5)) };
    assert_eq!(decided(&silent), Outcome::Deny);
    for one in [Asked { goal: true, ..silent.clone() }, Asked { reasoning: 1, ..silent.clone() }] {
        assert_eq!(decided(&one), Outcome::Deny, "neither alone is enough, so a pair is told");
    }
    let pair = &silent.explain(&engine).alternatives[0];
    assert_eq!((pair.changes.len(), pair.outcome), (2, Outcome::Allow));
    let wipe = asked("desk", "wipe", json!({}));
    assert_eq!(
        words(&wipe),
        ["allow: the agent were registered with the role \"teller\" and the agent signed its intent"]
    );
    let teller = Asked { roles: vec!["teller".to_owned()], signed: true, ..wipe };
    assert_eq!(decided(&teller), Outcome::Allow);
    let busy = Asked { minute: 40, ..asked("bank", "balance", json!({})) };
    assert_eq!(words(&busy), ["allow: the agent's calls in the last minute were 30"]);
    assert_eq!(decided(&Asked { minute: 30, ..busy.clone() }), Outcome::Allow);
    assert_eq!(decided(&Asked { minute: 31, ..busy }), Outcome::Defer);
}

/// A tool's labels and who the user is cannot be wished for; another destination is another deed.
#[test]
fn nobody_is_advised_to_say_what_is_not_so() {
    let rules = r#"@id("all") permit (principal, action in Action::"call", resource);
@id("final") forbid (principal, action, resource) when { resource.irreversible };
@id("that-account") forbid (principal, action == Action::"bank/send_money", resource)
when { context.args has to && context.args.to == "DE89370400440532013000" };
"#;
    let told = pay(LANDLORD, &json!(5)).explain(&engine(rules)).alternatives;
    assert!(!told.is_empty());
    let advised: Vec<_> = told.iter().filter(|other| other.can_be_brought_about).collect();
    assert!(advised.is_empty(), "{advised:?}");
}

#[test]
fn a_search_that_was_cut_short_says_so() {
    // Forty arguments must all be others: no one is enough, and no two.
    let names: Vec<String> = (0..40).map(|i| format!("a{i}")).collect();
    let properties: Value = names.iter().map(|name| (name.clone(), json!({"type": "string"}))).collect();
    let tools = json!({"tools": [{"server": "desk", "name": "fill", "groups": [], "destinations": [],
        "input": {"type": "object", "properties": properties}}]});
    let rule = |name: &String| {
        let values = (0..10).map(|i| format!("\"{name}-{i}\"")).collect::<Vec<_>>().join(", ");
        format!(
            "@id(\"{name}\") forbid (principal, action == Action::\"desk/fill\", resource)\nunless {{ context.args has {name} && [{values}].contains(context.args.{name}) }};\n"
        )
    };
    let mut rules = "@id(\"all\") permit (principal, action, resource);\n".to_owned();
    names.iter().for_each(|name| rules.push_str(&rule(name)));
    let files = [("rules.cedar", rules), ("tools.json", tools.to_string())];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into();
    let engine = Engine::new(Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))).unwrap();
    let explained = asked("desk", "fill", json!({})).explain(&engine);
    assert!(explained.alternatives.is_empty());
    assert!(explained.bounded);
    assert_eq!(explained.judged, 4_096);
}

/// What does not follow from what was sealed is not explained away.
#[test]
fn another_verdict_or_another_bundle_is_seen() {
    let large = pay(LANDLORD, &json!(250));
    let evaluated = large.decide(&engine(RULES));
    let mut forged = evaluated.clone();
    let other = pay(LANDLORD, &json!(5)).decide(&engine(RULES));
    let place = forged.evaluation.iter().position(|field| field.path == "/verdicts/0").unwrap();
    forged.evaluation[place].jcs.clone_from(&other.evaluation[place].jcs);
    let output = explain(&forged, RULES, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not follow from the sealed request"));
    let output = explain(&evaluated, OVERFLOWS, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another bundle than this decided"));
}

#[test]
fn the_json_is_what_its_schema_says() {
    let path = Path::new(ROOT).join("schemas/policy.explanation.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (about, rules, asked) in cases() {
        let output = explain(&asked.decide(&bundle_of(rules)), rules, &["--json"]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let faults: Vec<String> = schema.iter_errors(&said).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{about}: {faults:?}\n{said:#}");
    }
}
