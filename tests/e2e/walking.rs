//! The walking path as a person types it: init, serve, agent, submit, verify, audit, inspect.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use foreseal::note::VerifierKey;
use serde_json::{Value, json};

use super::agents::{allowed, denied, entry_of, held, is_uuid_v7, leaf_of};
use super::http::{Client, Request};
use super::process::{Home, ORIGIN, STARTER, Server, foreseal, run, run_with};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A command that asks a service, told through the environment.
fn asking(server: &Server, client: &Client) -> std::process::Command {
    let mut command = foreseal();
    command.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", client.token.as_deref().unwrap());
    command
}

#[test]
fn init_prints_the_public_key_alone_and_keeps_secrets_to_their_owner() {
    let home = Home::new();
    let made = run(foreseal().args(["init", "--origin", ORIGIN, "--data"]).arg(home.data())).expect(0);
    let key: VerifierKey = made.stdout.trim_end().parse().unwrap();
    assert_eq!(made.stdout, format!("{key}\n"));
    assert_eq!(key.name().as_str(), ORIGIN);
    // The file that --trust takes names this key and asks for no witness.
    assert_eq!(home.trust_text(), format!("log {key}\nquorum none\n"));
    assert!(home.admin_token().starts_with("fsa_"));
    assert!(!made.stdout.contains(&home.admin_token()) && !made.stderr.contains(&home.admin_token()));
    assert_eq!(mode(&home.keys()), 0o700);
    assert_eq!(mode(&home.keys().join("epochs")), 0o700);
    for file in std::fs::read_dir(home.keys()).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
    assert_eq!(mode(&home.keys().join("admin.token")), 0o600);
    // Nothing is overwritten.
    let again = run(foreseal().args(["init", "--data"]).arg(home.data())).expect(2);
    assert!(again.stderr.contains("already exists") && again.stderr.contains("hint: "), "{}", again.stderr);
    assert_eq!(home.trust_text(), format!("log {key}\nquorum none\n"));

    let other = Home::new();
    let keys = other.path("elsewhere");
    let made = run(foreseal().args(["init", "--json", "--data"]).arg(other.data()).arg("--keys").arg(&keys));
    let made = made.expect(0).json();
    let drawn: VerifierKey = made["vkey"].as_str().unwrap().parse().unwrap();
    assert!(drawn.name().as_str().starts_with("foreseal.local/"));
    assert_eq!(made["trust"], json!(other.trust()));
    assert_eq!(made["admin_token_file"], json!(keys.join("admin.token")));
    assert_eq!((mode(&keys), other.keys().exists()), (0o700, false));
}

#[test]
fn an_operator_serves_registers_and_an_agent_seals_verifies_and_audits() {
    // No init: a missing directory is made.
    let home = Home::new();
    let mut command = home.serve_command(&["--origin", ORIGIN, "--policies", STARTER]);
    command.env("FORESEAL_LOG", "info");
    let server = Server::start(command, "not known yet");
    let ready: Vec<String> = server.log().into_iter().filter(|line| line.contains(" ready on ")).collect();
    assert_eq!(ready, [format!("foreseal ready on {}, log {ORIGIN} of size 2", server.url())]);
    let operator = server.client(&home.admin_token());

    let added =
        run(asking(&server, &operator).args(["agent", "add", "bot", "--role", "assistant"])).expect(0);
    let token = added.stdout.strip_suffix('\n').unwrap();
    assert!(token.starts_with("fsk_") && token.len() == 47 && !token.contains('\n'), "{}", added.stdout);
    let bot = server.client(token);

    submit_file_lines_and_standard_input(&home, &server, &bot);
    administer(&server, &operator, token);

    // The whole log, by whoever has a token and the public key.
    let mut audit = foreseal();
    audit
        .args(["audit", &server.url(), "--json", "--token"])
        .arg(home.admin_token())
        .arg("--trust")
        .arg(home.trust());
    let report = run(&mut audit).expect(0).json();
    assert_eq!((&report["schema"], &report["verdict"]), (&json!("foreseal.report.v1"), &json!("valid")));
    assert_eq!(report["subject"], "log");
    let unauthenticated =
        run(foreseal().args(["audit", &server.url(), "--trust"]).arg(home.trust())).expect(2);
    assert!(unauthenticated.stdout.contains("unauthenticated"), "{}", unauthenticated.stdout);

    let ended = server.stop();
    assert_eq!(ended.stdout, "", "logs are not data");
    let coloured = ended.stderr.lines().find(|line| line.contains('\u{1b}'));
    assert_eq!(coloured, None, "colour is for terminals only");
    for secret in [home.admin_token(), token.to_owned()] {
        assert!(!ended.stderr.contains(&secret), "a secret is in the service's log");
    }
}

