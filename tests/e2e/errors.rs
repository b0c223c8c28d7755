//! Every error code over HTTP: status, problem body, what was sealed, and the headers that go with it.

use std::os::unix::fs::FileExt as _;

use foreseal::service::{ErrorCode, SealedState};
use serde_json::{Value, json};

use super::agents::{allowed, kinds, leaves, new_id};
use super::http::{Client, Reply, Request};
use super::process::{Home, Server};
use super::signing::{Signer, sign};

/// Codes that the table of this file does not provoke, and why.
const NOT_PROVOKED_HERE: &[(ErrorCode, &str)] = &[
    (ErrorCode::OutcomeUnknown, "needs a write that fails: failed_writes.rs"),
    (ErrorCode::Poisoned, "needs a write that failed: failed_writes.rs"),
    (ErrorCode::Damaged, "needs a byte changed on disk: stored_data_that_is_damaged_is_not_served, below"),
    (
        ErrorCode::SealedUnanswered,
        "needs a byte changed on disk: stored_data_that_is_damaged_is_not_served, below",
    ),
    (ErrorCode::TimedOut, "needs a disk that does not answer for 30 s: tests/listener/pending.rs"),
    (
        ErrorCode::BodyTooSlow,
        "takes 10 s: a_request_that_never_ends_is_ended_and_does_not_hold_up_the_end, below",
    ),
    (ErrorCode::TooManyAgents, "needs 100,000 registrations"),
    (ErrorCode::TooManyRegistrations, "needs 10,000 registrations"),
    (ErrorCode::TooManySessions, "needs 100,000 open sessions: the chain's own tests have them"),
    (ErrorCode::SessionOpen, "sessions.rs"),
    (ErrorCode::SessionNotOpen, "needs a session that lapsed: the ledger's own tests have a clock"),
    (ErrorCode::AuthorNotAllowed, "needs --policy-author: policies.rs"),
    (ErrorCode::CallNotAllowed, "sessions.rs"),
    (ErrorCode::OutcomeReported, "sessions.rs"),
    (ErrorCode::Overloaded, "needs 64 MiB of bodies, or 4,096 intents in hand at once: listening.rs"),
    (
        ErrorCode::Stopping,
        "needs a request between the last connection's end and the process's: milliseconds",
    ),
    (ErrorCode::ClockBehind, "needs a clock that steps back: the ledger's own tests have one"),
    (ErrorCode::ClockAhead, "needs a clock that steps ahead: the ledger's own tests have one"),
];

/// Checks everything that an error has; its code is the expected one.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, code: ErrorCode) {
    let problem = reply.json();
    let text = reply.text();
    assert_eq!(problem["code"], code.as_str(), "{text}");
    assert_eq!(reply.status, code.status(), "{text}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{text}");
    assert_eq!(problem["status"], code.status(), "{text}");
    assert_eq!(problem["type"], format!("urn:foreseal:error:{}", code.as_str()), "{text}");
    assert_eq!(problem["title"], code.meaning().trim(), "{text}");
    assert_eq!(problem["retry"], code.retry(), "{text}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{text}");
    let sealed = match code.sealed() {
        SealedState::No => Some(&Value::Bool(false)),
        SealedState::Yes => Some(&Value::Bool(true)),
        SealedState::Unknown => Some(&Value::Null),
        SealedState::NotAsked => None,
    };
    assert_eq!(problem.get("sealed"), sealed, "{text}");
    assert_eq!(reply.header("retry-after").is_some(), code.status() == 503, "{text}");
    assert_eq!(reply.header("www-authenticate").is_some(), code.status() == 401, "{text}");
}

/// The parties of the table.
struct Stage {
    operator: Client,
    bot: Client,
    twin: Client,
    signer: Client,
    key: Signer,
    stranger: Client,
    sealed: Value,
}

