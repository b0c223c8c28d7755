//! What the listener takes and for how long: a body is read for whoever may send it and where there is room, and nobody
//! keeps a connection for nothing. The real binary, with the limits it is shipped with.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use foreseal::record::limits;
use foreseal::service::ErrorCode;

use super::agents::allowed;
use super::errors::assert_problem;
use super::http::{Client, Reply, Request};
use super::process::{Home, STARTER, Server};

/// What is answered at once is answered by then, on a loaded machine too; far less than any limit of time.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Sends the head of a request that says how long its body is, and so much of the body.
fn head_of(client: &Client, path: &str, framing: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(client.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let token = client.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{token}{framing}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

/// What comes until the service closes the connection, and after how long.
fn rest_of(mut stream: TcpStream) -> (Option<Reply>, Duration) {
    let since = Instant::now();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    (Reply::parse(&bytes, true), since.elapsed())
}

#[test]
fn a_body_is_not_read_for_whoever_may_not_send_it() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let stranger = server.stranger();
    let nobody = server.client("fsk_nobody");
    let long = format!("Content-Length: {}", limits::BODY_MAX_BYTES);
    let too_long = format!("Content-Length: {}", limits::ADMIN_BODY_MAX_BYTES + 1);
    let chunked = "Transfer-Encoding: chunked";
    let refused = [
        (&stranger, "/v1/intents", &*long, ErrorCode::Unauthenticated),
        (&nobody, "/v1/intents", chunked, ErrorCode::Unauthenticated),
        (&stranger, "/v1/policies", &long, ErrorCode::Unauthenticated),
        (&bot, "/v1/policies", &long, ErrorCode::Forbidden),
        (&bot, "/v1/agents", chunked, ErrorCode::Forbidden),
        (&bot, "/v1/exports", &long, ErrorCode::Forbidden),
        (&bot, "/v1/intents", &too_long, ErrorCode::TooLarge),
    ];
    for (client, path, framing, code) in refused {
        let (reply, took) = rest_of(head_of(client, path, framing, b""));
        let reply = reply.unwrap_or_else(|| panic!("{path}: no answer without the body"));
        assert_problem(&reply, code);
        assert!(took < AT_ONCE, "{path}: {took:?}");
    }
    server.stop();
}

#[test]
fn bodies_together_have_a_limit_and_who_is_beyond_it_is_told_before_the_body_is_read() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let one = format!("Content-Length: {}", limits::BODY_MAX_BYTES);
    let places = limits::BODIES_MAX_BYTES / limits::BODY_MAX_BYTES;
    // Half of them say how long they are; the others may be as long as any.
    let mut holding: Vec<_> =
        (0..places)
            .map(|i| {
                if i % 2 == 0 {
                    (&*one, &b"{"[..])
                } else {
                    ("Transfer-Encoding: chunked", &b"1\r\n{\r\n"[..])
                }
            })
            .map(|(framing, body)| head_of(&bot, "/v1/intents", framing, body))
            .collect();
    let until = Instant::now() + AT_ONCE;
    let refused = loop {
        let asking = head_of(&bot, "/v1/intents", &one, b"");
        asking.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let kept = asking.try_clone().unwrap();
        match rest_of(asking).0 {
            Some(reply) => break reply,
            // It came before one of the others, and holds that one's room now.
            None => holding.push(kept),
        }
        assert!(Instant::now() < until, "nobody was refused");
    };
    assert_problem(&refused, ErrorCode::Overloaded);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What has no body is answered.
    assert_eq!(bot.get("/checkpoint").status, 200);
    drop(holding);
    let until = Instant::now() + AT_ONCE;
    while bot.submit(&allowed("bot")).status != 201 {
        assert!(Instant::now() < until, "the room is not given back");
    }
    // Many were refused, and the log says so once.
    let warned = server.log().iter().filter(|line| line.contains("not taken")).count();
    assert!(warned <= 2 && !server.log().iter().any(|line| line.contains("ERROR")), "{:?}", server.log());
    server.stop();
}

