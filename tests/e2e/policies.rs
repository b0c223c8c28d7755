//! Promised: a bundle becomes active wholly or not at all; what watches decides nothing; the log alone leads back to an
//! earlier bundle; and a restart finds both as they were.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::policy::{author_key, sign_bundle};
use foreseal::service::ErrorCode as E;
use serde_json::{Value, json};

use super::agents::{allowed, kinds, leaf_of, leaves};
use super::errors::assert_problem;
use super::http::{Client, Reply};
use super::process::{Home, STARTER, Server, foreseal, independent, run};

const ALLOWS: &str = "@id(\"all\") permit (principal, action, resource);\n";
const DENIES: &str = "@id(\"all\") permit (principal, action, resource);\n@id(\"none\") forbid (principal, action, resource);\n";
const SECRET: [u8; 32] = [9; 32];

fn files(rules: &str) -> Value {
    json!({ "rules.cedar": rules })
}

fn post(client: &Client, files: &Value, mode: Option<&str>) -> Reply {
    let mut body = json!({ "files": files });
    if let Some(mode) = mode {
        body["mode"] = mode.into();
    }
    client.post("/v1/policies", body.to_string())
}

#[track_caller]
fn activate(client: &Client, rules: &str, mode: Option<&str>) -> Value {
    let reply = post(client, &files(rules), mode);
    assert!([200, 201].contains(&reply.status), "{}", reply.text());
    reply.json()
}

fn outcome(bot: &Client) -> (String, u64) {
    let answer = bot.seal(&allowed("bot"));
    let text = answer["decision"]["outcome"].as_str().unwrap().to_owned();
    (text, leaf_of(&answer)["policy"].as_u64().unwrap())
}

fn history(client: &Client) -> Vec<Value> {
    client.get("/v1/policies/history").json()["policies"].as_array().unwrap().clone()
}

/// The entries that decide and watch now.
fn now(client: &Client) -> (Option<u64>, Option<u64>) {
    let rows = history(client);
    let the = |member: &str| {
        let mut is: Vec<u64> =
            rows.iter().filter(|row| row[member] == true).map(|row| row["index"].as_u64().unwrap()).collect();
        assert!(is.len() <= 1, "{member}: {is:?}");
        is.pop()
    };
    (the("active"), the("shadow"))
}

fn directory(home: &Home, name: &str, files: &Value) -> PathBuf {
    let path = home.path(name);
    for (file, text) in files.as_object().unwrap() {
        let file = path.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text.as_str().unwrap()).unwrap();
    }
    path
}

/// A bundle signed with a secret, under a name.
fn signed(rules: &str, secret: &[u8; 32]) -> Value {
    let key = STANDARD.encode(author_key(secret));
    let manifest =
        json!({ "name": "house-rules", "version": "3", "author": { "name": "alice", "key": key } })
            .to_string();
    let mut files = json!({ "rules.cedar": rules, "manifest.json": manifest }).as_object().unwrap().clone();
    let bytes = files.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().as_bytes().to_vec()));
    let signature = sign_bundle(&bytes.collect(), secret);
    files.insert("signature.json".to_owned(), String::from_utf8(signature).unwrap().into());
    Value::Object(files)
}

fn command(server: &Server, home: &Home) -> std::process::Command {
    let mut command = foreseal();
    command.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", home.admin_token()).arg("policy");
    command
}