impl Stage {
    fn set(server: &Server) -> Self {
        let (bot, twin, key) = (server.agent("bot"), server.agent("twin"), Signer::from_seed([5; 32]));
        let new = json!({ "name": "signer", "public_key": key.public_base64() });
        let registered = server.operator().post("/v1/agents", new.to_string()).json();
        let sealed = allowed("bot");
        bot.seal(&sealed);
        let mut same_id = allowed("twin");
        same_id["id"] = sealed["id"].clone();
        twin.seal(&same_id);
        Self {
            operator: server.operator(),
            bot,
            twin,
            signer: server.client(registered["token"].as_str().unwrap()),
            key,
            stranger: server.stranger(),
            sealed,
        }
    }

    /// The sealed intent with one member replaced, under a new id unless that is the member.
    fn with(&self, member: &str, value: Value) -> String {
        let mut changed = self.sealed.clone();
        changed["id"] = json!(new_id());
        changed[member] = value;
        changed.to_string()
    }

    fn signed(&self, change: impl FnOnce(&mut Value)) -> Request {
        let mut intent = super::signing::signable("signer");
        change(&mut intent);
        sign(&self.key, &intent).request()
    }
}

fn intents(body: impl Into<Vec<u8>>) -> Request {
    Request::post("/v1/intents", body)
}

type Case<'a> = (ErrorCode, &'a Client, Request, &'a str);

/// What an agent can get wrong. The last column: what the detail must hold.
fn of_intents(s: &Stage) -> Vec<Case<'_>> {
    use ErrorCode as E;
    let id = s.sealed["id"].as_str().unwrap().to_owned();
    let own_seed = |request: Request, seed: &str| request.header("Foreseal-Seed", seed);
    let seed = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let big = format!("{}{}", " ".repeat((1 << 20) + 1 - s.sealed.to_string().len()), s.sealed);
    assert_eq!(big.len(), (1 << 20) + 1);
    let many = Value::Object((0..5000).map(|n| (format!("k{n}"), json!(n))).collect());
    vec![
        (E::MalformedIntent, &s.bot, intents("{\n  \"agent\": }"), "line 2"),
        (E::MalformedIntent, &s.bot, intents(""), "line 1"),
        (E::MalformedIntent, &s.bot, intents(b"\"\xff\"".to_vec()), "line 1"),
        (E::MalformedIntent, &s.bot, intents("{\"agent\":\"bot\",\n\"agent\":\"bot\"}"), "line 2"),
        (E::MalformedIntent, &s.bot, intents("[".repeat(100)), "column 65"),
        (
            E::MalformedIntent,
            &s.bot,
            intents(s.with("client_seq", json!(9_007_199_254_740_992u64))),
            "column",
        ),
        (E::MalformedIntent, &s.bot, intents(s.with("agnet", json!(1))), "/agnet: unknown member"),
        (E::MalformedIntent, &s.bot, intents(s.with("calls", json!([]))), "/calls: needs 1 to 64"),
        (E::MalformedIntent, &s.bot, intents(s.with("session", json!("a b"))), "/session"),
        (E::MalformedIntent, &s.bot, intents(s.with("id", json!("x"))), "/id: must be a UUIDv7"),
        (E::MalformedRequest, &s.bot, own_seed(intents(s.with("goal", json!("g"))), "AAAA"), "Foreseal-Seed"),
        (E::MalformedRequest, &s.bot, own_seed(intents(s.with("goal", json!("g"))), "ä"), "foreseal-seed"),
        (
            E::MalformedStatement,
            &s.signer,
            s.signed(|i| drop(i.as_object_mut().unwrap().remove("created"))),
            "created",
        ),
        (E::MalformedStatement, &s.signer, s.signed(|i| drop(i.as_object_mut().unwrap().remove("id"))), "id"),
        (E::SignatureRequired, &s.signer, intents(allowed("signer").to_string()), "signs"),
        (
            E::SignatureInvalid,
            &s.bot,
            intents(s.with("goal", json!("g"))).header("Foreseal-Signature", "sig=\"AA\""),
            "no key",
        ),
        (
            E::IdOutsideWindow,
            &s.signer,
            s.signed(|i| i["id"] = json!(super::agents::id_at(-25 * 3_600_000))),
            "24 hours",
        ),
        (
            E::IdOutsideWindow,
            &s.signer,
            s.signed(|i| i["id"] = json!(super::agents::id_at(25 * 3_600_000))),
            "24 hours",
        ),
        (
            E::CreatedOutsideWindow,
            &s.signer,
            s.signed(|i| i["created"] = json!("2020-01-01T00:00:00.000Z")),
            "5 minutes",
        ),
        (E::Unauthenticated, &s.stranger, intents(s.sealed.to_string()), "credential"),
        (E::Forbidden, &s.operator, intents(s.sealed.to_string()), "only an agent submits intents"),
        (E::AgentMismatch, &s.twin, intents(s.sealed.to_string()), "\"bot\""),
        (
            E::IdReused,
            &s.bot,
            intents({
                let mut other = s.sealed.clone();
                other["goal"] = json!("another");
                other.to_string()
            }),
            "another body",
        ),
        (E::IdReused, &s.bot, intents(format!(" {}", s.sealed)), "another body"),
        (E::IdReused, &s.bot, own_seed(intents(s.sealed.to_string()), seed), "another body"),
        (E::TooLarge, &s.bot, intents(big.clone()), "1048576 bytes"),
        (E::TooLarge, &s.bot, intents(big).chunked(), "1048576 bytes"),
        (E::TooLarge, &s.bot, intents(s.with("trace", many)), "fields"),
        (
            E::UnsupportedMediaType,
            &s.bot,
            Request::new("POST", "/v1/intents").body(s.sealed.to_string()),
            "application/json",
        ),
        (
            E::UnsupportedMediaType,
            &s.bot,
            Request::new("POST", "/v1/intents").header("Content-Type", "text/json").body("{}"),
            "text/json",
        ),
        (E::NotFound, &s.bot, Request::get(format!("/v1/intents/{}", new_id())), "no intent"),
        (E::NotFound, &s.signer, Request::get(format!("/v1/intents/{id}")), "for this caller"),
        (E::NotFound, &s.operator, Request::get(format!("/v1/intents/{id}?agent=nobody")), "no intent"),
        (E::AmbiguousId, &s.operator, Request::get(format!("/v1/intents/{id}")), "2 agents"),
        (E::AmbiguousId, &s.operator, Request::get(format!("/v1/intents/{id}/payload")), "2 agents"),
        (E::MalformedRequest, &s.bot, Request::get("/v1/intents/17/receipt"), "UUID"),
        (E::MalformedRequest, &s.bot, Request::get("/v1/intents/%ff"), "UTF-8"),
        (E::MalformedRequest, &s.bot, Request::get(format!("/v1/intents/{id}?agent=a&agent=b")), "agent"),
    ]
}

