//! What `verify` and `audit` make of true, false, foreign and insufficient evidence: exit codes 0, 1, 2, 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::note::{KeyName, SignedNote, WitnessSigner};
use serde_json::{Value, json};

use super::agents::{allowed, denied, entry_of, held};
use super::process::{Ended, Home, foreseal, run};

/// `verify receipt --json`, with the trust policy as this text.
fn verify(home: &Home, answer: &[u8], trust: Option<&str>, more: &[&str]) -> Ended {
    let mut command = foreseal();
    command.args(["verify", "receipt", "--json"]).arg(home.file("evidence", answer)).args(more);
    if let Some(trust) = trust {
        command.arg("--trust").arg(home.file("trust", trust));
    }
    run(&mut command)
}

/// Other base64 of the same length: its first character, which carries six whole bits, is another one.
fn other_base64(text: &str) -> String {
    let first = if text.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &text[1..])
}

/// One change to an answer, and the exit code that it must have.
struct Change {
    what: &'static str,
    code: i32,
    apply: fn(&mut Value),
}

fn replace_line(text: &Value, number: usize, by: impl FnOnce(&str) -> String) -> Value {
    let mut lines: Vec<String> = text.as_str().unwrap().split('\n').map(str::to_owned).collect();
    lines[number] = by(&lines[number]);
    json!(lines.join("\n"))
}

const CHANGES: &[Change] = &[
    Change { what: "nothing", code: 0, apply: |_| {} },
    Change { what: "id", code: 1, apply: |a| a["id"] = json!("0199c2b0-0000-7000-8000-000000000001") },
    Change { what: "index", code: 1, apply: |a| a["index"] = json!(a["index"].as_u64().unwrap() - 1) },
    Change { what: "outcome", code: 1, apply: |a| a["decision"]["outcome"] = json!("allow") },
    Change {
        what: "a call's outcome",
        code: 1,
        apply: |a| a["decision"]["calls"][0]["outcome"] = json!("allow"),
    },
    Change {
        what: "expiry",
        code: 1,
        apply: |a| a["decision"]["expires"] = json!("2099-01-01T00:00:00.000Z"),
    },
    Change {
        what: "expiry left out",
        code: 1,
        apply: |a| drop(a["decision"].as_object_mut().unwrap().remove("expires")),
    },
    Change {
        what: "a call left out",
        code: 1,
        apply: |a| drop(a["decision"]["calls"].as_array_mut().unwrap().pop()),
    },
    Change {
        what: "a call more",
        code: 1,
        apply: |a| {
            let calls = a["decision"]["calls"].as_array_mut().unwrap();
            calls.push(calls[0].clone());
        },
    },
    Change {
        what: "a bit of the entry",
        code: 1,
        apply: |a| {
            let mut entry = entry_of(a);
            entry[40] ^= 1;
            a["entry"] = json!(STANDARD.encode(entry));
        },
    },
    Change { what: "entry that is no JSON", code: 1, apply: |a| a["entry"] = json!("AAAA") },
    Change { what: "entry that is empty", code: 1, apply: |a| a["entry"] = json!("") },
    Change { what: "entry that is no base64", code: 2, apply: |a| a["entry"] = json!("~") },
    Change {
        what: "receipt's index",
        code: 1,
        apply: |a| a["receipt"] = replace_line(&a["receipt"], 1, |_| "index 1".into()),
    },
    Change {
        what: "index beyond the log",
        code: 1,
        apply: |a| a["receipt"] = replace_line(&a["receipt"], 1, |_| "index 999".into()),
    },
    Change {
        what: "a hash of the path",
        code: 1,
        apply: |a| a["receipt"] = replace_line(&a["receipt"], 2, other_base64),
    },
    Change {
        what: "a hash of the path left out",
        code: 1,
        apply: |a| {
            a["receipt"] = json!(
                a["receipt"]
                    .as_str()
                    .unwrap()
                    .lines()
                    .enumerate()
                    .filter(|(i, _)| *i != 2)
                    .map(|(_, l)| format!("{l}\n"))
                    .collect::<String>()
            );
        },
    },
    Change {
        what: "checkpoint's origin",
        code: 2,
        apply: |a| {
            a["receipt"] =
                json!(a["receipt"].as_str().unwrap().replace("example.com/log", "example.com/other"));
        },
    },
    Change {
        what: "checkpoint's text",
        code: 1,
        apply: |a| a["receipt"] = json!(a["receipt"].as_str().unwrap().replace("\n\n—", "\nmore\n\n—")),
    },
    Change {
        what: "checkpoint's signature",
        code: 1,
        apply: |a| {
            let receipt = a["receipt"].as_str().unwrap();
            let (text, signature) = receipt.trim_end().rsplit_once(' ').unwrap();
            let mut bytes = STANDARD.decode(signature).unwrap();
            bytes[20] ^= 1;
            a["receipt"] = json!(format!("{text} {}\n", STANDARD.encode(bytes)));
        },
    },
    Change {
        what: "checkpoint's key id",
        code: 2,
        apply: |a| {
            let receipt = a["receipt"].as_str().unwrap();
            let (text, signature) = receipt.trim_end().rsplit_once(' ').unwrap();
            a["receipt"] = json!(format!("{text} {}\n", other_base64(signature)));
        },
    },
    Change { what: "receipt that is none", code: 2, apply: |a| a["receipt"] = json!("nothing") },
];