#[test]
fn what_watches_decides_nothing_and_a_restart_keeps_it() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let (operator, bot) = (server.operator(), server.agent("bot"));
    let first = activate(&operator, ALLOWS, None);
    let index = first["index"].as_u64().unwrap();
    assert_eq!(outcome(&bot), ("allow".to_owned(), index));
    // In shadow: nothing is decided by it, and what decides is what was.
    let watching = activate(&operator, DENIES, Some("shadow"));
    let shadow = watching["index"].as_u64();
    assert_eq!((&watching["mode"], now(&operator)), (&json!("shadow"), (Some(index), shadow)));
    assert_eq!(outcome(&bot), ("allow".to_owned(), index));
    assert_eq!(operator.get("/v1/policies").json()["index"], index);
    let size = operator.size();
    assert_eq!(activate(&operator, DENIES, Some("shadow"))["unchanged"], true);
    // What decides cannot watch beside itself.
    let same = activate(&operator, ALLOWS, Some("shadow"));
    assert_eq!((&same["unchanged"], &same["mode"]), (&json!(true), &json!("enforce")));
    assert_eq!(operator.size(), size, "nothing was sealed");
    // Another takes its place.
    let third = activate(&operator, "@id(\"other\") permit (principal, action, resource);", Some("shadow"));
    assert_eq!(now(&operator), (Some(index), third["index"].as_u64()));
    assert_eq!(history(&operator).last().unwrap()["ends"].as_u64(), shadow);
    assert_eq!(server.stop().code, Some(0));

    let server = home.serve_with(&[]);
    let (operator, bot) = (server.operator(), server.client(&bot.token.unwrap()));
    assert_eq!(now(&operator), (Some(index), third["index"].as_u64()), "as before the restart");
    assert_eq!(outcome(&bot), ("allow".to_owned(), index));
    let withdrawn = operator.post("/v1/policies/withdraw", "");
    assert_eq!(withdrawn.status, 201, "{}", withdrawn.text());
    assert_eq!(withdrawn.json()["ends"], third["index"]);
    assert_eq!(now(&operator), (Some(index), None));
    assert_problem(&operator.post("/v1/policies/withdraw", ""), E::NotFound);
    // What watches and then decides watches no longer; what does not, stays.
    activate(&operator, DENIES, Some("shadow"));
    let promoted = activate(&operator, DENIES, Some("enforce"));
    assert_eq!(now(&operator), (promoted["index"].as_u64(), None));
    assert_eq!(outcome(&bot).0, "deny");
    let beside = activate(&operator, "@id(\"x\") permit (principal, action, resource);", Some("shadow"));
    let again = activate(&operator, "// 2\n", None);
    assert_eq!(now(&operator), (again["index"].as_u64(), beside["index"].as_u64()));
    check_from_outside(&home, server);
}

/// The log holds, for us and for whoever shares no code with us.
fn check_from_outside(home: &Home, server: Server) {
    let (out, size) = (home.path("all.bundle"), server.operator().size().to_string());
    let mut export = foreseal();
    export.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", home.admin_token());
    export.args(["export", "--from", "0", "--to", &size, "--trust"]).arg(home.trust());
    run(export.arg("--out").arg(&out)).expect(0);
    let mut verify = foreseal();
    run(verify.args(["verify", "bundle"]).arg(&out).arg("--trust").arg(home.trust())).expect(0);
    if let Some(mut judge) = independent("a bundle with policies of every mode") {
        run(judge.arg("bundle").arg(&out).arg("--trust").arg(home.trust())).expect(0);
    }
    assert_eq!(server.stop().code, Some(0));
    let mut fsck = foreseal();
    run(fsck.arg("fsck").arg("--data").arg(home.data())).expect(0);
    let mut audit = foreseal();
    run(audit.arg("audit").arg(home.data()).arg("--trust").arg(home.trust())).expect(0);
    let tiles = home.path("tiles");
    let mut export = foreseal();
    run(export.args(["export", "tiles"]).arg(&tiles).arg("--data").arg(home.data())).expect(0);
    if let Some(mut judge) = independent("a log with policies of every mode") {
        run(judge.arg("log").arg(&tiles).arg("--trust").arg(home.trust())).expect(0);
    }
}