/// What operators, readers of the log and strangers can get wrong.
fn of_the_rest(s: &Stage) -> Vec<Case<'_>> {
    use ErrorCode as E;
    let agents = |body: Value| Request::post("/v1/agents", body.to_string());
    let policies = |files: Value| Request::post("/v1/policies", json!({ "files": files }).to_string());
    let exports = |body: Value| Request::post("/v1/exports", body.to_string());
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    vec![
        (E::Forbidden, &s.bot, agents(json!({ "name": "mine" })), "operator"),
        (E::Forbidden, &s.bot, Request::get("/v1/agents"), "operator"),
        (E::Forbidden, &s.bot, Request::get("/v1/policies"), "operator"),
        (E::Forbidden, &s.bot, policies(json!({})), "operator"),
        (E::Forbidden, &s.bot, Request::new("POST", "/v1/agents/bot/revoke"), "operator"),
        (E::NameTaken, &s.operator, agents(json!({ "name": "bot" })), "\"bot\""),
        (E::MalformedRequest, &s.operator, agents(json!({ "name": "a b" })), "/name"),
        (E::MalformedRequest, &s.operator, agents(json!({ "name": "c", "rolls": [] })), "rolls"),
        (E::MalformedRequest, &s.operator, agents(json!({ "name": "c", "roles": ["a/b"] })), "/roles/0"),
        (E::MalformedRequest, &s.operator, agents(json!({ "name": "c", "public_key": "AA" })), "/public_key"),
        (E::MalformedRequest, &s.operator, agents(json!({ "name": "c", "public_key": weak })), "/public_key"),
        (E::MalformedRequest, &s.operator, Request::post("/v1/agents", "{\"name\":\n}"), "line 2"),
        (
            E::UnsupportedMediaType,
            &s.operator,
            Request::new("POST", "/v1/agents").body("{}"),
            "application/json",
        ),
        (E::TooLarge, &s.operator, Request::post("/v1/agents", " ".repeat((2 << 20) + 1)), "2097152 bytes"),
        (E::NotFound, &s.operator, Request::post("/v1/agents/nobody/rotate", "{}"), "\"nobody\""),
        (E::NotFound, &s.operator, Request::new("POST", "/v1/agents/nobody/revoke"), "\"nobody\""),
        (E::MalformedRequest, &s.operator, Request::post("/v1/agents/%ff/rotate", "{}"), "UTF-8"),
        (E::MalformedRequest, &s.operator, Request::get("/v1/agents?after=x"), "after"),
        (E::UriTooLong, &s.stranger, Request::get(format!("/v1/agents?after={}", "1".repeat(8192))), "8192"),
        (E::InvalidPolicy, &s.operator, policies(json!({ "a.cedar": "permit (" })), "a.cedar"),
        (
            E::InvalidPolicy,
            &s.operator,
            policies(json!({ "a.cedar": "permit (principal, action, resource);" })),
            "@id",
        ),
        (
            E::NotProven,
            &s.operator,
            policies(json!({
                "manifest.json": r#"{"name": "n", "version": "1", "proofs": "required"}"#,
                "proofs.json": r#"{"proofs": [{"id": "p", "never_errors": true}]}"#,
            })),
            "demands proofs",
        ),
        (E::Forbidden, &s.bot, Request::get("/v1/policies/history"), "operator"),
        (E::Forbidden, &s.bot, Request::get("/v1/policies/1"), "operator"),
        (E::Forbidden, &s.bot, Request::post("/v1/policies/rollback", "{}"), "operator"),
        (E::Forbidden, &s.bot, Request::new("POST", "/v1/policies/withdraw"), "operator"),
        (E::NotFound, &s.operator, Request::get("/v1/policies/0"), "leaf 0 is no policy"),
        (E::MalformedRequest, &s.operator, Request::get("/v1/policies/x"), "x"),
        (E::NotFound, &s.operator, Request::new("POST", "/v1/policies/withdraw"), "no policy is in shadow"),
        (E::NotFound, &s.operator, Request::post("/v1/policies/rollback", "{\"to\":99}"), "leaf 99"),
        (E::NotFound, &s.operator, Request::post("/v1/policies/rollback", "{}"), "no other policy decided"),
        (
            E::MalformedRequest,
            &s.operator,
            Request::post("/v1/policies/rollback", "{\"to\":-1}"),
            "is a leaf index",
        ),
        (
            E::MalformedRequest,
            &s.operator,
            Request::post("/v1/policies", "{\"files\":{},\"mode\":\"watch\"}"),
            "watch",
        ),
        // One leaf too many, whether or not the log has them.
        (E::ExportTooLarge, &s.operator, exports(json!({ "from": 0, "to": 1_000_001 })), "1000000 leaves"),
        (E::ExportTooLarge, &s.operator, exports(json!({ "from": 7, "to": 1_000_008 })), "1000000 leaves"),
        (E::NotInLog, &s.operator, exports(json!({ "from": 0, "to": 1_000_000 })), "the log has size"),
        (E::NotFound, &s.stranger, Request::get("/v1/nothing"), "/v1/nothing"),
        (E::NotFound, &s.stranger, Request::new("DELETE", "/"), "/"),
        (E::MethodNotAllowed, &s.bot, Request::new("DELETE", "/v1/intents"), "DELETE"),
        (E::MethodNotAllowed, &s.stranger, Request::post("/checkpoint", "{}"), "POST"),
        (E::MethodNotAllowed, &s.stranger, Request::get("/v1/agents/bot/revoke"), "GET"),
        (E::NotInLog, &s.bot, Request::get("/tile/0/001"), "tile/0/001"),
        (E::NotInLog, &s.bot, Request::get("/tile/x"), "no tile's path"),
        (E::MalformedRequest, &s.bot, Request::get("/tile/%ff"), "UTF-8"),
        (E::NotInLog, &s.bot, Request::get("/v1/proofs/inclusion?index=99999"), "99999"),
        (E::NotInLog, &s.bot, Request::get("/v1/proofs/inclusion?index=0&size=99999"), "99999"),
        (E::NotInLog, &s.bot, Request::get("/v1/proofs/consistency?from=2&to=1"), "forward"),
        (E::MalformedRequest, &s.bot, Request::get("/v1/proofs/inclusion"), "index"),
        (E::MalformedRequest, &s.bot, Request::get("/v1/proofs/inclusion?index=-1"), "index"),
        (E::MalformedRequest, &s.bot, Request::get("/v1/proofs/consistency?from=0x1"), "from"),
    ]
}

