//! `kill -9` under load, again and again: what was acknowledged is there, what was not can be sent again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
use foreseal::evidence::{Answer, Verdict};
use foreseal::merkle::{Frontier, Hash, leaf_hash};
use foreseal::note::TrustPolicy;
use serde_json::{Value, json};

use super::agents::{allowed, denied, entry_of, held, leaves};
use super::http::{Client, Request};
use super::process::{Home, Server, foreseal, independent, run};

const CYCLES: usize = 6;
const SUBMITTERS: usize = 8;

/// A number below `bound`; which one does not matter, and it is another one in each run.
fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % bound
}

#[test]
fn promise_1_whoever_has_an_answer_has_a_leaf_that_outlives_the_process() {
    let home = Home::with_ledger();
    let mut server = home.serve();
    let token = server.agent("bot").token.unwrap();
    for _ in 0..4 {
        let answer = server.client(&token).seal(&allowed("bot"));
        server.kill();
        server = home.serve();
        let index = usize::try_from(answer["index"].as_u64().unwrap()).unwrap();
        assert_eq!(leaves(&server.operator())[index], entry_of(&answer));
        let receipt = home.file("answer.json", answer.to_string());
        run(foreseal().args(["verify", "receipt"]).arg(receipt).arg("--trust").arg(home.trust())).expect(0);
    }
}

/// What submitters and watchers know after some cycles.
#[derive(Default)]
struct Known {
    /// Body and answer by id.
    acknowledged: BTreeMap<String, (String, Vec<u8>)>,
    /// Bodies that had no answer, by id.
    unacknowledged: BTreeMap<String, String>,
    /// Every checkpoint ever served.
    checkpoints: BTreeSet<String>,
}

impl Known {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unacknowledged.extend(other.unacknowledged);
        self.checkpoints.extend(other.checkpoints);
    }

    fn acknowledge(&mut self, id: String, body: String, answer: Vec<u8>) {
        let before = self.acknowledged.insert(id.clone(), (body, answer.clone()));
        assert!(before.is_none_or(|(_, before)| before == answer), "{id} has two answers");
    }
}

/// Small and large, allowed, held and denied.
fn any_intent() -> Value {
    let mut intent = [allowed, held, denied][random_below(3) as usize]("bot");
    if random_below(4) == 0 {
        intent["reasoning"] = json!(["because ".repeat(random_below(4_000) as usize)]);
    }
    intent
}

/// Submits until the service is gone.
fn submit_until_killed(bot: &Client) -> Known {
    let mut known = Known::default();
    loop {
        let intent = any_intent();
        let (id, body) = (intent["id"].as_str().unwrap().to_owned(), intent.to_string());
        let request = Request::post("/v1/intents", body.clone());
        match bot.try_send(&request) {
            Ok(reply) if reply.status == 201 => {
                known.acknowledge(id.clone(), body.clone(), reply.body);
                // Now and then somebody asks again, while others go on.
                if random_below(8) == 0
                    && let Ok(again) = bot.try_send(&request)
                {
                    assert_eq!(again.status, 201, "{}", again.text());
                    known.acknowledge(id, body, again.body);
                }
            }
            Ok(reply) => panic!("{}: {}", reply.status, reply.text()),
            Err(_) => {
                known.unacknowledged.insert(id, body);
                return known;
            }
        }
    }
}