fn submit_file_lines_and_standard_input(home: &Home, server: &Server, bot: &Client) {
    // One intent, spread over lines.
    let one = allowed("bot");
    let file = home.file("one.json", serde_json::to_string_pretty(&one).unwrap());
    let answered = run(asking(server, bot).arg("submit").arg(&file)).expect(0);
    assert_eq!(answered.stdout.lines().count(), 1);
    let answer = answered.json();
    assert_eq!((&answer["id"], &answer["decision"]["outcome"]), (&one["id"], &json!("allow")));
    assert_eq!((&answer["index"], leaf_of(&answer)["type"].as_str()), (&json!(3), Some("intent")));
    let answer_file = home.file("answer.json", &answered.stdout);
    let mut verify = foreseal();
    verify
        .args(["verify", "receipt"])
        .arg(answer_file)
        .arg("--intent")
        .arg(&file)
        .arg("--trust")
        .arg(home.trust());
    let verified = run(&mut verify).expect(0);
    assert!(verified.stdout.contains("VALID (receipt)") && verified.stdout.contains("not checked:"));

    // One intent a line; ids where the agent gave none are made by the service. A denial is an answer.
    let mut nameless = denied("bot");
    nameless.as_object_mut().unwrap().remove("id");
    let lines = format!("{nameless}\n\n{}\n", held("bot"));
    let answered = run(asking(server, bot).arg("submit").arg(home.file("two.jsonl", &lines))).expect(0);
    let answers: Vec<Value> =
        answered.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<_> =
        answers.iter().map(|answer| answer["decision"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["deny", "hold"]);
    assert!(is_uuid_v7(answers[0]["id"].as_str().unwrap()));
    assert_eq!(answers[1]["decision"]["conditions"][0]["approver"], "finance_manager");
    assert_eq!(answers[1]["decision"]["expires"], leaf_of(&answers[1])["expires"]);

    // Standard input; what is refused is said on stderr, and the others are answered all the same.
    let lines = format!("{}\n{{\"agent\":\"bot\"}}\n{}", allowed("bot"), allowed("bot"));
    let answered = run_with(asking(server, bot).args(["submit", "-"]), lines.as_bytes()).expect(2);
    assert_eq!(answered.stdout.lines().count(), 2);
    for part in
        ["intent 2: 400 malformed_intent", "1 intents were refused; nothing of them was sealed", "hint: "]
    {
        assert!(answered.stderr.contains(part), "{}", answered.stderr);
    }

    // What is too large is said to be so, and not to be a lost connection.
    let mut large = allowed("bot");
    large["goal"] = json!("x".repeat(8 << 20));
    let file = home.file("large.jsonl", format!("{large}\n{}\n", allowed("bot")));
    let answered = run(asking(server, bot).arg("submit").arg(file)).expect(2);
    assert_eq!(answered.stdout.lines().count(), 1);
    assert!(answered.stderr.contains("intent 1: not sent") && answered.stderr.contains("at most 1048576"));
}

fn administer(server: &Server, operator: &Client, old_token: &str) {
    let as_operator = || asking(server, operator);
    let listed = run(as_operator().args(["agent", "list"])).expect(0);
    let listed: Value = serde_json::from_str(listed.stdout.trim()).unwrap();
    let expected =
        json!({"agent": "bot", "index": 2, "roles": ["assistant"], "signs": false, "revoked": false});
    assert_eq!(listed, expected);
    let rotated = run(as_operator().args(["agent", "rotate", "bot"])).expect(0);
    let bot = server.client(rotated.stdout.trim());
    assert_eq!(server.client(old_token).submit(&allowed("bot")).code(), "unauthenticated");
    bot.seal(&allowed("bot"));
    let revoked = run(as_operator().args(["agent", "revoke", "bot"])).expect(0);
    assert_eq!(revoked.stdout, "");
    assert_eq!(bot.submit(&allowed("bot")).code(), "unauthenticated");
    // A name stands for one agent for ever.
    let taken = run(as_operator().args(["agent", "add", "bot"])).expect(2);
    assert!(taken.stderr.contains("409 name_taken") && taken.stdout.is_empty(), "{}", taken.stderr);
    let nobody = run(foreseal().env("FORESEAL_URL", server.url()).args(["agent", "list"])).expect(2);
    assert!(nobody.stderr.contains("FORESEAL_TOKEN"), "{}", nobody.stderr);
}

#[test]
fn inspect_shows_what_every_kind_of_file_holds_and_claims_nothing_more() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let answer = bot.seal(&held("bot"));
    let checkpoint = bot.get("/checkpoint").text();
    server.stop();
    let id = answer["id"].as_str().unwrap();
    let receipt = answer["receipt"].as_str().unwrap();
    let leaf = home.file("leaf.json", entry_of(&answer));
    let head = format!("checkpoint of {ORIGIN}: size 4, root ");
    let cases = [
        (
            home.file("answer.json", answer.to_string()),
            vec![format!("answer to intent {id}: hold"), head.clone()],
        ),
        (home.file("receipt", receipt), vec!["receipt for leaf 3: ".to_owned(), head.clone()]),
        (home.file("checkpoint", &checkpoint), vec![head.clone(), format!("signature by {ORIGIN} (key ")]),
        (leaf, vec![format!("\"id\": \"{id}\""), "\"outcome\": \"hold\"".to_owned()]),
    ];
    for (file, parts) in cases {
        let shown = run(foreseal().arg("inspect").arg(&file)).expect(0).stdout;
        for part in &parts {
            assert!(shown.contains(part), "{} lacks {part}:\n{shown}", file.display());
        }
        assert!(shown.ends_with("(shown as found; nothing was verified)\n"), "{shown}");
    }
    let shown = run(foreseal().arg("inspect").arg(home.data())).expect(0).stdout;
    for part in ["with 4 leaves", "1 operator", "1 policy", "1 agent", "1 intent", head.as_str()] {
        assert!(shown.contains(part), "lacks {part}:\n{shown}");
    }
    let shown = run(foreseal().arg("inspect").arg(home.data()).args(["--index", "3"])).expect(0).stdout;
    assert!(shown.contains("leaf 3, hash ") && shown.contains(id), "{shown}");
    let beyond = run(foreseal().arg("inspect").arg(home.data()).args(["--index", "4"])).expect(2);
    assert!(beyond.stderr.contains("there is no leaf 4"), "{}", beyond.stderr);
    run(foreseal().arg("inspect").arg(home.file("noise", b"\xff\x00"))).expect(2);
    run(foreseal().arg("inspect").arg(home.path("absent"))).expect(2);
}

#[test]
fn a_token_never_travels_where_it_was_not_sent() {
    // A redirect would take the token along: the client does not follow one.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let (here, there) = (listener.local_addr().unwrap(), trap.local_addr().unwrap());
    let redirecting = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        let moved = format!("HTTP/1.1 307 Moved\r\nLocation: http://{there}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(moved.as_bytes()).unwrap();
    });
    let url = format!("http://{here}");
    let listed = run(foreseal().args(["agent", "list", "--url", &url, "--token", "fsa_secret"]));
    assert_ne!(listed.code, Some(0));
    redirecting.join().unwrap();
    assert!(trap.accept().is_err(), "the redirect was followed");
    assert!(!listed.stderr.contains("fsa_secret"), "{}", listed.stderr);
}

#[test]
fn health_needs_no_credential_and_readiness_tells_no_more_than_that() {
    let home = Home::with_ledger();
    let server = home.serve();
    let stranger = server.stranger();
    assert_eq!((stranger.get("/healthz").status, stranger.get("/healthz").text()), (200, "ok\n".to_owned()));
    let ready = stranger.send(&Request::get("/readyz"));
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true })));
}