/// What a stranger may not even ask wrongly.
const GUARDED: &[(&str, &str)] = &[
    ("POST", "/v1/intents"),
    ("GET", "/v1/intents/17"),
    ("GET", "/v1/intents/%ff?agent=a&agent=b"),
    ("GET", "/v1/intents/17/receipt"),
    ("GET", "/v1/intents/17/payload"),
    ("GET", "/v1/proofs/inclusion"),
    ("GET", "/v1/proofs/consistency"),
    ("GET", "/v1/agents?after=x"),
    ("POST", "/v1/agents"),
    ("POST", "/v1/agents/%ff/rotate"),
    ("POST", "/v1/agents/bot/rotate"),
    ("POST", "/v1/agents/bot/revoke"),
    ("GET", "/v1/policies"),
    ("POST", "/v1/policies"),
    ("GET", "/v1/policies/history?after=x"),
    ("GET", "/v1/policies/x"),
    ("POST", "/v1/policies/rollback"),
    ("POST", "/v1/policies/withdraw"),
    ("POST", "/v1/exports"),
    ("POST", "/v1/sessions"),
    ("POST", "/v1/sessions/17/turns"),
    ("POST", "/v1/intents/17/outcomes"),
    ("GET", "/v1/applications?after=x"),
    ("POST", "/v1/applications"),
    ("POST", "/v1/applications/desk/rotate"),
    ("POST", "/v1/tool-servers"),
    ("POST", "/v1/tool-servers/bank/revoke"),
    ("GET", "/checkpoint"),
    ("GET", "/tile/0/000"),
    ("GET", "/tile/%ff"),
];

