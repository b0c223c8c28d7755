//! Promised: what is known of where a call goes is what docs/grounding.md says, over recorded runs of agents and not only
//! over examples. Nothing is grounded that neither the user wrote nor a tool answered; how many calls have which facts is
//! as tests/vectors/policy/grounding_runs.json says, because facts are sealed and another reading of them is another
//! version; and nothing depends on the order of members.
//!
//! `FORESEAL_BLESS=1` writes the counts again; `FORESEAL_GROUNDING_DUMP=DIR` writes the facts of each call, one a line, to
//! be held against another implementation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]
#![cfg(feature = "server")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use foreseal::policy::provenance::{FingerprintKey, Memory, OutputLabels, Reading, ValueType};
use foreseal::policy::{AgentFacts, Bundle, CallView, DecideInput, Engine, Knowledge, Tool};
use serde_json::{Value, json};

/// Corpus, its registry, and one run in how many is played.
const CORPORA: [(&str, &str, usize); 4] = [
    ("agentdojo", "agentdojo", 4),
    ("agentdyn", "agentdyn", 12),
    ("injecagent", "injecagent", 40),
    ("taubench", "taubench", 2),
];
const COUNTS: &str = "tests/vectors/policy/grounding_runs.json";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The recorded runs, or `None` with a word about it.
fn runs(corpus: &str) -> Option<impl Iterator<Item = Value>> {
    let shared =
        std::env::var_os("FORESEAL_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = shared.join(format!("traces/{corpus}.jsonl.zst"));
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is not there (FORESEAL_SHARED_DATA says where it is)", path.display());
        return None;
    };
    let decoder = ruzstd::decoding::StreamingDecoder::new(file).unwrap();
    Some(BufReader::new(decoder).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn engine(registry: &str) -> Engine {
    let tools = std::fs::read(root().join(format!("tests/registries/{registry}.tools.json"))).unwrap();
    let rule = "@id(\"all\") permit (principal, action, resource);";
    let files = BTreeMap::from([("a.cedar".to_owned(), rule.into()), ("tools.json".to_owned(), tools)]);
    Engine::new(Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

/// The members of all objects the other way round, so far as a reader could see.
fn turned(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(turned).collect(),
        Value::Object(members) => {
            members.iter().rev().map(|(name, value)| (name.clone(), turned(value))).collect()
        }
        other => other.clone(),
    }
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    destinations: String,
    payload: String,
    asked: String,
    links: bool,
    tainted: bool,
    asked_for: bool,
}

/// One session, as it was played.
struct Played<'a> {
    engine: &'a Engine,
    server: &'a str,
    key: FingerprintKey,
    memory: Memory,
    /// All that the user said and that tools answered, letters and digits alone.
    heard: String,
}

/// Letters and digits alone, in lower case: what holds a value in any spelling, and much else.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl<'a> Played<'a> {
    fn new(engine: &'a Engine, server: &'a str, principal: Option<&str>) -> Self {
        let key = FingerprintKey::new(&[9; 32]);
        let mut memory = Memory::default();
        if let Some(principal) = principal {
            memory.principal(&key, principal);
        }
        Self { engine, server, key, memory, heard: principal.map(squeezed).unwrap_or_default() }
    }

    fn user(&mut self, text: &str) {
        self.memory.user_words(&self.key, text);
        self.heard.push_str(&squeezed(text));
    }

    fn tool(&self, name: &str) -> Option<&'a Tool> {
        self.engine.tool(self.server, name)
    }

    fn reading(&self, name: &str, args: &Value) -> Reading {
        let Some(tool) = self.tool(name) else { return Reading::default() };
        self.memory.reading(&self.key, &tool.labels.selectors, &tool.labels.output, args)
    }

    fn context(&self, name: &str, args: &Value) -> Value {
        let call = [CallView::new("c", self.server, name, args)];
        let agent = AgentFacts { name: "a", roles: &[], signed: false };
        let knowledge = Some(Knowledge { memory: &self.memory, key: &self.key });
        let input = DecideInput { knowledge, ..DecideInput::new(agent, &call, 1_800_000_000_000) };
        self.engine.decide(&input).value("/requests/0").unwrap()["context"].take()
    }

    fn facts(&self, name: &str, args: &Value) -> Facts {
        let context = self.context(name, args);
        let grounding = &context["grounding"]["record"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let set =
            |name: &str| -> BTreeSet<String> { serde_json::from_value(grounding[name].clone()).unwrap() };
        assert_eq!(grounding["full"], false, "no recorded run fills a memory");
        Facts {
            destinations: text(&grounding["destinations"]),
            payload: text(&grounding["payload"]),
            asked: text(&context["asked"]),
            links: grounding["untrusted_links"].as_bool().unwrap(),
            tainted: !set("tainted").is_disjoint(&set("ungrounded")),
            asked_for: self.reading(name, args).asked_for,
        }
    }

    fn output(&mut self, name: &str, reading: Reading, text: &str, error: bool) {
        let labels = match self.tool(name) {
            None => OutputLabels { untrusted: true, ..OutputLabels::default() },
            Some(tool) if error => OutputLabels {
                authoritative: Vec::new(),
                author: None,
                place: None,
                ..tool.labels.output.clone()
            },
            Some(tool) => tool.labels.output.clone(),
        };
        self.memory.output(&self.key, &labels, reading, &json!(text));
        self.heard.push_str(&squeezed(text));
    }

    /// What is grounded was heard: by other means than the ones that ground, which would let through much more.
    fn check_heard(&self, name: &str, args: &Value, facts: &Facts) {
        let Some(tool) =
            self.tool(name).filter(|_| facts.destinations == "grounded" || facts.destinations == "record")
        else {
            return;
        };
        for destination in &tool.labels.destinations {
            let name = destination.at.as_str().trim_start_matches('/').split('/').next().unwrap();
            let mut open = vec![&args[name]];
            while let Some(value) = open.pop() {
                match value {
                    Value::Array(items) => open.extend(items),
                    Value::String(text) => {
                        // Of a URL the host alone may be known, and lists stand between brackets and commas.
                        let text = if destination.kind == ValueType::Url {
                            text.split("://").last().unwrap().split(['/', '?', '#']).next().unwrap()
                        } else {
                            text
                        };
                        for part in text.split([',', ';', '\n']) {
                            assert!(self.heard.contains(&squeezed(part)), "{name} {part} in {args}");
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

type Counts = BTreeMap<String, u32>;

/// Plays a run; `each` takes every call's number, name, facts and whether it is an injected one.
fn play(engine: &Engine, principals: &Value, run: &Value, each: &mut impl FnMut(usize, &str, &Facts, bool)) {
    let server = run["suite"].as_str().unwrap();
    let mut played = Played::new(engine, server, principals[server]["id"].as_str());
    played.user(run["user_prompt"].as_str().unwrap());
    let nothing = Vec::new();
    let mut number = 0;
    for step in run["steps"].as_array().unwrap() {
        if let Some(words) = step["user"].as_str() {
            played.user(words);
            continue;
        }
        let calls = step["tool_calls"].as_array().unwrap_or(&nothing);
        let mut readings = Vec::new();
        for call in calls {
            let (name, args) = (call["name"].as_str().unwrap(), &call["args"]);
            let facts = played.facts(name, args);
            assert_eq!(played.facts(name, &turned(args)), facts, "{args}");
            played.check_heard(name, args, &facts);
            readings.push(played.reading(name, args));
            each(number, name, &facts, call["mal"] == true);
            number += 1;
        }
        let results = step["tool_results"].as_array().unwrap_or(&nothing);
        for ((call, reading), result) in calls.iter().zip(readings).zip(results) {
            let error =
                !matches!(&result["error"], Value::Null | Value::Bool(false)) && result["error"] != "";
            let text = result["content"].as_str().unwrap_or("");
            played.output(call["name"].as_str().unwrap(), reading, text, error);
        }
    }
}

#[test]
fn recorded_runs_have_the_facts_that_the_specification_says() {
    let text = std::fs::read_to_string(root().join("tests/registries/principals.json")).unwrap();
    let principals: Value = serde_json::from_str(&text).unwrap();
    let dump = std::env::var_os("FORESEAL_GROUNDING_DUMP").map(PathBuf::from);
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for (corpus, registry, every) in CORPORA {
        let Some(runs) = runs(corpus) else { return };
        let (engine, mut lines) = (engine(registry), String::new());
        let every = if dump.is_some() { 1 } else { every };
        for (run, played) in runs.enumerate().filter(|(run, _)| run % every == 0) {
            play(&engine, &principals, &played, &mut |call, tool, facts, injected| {
                let Facts { destinations, payload, asked, links, tainted, asked_for } = facts;
                let key = format!(
                    "{}, {destinations}{}, payload {payload}{}, asked {asked}",
                    if injected { "injected" } else { "other" },
                    if *tainted { " and tainted" } else { "" },
                    if *links { " with links" } else { "" },
                );
                *counts.entry(corpus).or_default().entry(key).or_default() += 1;
                if dump.is_some() {
                    let line = json!({"run": run, "call": call, "tool": tool, "destinations": destinations, "payload": payload,
                        "asked": asked, "links": links, "tainted": tainted, "asked_for": asked_for});
                    let _ = writeln!(lines, "{line}");
                }
            });
        }
        if let Some(dump) = &dump {
            std::fs::write(dump.join(format!("{corpus}.jsonl")), lines).unwrap();
        }
    }
    if dump.is_some() {
        return;
    }
    let counted = serde_json::to_string_pretty(&counts).unwrap() + "\n";
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(root().join(COUNTS), counted).unwrap();
        return;
    }
    let known: BTreeMap<String, Counts> =
        serde_json::from_str(&std::fs::read_to_string(root().join(COUNTS)).unwrap()).unwrap();
    for (corpus, counts) in &counts {
        let known = &known[*corpus];
        let keys: BTreeSet<&String> = counts.keys().chain(known.keys()).collect();
        for key in keys {
            assert_eq!(counts.get(key), known.get(key), "{corpus}: {key}");
        }
    }
}
