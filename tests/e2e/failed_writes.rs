//! Promise 3 where the disk fails: nothing is allowed, the service ends with a code of its own, and a restart recovers.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use foreseal::service::ErrorCode;
use serde_json::{Value, json};

use super::agents::{allowed, denied, entry_of, leaves};
use super::errors::assert_problem;
use super::http::{Reply, Request};
use super::process::{Home, STARTER, Server, foreseal, run};

/// What a service that stopped sealing ends with.
const EXIT_POISONED: i32 = 74;

/// A service that is told of writes beyond its limit by an error and not by the signal that would end it.
fn serve_limited(home: &Home) -> Server {
    let serve = home.serve_command(&["--policies", STARTER]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs().filter(|(_, value)| value.is_none()) {
        assert!(value.is_none());
        command.env_remove(name);
    }
    Server::start(command, &home.admin_token())
}

/// From now on no file of this process grows beyond so many bytes. `false` where the machine cannot do that.
fn limit_file_size(server: &Server, bytes: u64) -> bool {
    let pid = server.child.0.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).output();
    let limited = limited.is_ok_and(|output| output.status.success());
    if !limited {
        eprintln!("skipped: writes that fail in a running service (there is no prlimit that works)");
    }
    limited
}

/// Where the next frame will be written in the first segment: behind the last block that is not zeros.
fn journal_end(home: &Home) -> u64 {
    let bytes = std::fs::read(home.data().join("journal/00000000.seg")).unwrap();
    let used = bytes.chunks(4096).rposition(|block| block.iter().any(|byte| *byte != 0));
    (used.map_or(0, |block| block + 1) * 4096) as u64
}

/// The frame that is not written at all, and frames that are torn in their first block and in a later one.
#[test]
fn promise_3_after_a_failed_write_nothing_is_allowed_until_a_restart_has_recovered() {
    std::thread::scope(|scope| {
        for torn_after in [None, Some(100), Some(8192)] {
            scope.spawn(move || one_failed_write(torn_after));
        }
    });
}