#[test]
fn every_error_code_is_provoked_or_it_is_said_why_not() {
    let home = Home::with_ledger();
    let server = home.serve();
    let stage = Stage::set(&server);
    let chunked = stage.bot.send(&intents(allowed("bot").to_string()).chunked());
    assert_eq!(chunked.status, 201, "{}", chunked.text());
    let size = stage.operator.size();
    let mut provoked = Vec::new();
    let cases: Vec<Case<'_>> = of_intents(&stage).into_iter().chain(of_the_rest(&stage)).collect();
    for (code, client, request, detail) in &cases {
        let reply = client.send(request);
        assert_problem(&reply, *code);
        let said = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(detail), "{detail:?} is not in: {said}");
        for token in [&stage.operator, &stage.bot, &stage.signer].map(|client| client.token.clone().unwrap())
        {
            assert!(!reply.text().contains(&token), "an error tells a token");
        }
        provoked.push(*code);
    }
    for (method, path) in GUARDED {
        let body = Request::new(method, *path).header("Content-Type", "application/json").body("{");
        for client in [&stage.stranger, &server.client("fsk_unknown"), &server.client("")] {
            assert_problem(&client.send(&body), ErrorCode::Unauthenticated);
        }
        let basic = body.clone().header("Authorization", "Basic Zm9vOmJhcg==");
        assert_problem(&stage.stranger.send(&basic), ErrorCode::Unauthenticated);
    }
    assert_eq!(stage.operator.size(), size, "a refusal was sealed as something else");

    let excused: Vec<ErrorCode> = NOT_PROVOKED_HERE.iter().map(|(code, _)| *code).collect();
    for code in ErrorCode::ALL {
        let name = code.as_str();
        assert!(provoked.contains(code) || excused.contains(code), "{name} is in neither table");
        assert!(!(provoked.contains(code) && excused.contains(code)), "{name} is in both tables");
    }

    refusals_are_counted(&home, &stage, server, &cases);
}