#[test]
fn every_changed_field_of_an_answer_has_the_exit_code_of_what_it_proves() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    bot.seal(&allowed("bot"));
    let intent = held("bot");
    let answer = bot.seal(&intent);
    bot.seal(&denied("bot"));
    server.stop();
    let trust = home.trust_text();
    for Change { what, code, apply } in CHANGES {
        let mut changed = answer.clone();
        apply(&mut changed);
        let ended = verify(&home, changed.to_string().as_bytes(), Some(&trust), &[]);
        assert_eq!(ended.code, Some(*code), "{what}:\n{}{}", ended.stdout, ended.stderr);
        // What is no answer at all has no report: it is said why not, and what to do.
        let said = ended.json();
        if *code == 2 && said.get("verdict").is_none() {
            assert!(ended.stderr.contains("hint: "), "{what}: {}", ended.stderr);
            assert!(said["hint"].is_string(), "{what}: {said}");
            continue;
        }
        let verdict = ["valid", "invalid", "undecided"][usize::try_from(*code).unwrap()];
        assert_eq!(said["verdict"], verdict, "{what}");
    }
    // Reasons are in the evaluation and not in the leaf: the report says so rather than believe them.
    let mut changed = answer.clone();
    changed["decision"]["reasons"][0]["message"] = json!("because I say so");
    let report = verify(&home, changed.to_string().as_bytes(), Some(&trust), &[]).expect(0).json();
    let unchecked = report["not_checked"].as_array().unwrap();
    assert!(unchecked.iter().any(|what| what.as_str().unwrap().starts_with("reasons and conditions")));

    what_was_declared(&home, &intent, &answer, &trust);
    bare_receipts(&home, &answer, &trust);
    whom_to_trust(&home, &answer, &trust);
}

/// `--intent`: the exact body, against the commitment in the leaf.
fn what_was_declared(home: &Home, intent: &Value, answer: &Value, trust: &str) {
    let answer_bytes = answer.to_string();
    let against = |body: &Value, answer: &str| {
        let file = home.file("intent.json", body.to_string());
        verify(home, answer.as_bytes(), Some(trust), &["--intent", file.to_str().unwrap()])
    };
    let names: Vec<String> = against(intent, &answer_bytes).expect(0).json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names[names.len() - 2..],
        ["declared document is the sealed one", "sealed calls are the declared calls"]
    );
    for pointer in
        ["/goal", "/session", "/calls/0/tool", "/calls/0/args/destination", "/observations/0/content"]
    {
        let mut other = intent.clone();
        *other.pointer_mut(pointer).unwrap() = json!("another");
        against(&other, &answer_bytes).expect(1);
    }
    let mut reseeded = answer.clone();
    reseeded["opening"]["declared"]["seed"] =
        json!(other_base64(answer["opening"]["declared"]["seed"].as_str().unwrap()));
    against(intent, &reseeded.to_string()).expect(1);
    reseeded["opening"]["declared"]["seed"] = json!("");
    against(intent, &reseeded.to_string()).expect(2);
}