fn one_failed_write(torn_after: Option<u64>) {
    let home = Home::with_ledger();
    let server = serve_limited(&home);
    let bot = server.agent("bot");
    let sealed = bot.seal(&allowed("bot"));
    // Until the idle marker and the index's rows are written, and nobody writes any more.
    std::thread::sleep(Duration::from_millis(1_600));
    let limit = torn_after.map_or(4096, |bytes| journal_end(&home) + bytes);
    let mut intent = allowed("bot");
    intent["reasoning"] = json!(["because ".repeat(2_000)]);
    let waiting = bot.begin(&Request::post("/v1/intents", allowed("bot").to_string()));
    if !limit_file_size(&server, limit) {
        return;
    }
    let failed = bot.submit(&intent);
    assert_problem(&failed, ErrorCode::OutcomeUnknown);
    // Somebody who was on the way: nothing of it is sealed, and the answer says so.
    assert_problem(&waiting.finish(), ErrorCode::Poisoned);
    let size = sealed["index"].as_u64().unwrap() + 1;
    let ended = server.ended(Duration::from_secs(20)).expect(EXIT_POISONED);
    assert!(ended.stderr.contains("sealing stopped after a failed write"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: ") && ended.stderr.contains("foreseal fsck"), "{}", ended.stderr);

    let server = home.serve();
    let bot = server.client(bot.token.as_deref().unwrap());
    assert_eq!(bot.size(), size, "torn after {torn_after:?}");
    assert_eq!(leaves(&bot)[size as usize - 1], entry_of(&sealed));
    // What was not known is known now: it was not sealed, and the same id seals it.
    let answer = bot.seal(&intent);
    assert_eq!((&answer["index"], &answer["decision"]["outcome"]), (&json!(size), &json!("allow")));
    audits(&home, server);
}

#[test]
fn promise_3_of_many_at_once_none_is_allowed_after_the_write_that_failed() {
    let home = Home::with_ledger();
    let server = serve_limited(&home);
    let bot = server.agent("bot");
    let submitters: Vec<_> = (0..8)
        .map(|_| {
            let bot = bot.clone();
            std::thread::spawn(move || {
                let mut replies = Vec::new();
                while let Ok(reply) = bot.try_send(&Request::post("/v1/intents", allowed("bot").to_string()))
                {
                    replies.push(reply);
                }
                replies
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    if !limit_file_size(&server, 4096) {
        server.kill();
        return;
    }
    let ended = server.ended(Duration::from_secs(20)).expect(EXIT_POISONED);
    let mut acknowledged = Vec::new();
    let mut unknown = 0;
    for submitter in submitters {
        let replies = submitter.join().unwrap();
        let first = replies.iter().position(|reply| reply.status != 201).unwrap_or(replies.len());
        let (sealed, failed) = replies.split_at(first);
        acknowledged.extend(sealed.iter().map(Reply::json));
        for reply in failed {
            let is_unknown = reply.code() == ErrorCode::OutcomeUnknown.as_str();
            assert_problem(reply, if is_unknown { ErrorCode::OutcomeUnknown } else { ErrorCode::Poisoned });
            unknown += usize::from(is_unknown);
        }
    }
    assert!(!acknowledged.is_empty() && unknown <= 8, "{} sealed, {unknown} unknown", acknowledged.len());
    assert!(ended.stderr.contains("failed write"), "{}", ended.stderr);
    recovers(&home, &acknowledged);
}

/// A small file system of its own, taken away again.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={megabytes}m,mode=700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "foreseal-test"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: a disk that is really full (mounting a tmpfs is not allowed here)");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn promise_3_a_full_disk_allows_nothing_and_what_was_sealed_is_there_when_there_is_room_again() {
    let home = Home::new();
    // Keys on the other disk, as one would have them. Room for five segments of 16 MiB.
    let Some(mounted) = Mounted::tmpfs(&home.data(), 84) else { return };
    run(foreseal().args(["init", "--data"]).arg(home.data())).expect(0);
    let server = home.serve();
    // At once, so that the segments that are made ahead find no room: the fewer there are, the sooner it fails.
    let filler = home.data().join("filler");
    fill(&filler);
    let bot = server.agent("bot");
    // The segments that are ready take all of this; the tiles of the first 256 leaves find no room.
    let mut acknowledged = Vec::new();
    let failed = loop {
        match bot.try_send(&Request::post("/v1/intents", denied("bot").to_string())) {
            Ok(reply) if reply.status == 201 => acknowledged.push(reply.json()),
            failed => break failed,
        }
        assert!(acknowledged.len() < 1_000, "the disk does not fill");
    };
    if let Ok(failed) = failed {
        let is_unknown = failed.code() == ErrorCode::OutcomeUnknown.as_str();
        assert_problem(&failed, if is_unknown { ErrorCode::OutcomeUnknown } else { ErrorCode::Poisoned });
    }
    let ended = server.ended(Duration::from_secs(20)).expect(EXIT_POISONED);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);

    // While there is no room it does not come up, or it comes up and seals nothing; in any case it says so.
    fill(&filler);
    let still_full = run(&mut home.serve_command(&[])).expect(2);
    assert!(still_full.stderr.contains("hint: "), "{}", still_full.stderr);
    std::fs::remove_file(&filler).unwrap();
    recovers(&home, &acknowledged);
    drop(mounted);
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for step in [1 << 20, 4096] {
        while file.write_all(&vec![1; step]).is_ok() {}
    }
}

/// A restart works, has everything that was acknowledged, seals, and the log passes its audits.
fn recovers(home: &Home, acknowledged: &[Value]) {
    let server = home.serve();
    let leaves = leaves(&server.operator());
    for answer in acknowledged {
        assert_eq!(leaves[answer["index"].as_u64().unwrap() as usize], entry_of(answer));
    }
    let token =
        server.operator().post("/v1/agents/bot/rotate", "{}").json()["token"].as_str().unwrap().to_owned();
    server.client(&token).seal(&allowed("bot"));
    audits(home, server);
}

fn audits(home: &Home, server: Server) {
    let audit = |log: &str| {
        let mut command = foreseal();
        command.args(["audit", log, "--token", &home.admin_token(), "--trust"]).arg(home.trust());
        run(&mut command).expect(0);
    };
    audit(&server.url());
    server.stop();
    audit(home.data().to_str().unwrap());
    run(foreseal().args(["fsck", "--data"]).arg(home.data())).expect(0);
}