#[test]
fn the_log_alone_leads_back() {
    let home = Home::with_ledger();
    let first = directory(&home, "first", &files(ALLOWS));
    let server = home.serve_with(&["--policies", first.to_str().unwrap()]);
    let (operator, bot) = (server.operator(), server.agent("bot"));
    let start = now(&operator).0.unwrap();
    let none = operator.post("/v1/policies/rollback", "{}");
    assert_problem(&none, E::NotFound);
    let second = activate(&operator, DENIES, None);
    let digest = second["digest"].as_str().unwrap().to_owned();
    assert_eq!(outcome(&bot).0, "deny");
    std::fs::remove_dir_all(&first).unwrap();
    // To the bundle before, of which no directory is left.
    let back = operator.post("/v1/policies/rollback", "{}");
    assert_eq!(back.status, 201, "{}", back.text());
    let back = back.json();
    assert_eq!((&back["restores"], &back["files"]), (&json!(start), &files(ALLOWS)));
    assert_eq!(outcome(&bot), ("allow".to_owned(), back["index"].as_u64().unwrap()), "a new entry decides");
    // By digest, by index, and to what decides already.
    let to = |to: Value| operator.post("/v1/policies/rollback", json!({ "to": to }).to_string());
    let by_digest = to(json!(digest));
    assert_eq!((by_digest.status, outcome(&bot).0.as_str()), (201, "deny"));
    assert_eq!(by_digest.json()["restores"], second["index"]);
    let by_index = to(json!(start));
    assert_eq!((by_index.status, outcome(&bot).0.as_str()), (201, "allow"));
    let size = operator.size();
    let again = to(json!(start));
    assert_eq!((again.status, &again.json()["unchanged"]), (200, &json!(true)));
    // What is none, and what never decided.
    let watching = activate(&operator, "@id(\"w\") permit (principal, action, resource);", Some("shadow"));
    for (unknown, why) in [
        (json!("0".repeat(64)), "no policy of digest"),
        (json!(0), "leaf 0 is no policy"),
        (json!(9_999), "leaf 9999 is no policy"),
        (watching["index"].clone(), "never decided"),
        (watching["digest"].clone(), "never decided"),
    ] {
        let refused = to(unknown);
        assert_problem(&refused, E::NotFound);
        assert!(refused.json()["detail"].as_str().unwrap().contains(why), "{}", refused.text());
    }
    assert_eq!(operator.size(), size + 1, "only the shadow was sealed");
    // The commands say the same.
    let listed = run(command(&server, &home).arg("list")).expect(0).stdout;
    assert_eq!(listed.lines().count(), history(&operator).len(), "{listed}");
    assert_eq!(listed.lines().filter(|line| line.starts_with('*')).count(), 1, "{listed}");
    assert_eq!(listed.lines().filter(|line| line.starts_with('~')).count(), 1, "{listed}");
    let refused = run(command(&server, &home).args(["rollback", "--to", "abc"])).expect(2);
    assert!(refused.stderr.contains("hint:"), "{}", refused.stderr);
    let rolled = run(command(&server, &home).args(["rollback", "--to", &digest])).expect(0);
    assert_eq!(rolled.stdout.trim(), digest);
    assert_eq!(outcome(&bot).0, "deny");
    check_from_outside(&home, server);
}