/// Promise 2: what is refused before it is sealed is counted in a `refused` entry, at the latest when the service stops.
fn refusals_are_counted(home: &Home, stage: &Stage, server: Server, cases: &[Case<'_>]) {
    let size = stage.operator.size();
    server.stop();
    let server = home.serve();
    let leaves = leaves(&server.operator());
    assert_eq!(kinds(&leaves)[usize::try_from(size).unwrap()..], ["refused"]);
    let refused: Value = serde_json::from_slice(leaves.last().unwrap()).unwrap();
    let counted = |status: u16| refused["counts"][status.to_string()].as_u64().unwrap();
    let of_submissions = |status: u16| {
        let posts = cases.iter().filter(|(code, _, request, _)| code.status() == status && request.is_post());
        posts.count() as u64
    };
    assert_eq!(counted(401), of_submissions(401) + 4 * GUARDED.len() as u64);
    // Conflicts, sizes and other malformed bodies: all of those that came as a body.
    for status in [409, 413] {
        assert_eq!(counted(status), of_submissions(status), "status {status}");
    }
    assert!(counted(400) >= of_submissions(400) && counted(403) >= of_submissions(403), "{refused}");
    assert_eq!(counted(503), 0);
}

#[test]
fn stored_data_that_is_damaged_is_not_served() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let (intent, other) = (allowed("bot"), allowed("bot"));
    let answer = bot.seal(&intent);
    bot.seal(&other);
    let read =
        |intent: &Value, what: &str| bot.get(format!("/v1/intents/{}{what}", intent["id"].as_str().unwrap()));
    assert_eq!(read(&intent, "").status, 200);

    // One bit of the journal, in the frame of one intent.
    let segment = home.data().join("journal/00000000.seg");
    let bytes = std::fs::read(&segment).unwrap();
    let entry = super::agents::entry_of(&answer);
    let at = bytes.windows(entry.len()).rposition(|window| window == entry).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(&[bytes[at + 20] ^ 1], at as u64 + 20).unwrap();

    for what in ["", "/receipt", "/payload"] {
        assert_problem(&read(&intent, what), ErrorCode::Damaged);
    }
    assert_problem(&bot.submit(&intent), ErrorCode::SealedUnanswered);
    // Nothing else suffers: the other frame is read, and new intents are sealed.
    assert_eq!(read(&other, "").status, 200);
    bot.seal(&allowed("bot"));
    server.kill();
    // The next start reads the frame, and signs nothing on top of it.
    let refused = super::process::run(&mut home.serve_command(&[])).expect(2);
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
}

/// The longest waits of these tests, asleep, side by side.
#[test]
fn a_request_that_never_ends_is_ended_and_does_not_hold_up_the_end() {
    let (home, other_home) = (Home::with_ledger(), Home::with_ledger());
    let (server, other) = (home.serve(), other_home.serve());
    let (bot, other_bot) = (server.agent("bot"), other.agent("bot"));
    let endless = bot.begin(&intents(allowed("bot").to_string()));
    let _endless = other_bot.begin(&intents(allowed("bot").to_string()));
    let stopped = std::thread::spawn(move || drop(other.stop()));
    assert_problem(&endless.wait(), ErrorCode::BodyTooSlow);
    // It held up nobody.
    bot.seal(&allowed("bot"));
    stopped.join().unwrap();
}