#[test]
fn bodies_and_heads_that_trickle_are_given_up() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let most = |limit: u64| Duration::from_millis(limit) + AT_ONCE;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let stream = head_of(&bot, "/v1/intents", "Content-Length: 2000", b"{");
            let mut writer = stream.try_clone().unwrap();
            let trickling = std::thread::spawn(move || {
                while writer.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
            let (reply, took) = rest_of(stream);
            assert_problem(&reply.unwrap(), ErrorCode::BodyTooSlow);
            assert!(took < most(limits::BODY_MAX_MS), "{took:?}");
            assert!(took > Duration::from_millis(limits::BODY_MAX_MS - 1_000), "{took:?}");
            trickling.join().unwrap();
        });
        for first in
            ["", "G", "GET /healthz HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n"]
        {
            let address = server.address;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                stream.write_all(first.as_bytes()).unwrap();
                let mut writer = stream.try_clone().unwrap();
                if !first.is_empty() {
                    std::thread::spawn(move || {
                        while writer.write_all(b"x").is_ok() {
                            std::thread::sleep(Duration::from_millis(300));
                        }
                    });
                }
                let (reply, took) = rest_of(stream);
                assert!(took < most(limits::HEAD_MAX_MS), "{first:?}: {took:?}");
                // Nothing was asked that could be answered, but for what is no HTTP.
                let is_http = !first.starts_with("PRI");
                assert!(reply.is_none_or(|reply| reply.status == 400 && !is_http), "{first:?}");
            });
        }
    });
    server.stop();
}

/// The process's time on a processor so far.
fn processor_time(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.0.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // 100 a second on every Linux there is.
    Duration::from_millis(ticks * 10)
}

#[test]
fn beyond_its_connections_the_next_waits_and_silent_ones_do_not_keep_their_place() {
    let home = Home::with_ledger();
    let serve = home.serve_command(&["--policies", STARTER]);
    // Fewer files than connections: it takes as many connections as leave the ledger its files.
    let places = 40;
    let mut command = Command::new("sh");
    let files = limits::FILES_KEPT_FREE + places;
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, _) in serve.get_envs() {
        command.env_remove(name);
    }
    let server = Server::start(command, &home.admin_token());
    let said = server.log().join("\n");
    assert!(said.contains(&format!("takes {places} connections")), "{said}");
    let bot = server.agent("bot");
    let silent: Vec<_> = (0..2 * places).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    std::thread::sleep(Duration::from_secs(1));
    let mut waiting = TcpStream::connect(server.address).unwrap();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let before = processor_time(&server);
    let mut byte = [0];
    assert!(waiting.read(&mut byte).is_err(), "more connections are served than are taken");
    let spent = processor_time(&server) - before;
    assert!(spent < Duration::from_secs(1), "waiting took {spent:?} of a processor in 3 s");
    // Two rounds of silent ones later it is its turn, and nothing else has suffered.
    waiting.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
    let (reply, _) = rest_of(waiting);
    assert_eq!(reply.unwrap().text(), "ok\n");
    bot.seal(&allowed("bot"));
    drop(silent);
    let told = server.log().join("\n");
    assert!(told.contains("as many connections are open as are taken"), "{told}");
    server.stop();
}

#[test]
fn where_the_system_has_no_file_left_it_waits_without_spinning_and_goes_on_when_it_has() {
    let home = Home::with_ledger();
    let server = home.serve();
    let pid = server.child.0.id().to_string();
    let limit = |files: &str| {
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:")]).output();
        set.is_ok_and(|output| output.status.success())
    };
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let usual = limits.split_whitespace().next().unwrap();
    assert_eq!(server.stranger().get("/healthz").status, 200);
    if !limit("3") {
        eprintln!("skipped: a process without files left (there is no prlimit that works)");
        return;
    }
    let mut waiting = TcpStream::connect(server.address).unwrap();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let before = processor_time(&server);
    assert!(waiting.read(&mut [0]).is_err(), "it was accepted without a file to hold it");
    let spent = processor_time(&server) - before;
    assert!(spent < Duration::from_secs(1), "waiting took {spent:?} of a processor in 3 s");
    assert!(limit(usual));
    waiting.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
    assert_eq!(rest_of(waiting).0.unwrap().text(), "ok\n");
    let told = server.log();
    assert_eq!(told.iter().filter(|line| line.contains("accepting a connection")).count(), 1, "{told:?}");
    server.stop();
}

/// Every path below a directory, itself included, and whether it is a directory.
pub(crate) fn everything_below(directory: &Path) -> Vec<(PathBuf, bool)> {
    let mut found = vec![(directory.to_owned(), true)];
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything_below(&entry.path()));
        } else {
            found.push((entry.path(), false));
        }
    }
    found
}

#[test]
fn what_it_makes_is_for_its_owner_alone() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    for _ in 0..300 {
        bot.seal(&allowed("bot"));
    }
    let export = Request::post("/v1/exports", r#"{"from":0,"to":1}"#);
    assert_eq!(server.operator().send(&export).status, 201);
    server.stop();
    for directory in [home.data(), home.keys()] {
        let found = everything_below(&directory);
        assert!(found.len() > 5, "{found:?}");
        for (path, is_directory) in found {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if is_directory { 0o700 } else { 0o600 }, "{}", path.display());
        }
    }
}