#[test]
fn only_what_may_becomes_active_whatever_way_it_comes() {
    let home = Home::with_ledger();
    let unsigned = directory(&home, "unsigned", &files(ALLOWS));
    let server = home.serve_with(&["--policies", unsigned.to_str().unwrap()]);
    let start = now(&server.operator()).0.unwrap();
    assert_eq!(server.stop().code, Some(0));
    let key = STANDARD.encode(author_key(&SECRET));
    let by_alice = directory(&home, "signed", &signed(DENIES, &SECRET));
    // What is sealed may no longer decide: nothing is served until something else does.
    let mut refused = home.serve_command(&["--policy-author", &key]);
    let ended = run(&mut refused).expect(2);
    assert!(ended.stderr.contains("is not signed"), "{}", ended.stderr);
    let mut refused =
        home.serve_command(&["--policy-author", &key, "--policies", unsigned.to_str().unwrap()]);
    assert!(run(&mut refused).expect(2).stderr.contains("is not signed"));
    let mut refused = home.serve_command(&["--policy-author", "nonsense"]);
    assert!(run(&mut refused).expect(2).stderr.contains("no author's public key"));

    let server = home.serve_with(&["--policy-author", &key, "--policies", by_alice.to_str().unwrap()]);
    let (operator, bot) = (server.operator(), server.agent("bot"));
    let active = now(&operator).0.unwrap();
    let row = history(&operator).pop().unwrap();
    assert_eq!(
        (&row["name"], &row["version"], &row["rules"]),
        (&json!("house-rules"), &json!("3"), &json!(2))
    );
    assert!(row["author"].as_str().unwrap().starts_with("alice, signed with "), "{row}");
    let size = operator.size();
    let mut changed = signed(DENIES, &SECRET);
    changed["rules.cedar"] = ALLOWS.into();
    for (files, mode, code) in [
        (files(ALLOWS), None, E::AuthorNotAllowed),
        (files(ALLOWS), Some("shadow"), E::AuthorNotAllowed),
        (signed(ALLOWS, &[8; 32]), None, E::AuthorNotAllowed),
        (changed, None, E::InvalidPolicy),
    ] {
        assert_problem(&post(&operator, &files, mode), code);
    }
    let back = operator.post("/v1/policies/rollback", json!({ "to": start }).to_string());
    assert_problem(&back, E::AuthorNotAllowed);
    assert_eq!(
        (now(&operator).0, operator.size()),
        (Some(active), size),
        "untouched, and nothing was sealed"
    );
    assert_eq!(outcome(&bot), ("deny".to_owned(), active));
    let allowed = post(&operator, &signed(ALLOWS, &SECRET), None);
    assert_eq!((allowed.status, outcome(&bot).0.as_str()), (201, "allow"));
    server.stop().expect(0);
}

#[test]
fn a_manifest_says_whether_a_bundle_watches() {
    let home = Home::with_ledger();
    let mut bundle = files(DENIES);
    bundle["manifest.json"] = json!({ "name": "next", "version": "1", "mode": "shadow" }).to_string().into();
    let watching = directory(&home, "watching", &bundle);
    let server = home.serve();
    let before = now(&server.operator());
    server.stop().expect(0);
    let server = home.serve_with(&["--policies", watching.to_str().unwrap()]);
    let operator = server.operator();
    assert_eq!(now(&operator).0, before.0, "the starter decides");
    let shadow = now(&operator).1;
    assert!(shadow.is_some());
    server.stop().expect(0);
    let server = home.serve_with(&["--policies", watching.to_str().unwrap()]);
    assert_eq!(now(&server.operator()), (before.0, shadow), "nothing is sealed again");
    // The command obeys the manifest, and who types it.
    let said = run(command(&server, &home).arg("activate").arg(&watching)).expect(0);
    assert!(said.stderr.contains("nothing was sealed"), "{}", said.stderr);
    let said = run(command(&server, &home).args(["activate", "--enforce"]).arg(&watching)).expect(0);
    assert!(said.stderr.contains("decides from here on"), "{}", said.stderr);
    let said = run(command(&server, &home).args(["activate", "--shadow"]).arg(STARTER)).expect(0);
    assert!(said.stderr.contains("is in shadow"), "{}", said.stderr);
    let said = run(command(&server, &home).arg("withdraw")).expect(0);
    assert!(said.stderr.contains("nothing is in shadow"), "{}", said.stderr);
    server.stop().expect(0);
}

/// A member that is there says something: `null` is refused, as the interface's description has it.
#[test]
fn null_is_not_taken_for_a_member_that_is_left_out() {
    let home = Home::with_ledger();
    let server = home.serve();
    let operator = server.operator();
    let before = history(&operator);
    let activation = json!({ "files": files(DENIES), "mode": null }).to_string();
    for (path, body) in
        [("/v1/policies", activation), ("/v1/policies/rollback", json!({ "to": null }).to_string())]
    {
        assert_problem(&operator.post(path, body), E::MalformedRequest);
    }
    assert_eq!(history(&operator), before, "nothing became active");
    server.stop().expect(0);
}

