//! When a service does not start, and what it says then; and that it ends as it was told.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agents::{allowed, denied, held, leaves};
use super::http::Request;
use super::process::{Ended, Home, foreseal, run};

/// A start that must fail with exit 2 and say these things.
#[track_caller]
fn refuses(home: &Home, says: &[&str]) -> Ended {
    let ended = run(&mut home.serve_command(&[])).expect(2);
    for part in says.iter().chain(&["hint: "]) {
        assert!(ended.stderr.contains(part), "{part:?} is not in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("foreseal ready"), "{}", ended.stderr);
    ended
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn promise_5_an_older_copy_of_the_data_refuses_to_start_and_signs_nothing() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    bot.seal(&allowed("bot"));
    let token = bot.token.clone().unwrap();
    server.stop();
    let older = home.path("older");
    copy_tree(&home.data(), &older);
    let older_head = std::fs::read(home.keys().join("head")).unwrap();
    let server = home.serve();
    server.client(&token).seal(&allowed("bot"));
    let size = server.operator().size();
    server.stop();

    let newest = home.path("newest");
    std::fs::rename(home.data(), &newest).unwrap();
    std::fs::rename(&older, home.data()).unwrap();
    let head = std::fs::read(home.keys().join("head")).unwrap();
    for _ in 0..2 {
        refuses(&home, &["older copy", "split the history"]);
        assert_eq!(std::fs::read(home.keys().join("head")).unwrap(), head, "the head moved back");
    }
    // Even when the older copy is made longer than the head by other leaves, which takes another head to do.
    let other_head = home.path("other-head");
    std::fs::rename(home.keys().join("head"), &other_head).unwrap();
    refuses(&home, &["the head file is missing"]);
    std::fs::write(home.keys().join("head"), &older_head).unwrap();
    let server = home.serve();
    for _ in 0..4 {
        server.client(&token).seal(&denied("bot"));
    }
    server.stop();
    std::fs::rename(&other_head, home.keys().join("head")).unwrap();
    refuses(&home, &["another root", "split the history"]);

    // The newest copy is the way on.
    std::fs::rename(home.data(), home.path("forked")).unwrap();
    std::fs::rename(&newest, home.data()).unwrap();
    let server = home.serve();
    assert_eq!(server.operator().size(), size);
}

#[test]
fn a_second_service_on_the_same_data_refuses_to_start_and_the_first_goes_on() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    refuses(&home, &["another process"]);
    // Nor is a directory read as if it were at rest while somebody writes to it.
    let reading = |arguments: &[&str]| {
        run(foreseal().args(arguments).arg(home.data()).env("FORESEAL_TRUST", home.trust())).expect(2).stdout
    };
    for told in [reading(&["audit"]), reading(&["fsck", "--data"])] {
        assert!(told.contains("hint: audit the service's URL"), "{told}");
    }
    bot.seal(&allowed("bot"));
    server.kill();
    // The lock ends with its process, however that ended.
    home.serve().stop();
}

/// An auditor who may read and not write takes the lock as far as it can, and says so where it cannot.
#[test]
fn an_auditor_without_the_right_to_write_is_told_whether_a_service_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let home = Home::with_ledger();
    let lock = home.data().join("lock");
    // Nobody but its owner may look unless somebody lets them.
    mode(home.data().parent().unwrap(), 0o755);
    let let_in = || {
        for (path, is_directory) in super::listening::everything_below(&home.data()) {
            mode(&path, if is_directory { 0o755 } else { 0o644 });
        }
    };
    let_in();
    mode(&lock, 0o444);
    let audit = || {
        let mut command = foreseal();
        command.arg("audit").arg(home.data()).arg("--trust").arg(home.trust());
        if std::fs::OpenOptions::new().write(true).open(&lock).is_ok() {
            // The superuser may write everything: somebody else looks.
            command.uid(65_534).current_dir("/");
        }
        command
    };
    if let Err(error) = audit().arg("--help").output() {
        eprintln!("skipped: the program cannot be run by another user here: {error}");
        return;
    }
    run(&mut audit()).expect(0);
    let server = home.serve();
    let told = run(&mut audit()).expect(2).stdout;
    assert!(told.contains("a service has it open"), "{told}");
    server.stop();
    let_in();
    mode(&lock, 0o000);
    let told = run(&mut audit()).expect(2).stdout;
    assert!(told.contains("whether a service has it open cannot be told"), "{told}");
    assert!(told.contains("hint: "), "{told}");
    mode(&lock, 0o644);
    run(&mut audit()).expect(0);
}