fn watch_checkpoints(bot: &Client, stop: &AtomicBool) -> Known {
    let mut known = Known::default();
    while !stop.load(Ordering::Relaxed) {
        if let Ok(reply) = bot.try_send(&Request::get("/checkpoint"))
            && reply.status == 200
        {
            known.checkpoints.insert(reply.text());
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    known
}

/// One life of the service, ended by SIGKILL at some time or other.
fn one_life(server: Server, token: &str) -> Known {
    let bot = server.client(token);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS).map(|_| scope.spawn(|| submit_until_killed(&bot))).collect();
        let watcher = scope.spawn(|| watch_checkpoints(&bot, &stop));
        std::thread::sleep(Duration::from_millis(100 + random_below(500)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        let mut known = watcher.join().unwrap();
        submitters.into_iter().for_each(|submitter| known.add(submitter.join().unwrap()));
        known
    })
}

/// What had no answer is sent again, and has one then.
fn resubmit(known: &mut Known, bot: &Client) {
    for (id, body) in std::mem::take(&mut known.unacknowledged) {
        let reply = bot.post("/v1/intents", body.clone());
        assert_eq!(reply.status, 201, "{}", reply.text());
        known.acknowledge(id, body, reply.body);
    }
}

#[test]
fn promise_4_nothing_acknowledged_is_lost_by_kill_9_and_promise_5_all_heads_are_one_history() {
    let home = Home::with_ledger();
    let mut server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let mut known = Known::default();
    for _ in 0..CYCLES {
        known.add(one_life(server, &token));
        server = home.serve();
        resubmit(&mut known, &server.client(&token));
    }
    let bot = server.client(&token);
    assert!(known.acknowledged.len() > CYCLES * SUBMITTERS, "only {} answers", known.acknowledged.len());
    for (body, answer) in known.acknowledged.values() {
        let again = bot.post("/v1/intents", body.clone());
        assert_eq!((again.status, &again.body), (201, answer), "{}", again.text());
    }
    known.checkpoints.insert(bot.get("/checkpoint").text());

    every_answer_is_one_leaf(&known, &leaves(&bot));
    every_receipt_verifies(&known, &home);
    every_checkpoint_is_of_this_history(&known, &leaves(&bot), &home);
    the_independent_verifier_agrees(&known, &home, &server);

    let mut audit = foreseal();
    audit.args(["audit", &server.url(), "--token", &token, "--trust"]).arg(home.trust());
    run(&mut audit).expect(0);
    server.stop();
    run(foreseal().arg("audit").arg(home.data()).arg("--trust").arg(home.trust())).expect(0);
    run(foreseal().args(["fsck", "--data"]).arg(home.data())).expect(0);
}

fn every_answer_is_one_leaf(known: &Known, leaves: &[Vec<u8>]) {
    let mut indexes: HashMap<String, usize> = HashMap::new();
    for (index, leaf) in leaves.iter().enumerate() {
        let leaf: Value = serde_json::from_slice(leaf).unwrap();
        if leaf["type"] == "intent" {
            let id = leaf["id"].as_str().unwrap().to_owned();
            assert_eq!(indexes.insert(id, index), None, "sealed twice: {leaf}");
        }
    }
    for (id, (_, answer)) in &known.acknowledged {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        let index = *indexes.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is not in the log"));
        assert_eq!(answer["index"], json!(index));
        assert_eq!(leaves[index], entry_of(&answer));
    }
    assert_eq!(indexes.len(), known.acknowledged.len(), "something was sealed that nobody submitted");
}

fn every_receipt_verifies(known: &Known, home: &Home) {
    let trust = TrustPolicy::parse(&home.trust_text()).unwrap();
    for (body, answer) in known.acknowledged.values() {
        let value: Value = serde_json::from_slice(answer).unwrap();
        let answer: Answer = serde_json::from_slice(answer).unwrap();
        let evidence = ReceiptEvidence {
            receipt: &answer.receipt,
            entry: &entry_of(&value),
            answer: Some(&answer),
            intent: Some(body.as_bytes()),
        };
        let report = verify_receipt(&evidence, Some(&trust));
        assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
    }
}

/// Each one's root is that of the final log's first leaves: so any two of them are consistent.
fn every_checkpoint_is_of_this_history(known: &Known, leaves: &[Vec<u8>], home: &Home) {
    let trust = TrustPolicy::parse(&home.trust_text()).unwrap();
    let mut frontier = Frontier::new();
    let mut roots: Vec<Hash> = vec![frontier.root()];
    for leaf in leaves {
        frontier.append(leaf_hash(leaf));
        roots.push(frontier.root());
    }
    let in_receipts = known.acknowledged.values().map(|(_, answer)| {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        answer["receipt"].as_str().unwrap().split_once("\n\n").unwrap().1.to_owned()
    });
    for note in known.checkpoints.iter().cloned().chain(in_receipts) {
        let checkpoint = trust.verify(&note).unwrap().checkpoint;
        assert_eq!(
            checkpoint.root,
            roots[usize::try_from(checkpoint.size).unwrap()],
            "size {}",
            checkpoint.size
        );
    }
}

/// Promise 6, by code that shares nothing with ours.
fn the_independent_verifier_agrees(known: &Known, home: &Home, server: &Server) {
    let Some(mut log) = independent("a log, receipts and checkpoints") else { return };
    let bot_token = server.operator().token.unwrap();
    let asking = |command: &mut std::process::Command| {
        run(command.arg("--trust").arg(home.trust()).env("FORESEAL_TOKEN", &bot_token)).expect(0).stdout
    };
    let said = asking(log.args(["log", &server.url()]));
    assert!(said.contains("size"), "{said}");
    let lines = known.acknowledged.values().map(|(body, answer)| {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        format!("{}\n", json!({ "answer": answer, "request": { "body": body } }))
    });
    let answers = home.file("answers.jsonl", lines.collect::<String>());
    let mut receipts = independent("receipts").unwrap();
    let said = asking(receipts.arg("receipts").arg(answers).args(["--log", &server.url()]));
    assert!(said.contains(&format!("{} proven in the log", known.acknowledged.len())), "{said}");
    let notes: String = known.checkpoints.iter().map(|note| format!("{}\n", json!(note))).collect();
    let notes = home.file("checkpoints.jsonl", notes);
    let mut checkpoints = independent("checkpoints").unwrap();
    let said = asking(checkpoints.arg("checkpoints").arg(notes).args(["--log", &server.url()]));
    assert!(said.contains(&format!("{} checkpoints", known.checkpoints.len())), "{said}");
}