/// Two bundles take turns while agents ask: each decision is wholly that of the bundle that its leaf names.
#[test]
fn each_decision_is_wholly_of_one_bundle() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let operator = server.operator();
    let bots: Vec<Client> = (0..4).map(|i| server.agent(&format!("bot-{i}"))).collect();
    activate(&operator, ALLOWS, None);
    let done = AtomicBool::new(false);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = bots
            .iter()
            .enumerate()
            .map(|(i, bot)| {
                let done = &done;
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while !done.load(Ordering::Relaxed) || answers.len() < 10 {
                        answers.push(bot.seal(&allowed(&format!("bot-{i}"))));
                    }
                    answers
                })
            })
            .collect();
        for turn in 0..20 {
            activate(&operator, if turn % 2 == 0 { DENIES } else { ALLOWS }, None);
            if turn % 5 == 0 {
                activate(&operator, &format!("// {turn}\n"), Some("shadow"));
            }
        }
        done.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    let rows = history(&operator);
    let digest_of = |index: u64| rows.iter().find(|row| row["index"] == index).unwrap()["digest"].clone();
    let first = rows[0]["digest"].clone();
    let mut seen = std::collections::BTreeSet::new();
    for answer in &answers {
        let leaf = leaf_of(answer);
        let (policy, index) = (leaf["policy"].as_u64().unwrap(), answer["index"].as_u64().unwrap());
        // The last that decides before it.
        let last =
            rows.iter().rev().find(|row| row["mode"] == "enforce" && row["index"].as_u64().unwrap() < index);
        assert_eq!(last.unwrap()["index"], policy);
        let digest = digest_of(policy);
        let expected = if digest == first { "allow" } else { "deny" };
        assert_eq!(answer["decision"]["outcome"], expected);
        let id = answer["id"].as_str().unwrap();
        let payload = operator.get(format!("/v1/intents/{id}/payload")).json();
        assert_eq!(payload["evaluation"]["engine"]["bundle"], digest);
        seen.insert(expected);
    }
    assert_eq!(seen.len(), 2, "both bundles decided something");
    check_from_outside(&home, server);
}

#[test]
fn why_is_told_by_the_service_and_from_the_directory_alike() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let held = bot.seal(&super::agents::held("bot"));
    let id = held["id"].as_str().unwrap();
    // Another bundle decides by now: it is explained by the one that decided then.
    activate(&server.operator(), ALLOWS, None);
    let told = run(command(&server, &home).args(["explain", id])).expect(0);
    assert!(told.stdout.contains("call c1, bank/send_payment: held"), "{}", told.stdout);
    assert!(told.stdout.contains("it would have been"), "{}", told.stdout);
    let by_agent = run(command(&server, &home).args(["explain", id, "--agent", "bot"])).expect(0);
    assert_eq!(by_agent.stdout, told.stdout);
    let mut as_bot = foreseal();
    as_bot.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", bot.token.clone().unwrap());
    // An agent is not told on which facts was decided.
    run(as_bot.args(["policy", "explain", id])).expect(2);
    run(command(&server, &home).args(["explain", &super::agents::new_id()])).expect(2);
    server.stop().expect(0);
    let mut at_rest = foreseal();
    at_rest.args(["policy", "explain", id, "--dir"]).arg(home.data());
    assert_eq!(run(&mut at_rest).expect(0).stdout, told.stdout);
    let mut by_another = foreseal();
    by_another.args(["policy", "explain", id, "--agent", "nobody", "--dir"]).arg(home.data());
    run(&mut by_another).expect(2);
}

#[test]
fn the_history_is_in_the_log() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let operator = server.operator();
    for rules in [ALLOWS, DENIES] {
        activate(&operator, rules, None);
    }
    let sealed = leaves(&operator);
    assert_eq!(kinds(&sealed), ["operator", "policy", "policy"]);
    let page = operator.get("/v1/policies/history?after=1").json();
    assert_eq!(page["policies"].as_array().unwrap().len(), 1);
    let whole = operator.get("/v1/policies/1").json();
    assert_eq!((&whole["files"], &whole["mode"]), (&files(ALLOWS), &json!("enforce")));
    server.stop().expect(0);
}