/// A tlog-proof alone needs the leaf beside it.
fn bare_receipts(home: &Home, answer: &Value, trust: &str) {
    let receipt = answer["receipt"].as_str().unwrap().as_bytes();
    let leaf = home.file("leaf", entry_of(answer));
    let leaf = leaf.to_str().unwrap();
    verify(home, receipt, Some(trust), &["--entry", leaf]).expect(0);
    verify(home, answer.to_string().as_bytes(), Some(trust), &["--entry", leaf]).expect(0);
    let missing = verify(home, receipt, Some(trust), &[]).expect(2);
    assert!(missing.stderr.contains("--entry FILE"), "{}", missing.stderr);
    let other = home.file("other-leaf", "{}");
    let other = other.to_str().unwrap();
    verify(home, receipt, Some(trust), &["--entry", other]).expect(1);
    // The leaf beside an answer is the one that counts.
    verify(home, answer.to_string().as_bytes(), Some(trust), &["--entry", other]).expect(1);
    let body = home.file("intent.json", held("bot").to_string());
    let sealed_elsewhere =
        verify(home, receipt, Some(trust), &["--entry", leaf, "--intent", body.to_str().unwrap()]);
    sealed_elsewhere.expect(2);
    verify(home, receipt, Some(trust), &["--entry", home.path("absent").to_str().unwrap()]).expect(2);
    verify(home, b"", Some(trust), &[]).expect(2);
    verify(home, b"{}", Some(trust), &[]).expect(2);
    verify(home, b"\xff\xfe", Some(trust), &[]).expect(2);
    // Read twice, an answer with a member twice would say two things.
    let doubled = answer.to_string().replacen("{", "{\"index\":0,", 1);
    verify(home, doubled.as_bytes(), Some(trust), &[]).expect(2);
}

/// Keys come from the verifier, never from the evidence; witnesses are asked for by the verifier.
fn whom_to_trust(home: &Home, answer: &Value, trust: &str) {
    let bytes = answer.to_string();
    let without = verify(home, bytes.as_bytes(), None, &[]).expect(2).json();
    assert!(without["hint"].as_str().unwrap().contains("--trust FILE"), "{without}");
    let other = Home::with_ledger();
    verify(home, bytes.as_bytes(), Some(&other.trust_text()), &[]).expect(2);
    for broken in ["", "quorum none\n", "log nonsense\nquorum none\n", &trust.replace("quorum none\n", "")] {
        assert_eq!(verify(home, bytes.as_bytes(), Some(broken), &[]).code, Some(2), "{broken:?}");
    }

    let witness = WitnessSigner::from_seed(KeyName::parse("witness.example/w1").unwrap(), &[7; 32]);
    let second = WitnessSigner::from_seed(KeyName::parse("witness.example/w2").unwrap(), &[8; 32]);
    let log = trust.lines().next().unwrap();
    let witnesses = format!("{log}\nwitness w1 {}\nwitness w2 {}\n", witness.verifier(), second.verifier());
    let asks = |quorum: &str| match quorum {
        "w1" | "w2" => format!("{witnesses}quorum {quorum}\n"),
        threshold => format!("{witnesses}group g {threshold} w1 w2\nquorum g\n"),
    };
    let unmet = verify(home, bytes.as_bytes(), Some(&asks("any")), &[]).expect(3).json();
    assert_eq!(unmet["verdict"], "below_policy");
    assert!(unmet["not_checked"].to_string().contains("split view not excluded"), "{unmet}");

    let (proof, note) = answer["receipt"].as_str().unwrap().split_once("\n\n").unwrap();
    let mut note: SignedNote = note.parse().unwrap();
    note.signatures.push(witness.cosign(&note.text, 1_760_000_000).unwrap());
    let mut cosigned = answer.clone();
    cosigned["receipt"] = json!(format!("{proof}\n\n{note}"));
    let cosigned = cosigned.to_string();
    let met = verify(home, cosigned.as_bytes(), Some(&asks("any")), &[]).expect(0).json();
    assert!(!met["not_checked"].to_string().contains("split view"), "{met}");
    verify(home, cosigned.as_bytes(), Some(&asks("w1")), &[]).expect(0);
    verify(home, cosigned.as_bytes(), Some(&asks("w2")), &[]).expect(3);
    verify(home, cosigned.as_bytes(), Some(&asks("all")), &[]).expect(3);
    // Whoever asks for nobody is told that a split view is not excluded, whoever cosigned.
    let unasked = verify(home, cosigned.as_bytes(), Some(trust), &[]).expect(0).json();
    assert!(unasked["not_checked"].to_string().contains("split view not excluded"), "{unasked}");
    // A cosignature that a trusted witness did not make is proof that somebody lies.
    note.signatures.last_mut().unwrap().bytes[30] ^= 1;
    let mut forged = answer.clone();
    forged["receipt"] = json!(format!("{proof}\n\n{note}"));
    verify(home, forged.to_string().as_bytes(), Some(&asks("any")), &[]).expect(1);
}