#[test]
fn whoever_is_told_that_it_is_ready_may_stop_it_at_once() {
    let home = Home::with_ledger();
    for _ in 0..8 {
        home.serve_with(&[]).stop();
    }
}

#[test]
fn a_directory_of_a_newer_format_of_no_ledger_or_without_its_keys_refuses_to_start() {
    let home = Home::with_ledger();
    let format = home.data().join("format");
    for newer in ["foreseal data 1\n", "foreseal data 3\n", "foreseal data 20\n", "something else\n", ""] {
        std::fs::write(&format, newer).unwrap();
        refuses(&home, &["this software knows 2"]);
    }
    std::fs::remove_file(&format).unwrap();
    refuses(&home, &["holds no ledger", "foreseal init"]);
    std::fs::write(&format, "foreseal data 2\n").unwrap();
    for (file, says) in [("log.key", "log key"), ("kek", ""), ("session.key", ""), ("journal.key", "")] {
        let path = home.keys().join(file);
        let secret = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        refuses(&home, &[says]);
        let mut broken = secret.clone();
        broken[20] ^= 1;
        std::fs::write(&path, broken).unwrap();
        let said = refuses(&home, &[says]).stderr;
        assert!(!said.contains(&*String::from_utf8_lossy(&secret)), "{file} is in the message");
        std::fs::write(&path, secret).unwrap();
    }
    let head = home.keys().join("head");
    let note = std::fs::read_to_string(&head).unwrap();
    std::fs::write(&head, note.replace("\n1\n", "\n7\n")).unwrap();
    refuses(&home, &["head file"]);
    std::fs::write(&head, note).unwrap();
    home.serve().stop();
    // Another ledger's keys.
    let other = Home::with_ledger();
    let mut command = home.serve_command(&["--keys"]);
    let ended = run(command.arg(other.keys())).expect(2);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
}

#[test]
fn arguments_that_make_no_sense_end_with_exit_2() {
    let home = Home::with_ledger();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = home.data();
    let serve =
        |more: &[&str]| run(foreseal().args(["serve", "--data"]).arg(&data).args(more)).expect(2).stderr;
    assert!(serve(&["--listen", &address]).contains("--listen"));
    assert!(serve(&["--listen", "127.0.0.1:0", "--policies", "/nonexistent"]).contains("--policies"));
    assert!(serve(&["--log-format", "xml"]).contains("text and json"));
    assert!(run(foreseal().arg("serve")).expect(2).stderr.contains("--data"));
    run(foreseal().args(["init", "--origin", "has spaces", "--data"]).arg(home.path("new"))).expect(2);
    run(foreseal().arg("unknown")).expect(2);
    // Configuration from the environment and from a file, flags first.
    let config =
        home.file("foreseal.toml", format!("data = {data:?}\nlisten = {address:?}\nlog_format = \"json\"\n"));
    let said = run(foreseal().arg("serve").env("FORESEAL_CONFIG", &config)).expect(2).stderr;
    assert!(said.contains(&address), "{said}");
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
}

#[test]
fn promise_4_sigterm_drains_seals_what_is_in_hand_and_ends_with_0() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let idle = std::net::TcpStream::connect(server.address).unwrap();
    let on_its_way = bot.begin(&Request::post("/v1/intents", held("bot").to_string()));
    // Submitters who go on until the service is gone.
    let submitters: Vec<_> = (0..8)
        .map(|_| {
            let bot = bot.clone();
            std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                loop {
                    let intent = allowed("bot");
                    match bot.try_send(&Request::post("/v1/intents", intent.to_string())) {
                        Ok(reply) if reply.status == 201 => acknowledged.push(reply.json()),
                        Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.text()),
                        Err(_) => return acknowledged,
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(400));
    let token = server.operator().token.unwrap();
    let asked = Instant::now();
    server.child.terminate();
    std::thread::sleep(Duration::from_millis(300));
    // Begun before the signal, finished after it.
    let on_its_way = on_its_way.finish();
    assert_eq!(on_its_way.status, 201, "{}", on_its_way.text());
    server.ended(Duration::from_secs(20)).expect(0);
    // An idle connection that stays open does not hold it up.
    assert!(asked.elapsed() < Duration::from_secs(20));
    drop(idle);
    let mut acknowledged: Vec<Value> =
        submitters.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(!acknowledged.is_empty());
    acknowledged.push(on_its_way.json());
    let server = home.serve();
    let leaves = leaves(&server.client(&token));
    for answer in &acknowledged {
        let index = usize::try_from(answer["index"].as_u64().unwrap()).unwrap();
        assert_eq!(leaves[index], super::agents::entry_of(answer));
    }
}