#[test]
fn promise_11_every_report_says_what_it_did_not_establish() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let answer = bot.seal(&allowed("bot"));
    let old = home.file("old", bot.get("/checkpoint").body);
    bot.seal(&denied("bot"));
    let new = home.file("new", bot.get("/checkpoint").body);
    let receipt = home.file("answer.json", answer.to_string());
    let trusting = || {
        let mut command = foreseal();
        command.env("FORESEAL_TRUST", home.trust()).env("FORESEAL_TOKEN", home.admin_token());
        command
    };
    let reports = [
        run(trusting().args(["verify", "receipt", "--json"]).arg(&receipt)),
        run(trusting()
            .args(["verify", "consistency", "--json", "--server", &server.url()])
            .arg(&old)
            .arg(&new)),
        run(trusting().args(["audit", "--json", &server.url()])),
    ];
    for report in reports {
        let report = report.expect(0).json();
        assert_eq!(report["schema"], "foreseal.report.v1");
        for check in report["checks"].as_array().unwrap() {
            assert_eq!(check["outcome"], "passed");
            assert!(check["name"].is_string() && check["detail"].is_string());
        }
        let unchecked = report["not_checked"].as_array().unwrap();
        assert!(unchecked.iter().any(|what| what.as_str().unwrap().contains("split view")), "{report}");
    }
}

#[test]
fn promise_5_two_heads_are_one_history_or_the_verifier_says_that_the_log_has_split() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut heads = vec![home.file("head-0", bot.get("/checkpoint").body)];
    for number in 1..=3 {
        for _ in 0..number {
            bot.seal(&denied("bot"));
        }
        heads.push(home.file(&format!("head-{number}"), bot.get("/checkpoint").body));
    }
    let url = server.url();
    let consistency = |old: &std::path::Path, new: &std::path::Path, source: &[&str]| {
        let mut command = foreseal();
        command
            .args(["verify", "consistency"])
            .arg(old)
            .arg(new)
            .args(source)
            .env("FORESEAL_TOKEN", home.admin_token());
        run(command.arg("--trust").arg(home.trust()))
    };
    for (at, old) in heads.iter().enumerate() {
        for new in &heads[at..] {
            consistency(old, new, &["--server", &url]).expect(0);
        }
    }
    // A newer head that is smaller is no extension: a rollback, unless the two were swapped.
    let swapped = consistency(&heads[3], &heads[0], &["--server", &url]).expect(2);
    assert!(swapped.stdout.contains("swapped, or rolled back"), "{}", swapped.stdout);
    // Without a proof to be had, nothing is decided; without trust neither.
    consistency(&heads[0], &heads[1], &[]).expect(2);
    consistency(&heads[0], &heads[1], &["--server", "http://127.0.0.1:1"]).expect(2);
    let data = home.data();
    let data = ["--data", data.to_str().unwrap()];
    let mut untrusting = foreseal();
    run(untrusting.args(["verify", "consistency"]).args(&heads[..2]).args(data)).expect(2);
    server.stop();
    consistency(&heads[0], &heads[3], &data).expect(0);

    // The same key over another history: a copy of the keys, taken before the log had grown.
    let other = fork_of(&home);
    let small = consistency(&heads[1], &other, &data).expect(1);
    assert!(small.stdout.contains("INVALID"), "{}", small.stdout);
    let signature_broken = std::fs::read_to_string(&heads[2]).unwrap().replace("\n\n", "\nx\n\n");
    consistency(&heads[0], &home.file("broken", signature_broken), &data).expect(1);
    consistency(&heads[0], &home.file("nothing", ""), &data).expect(2);
}

/// A head of size 6 of this ledger's name and key, over another history than the ledger's own first 6 leaves.
fn fork_of(home: &Home) -> std::path::PathBuf {
    use foreseal::merkle::Hash;
    use foreseal::note::{Checkpoint, LogSigner};
    let secret = std::fs::read_to_string(home.keys().join("log.key")).unwrap();
    let signer = LogSigner::from_secret_text(secret.trim()).unwrap();
    let origin = signer.verifier().name().to_string();
    let forged = Checkpoint { origin, size: 6, root: Hash([9; 32]), extensions: Vec::new() };
    home.file("fork", signer.sign_checkpoint(&forged).unwrap())
}
