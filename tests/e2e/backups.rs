//! Backups as the manual has them made: of a running service, whole enough to be audited, and to go on from if nothing
//! newer is known.

use std::fs;
use std::path::{Path, PathBuf};

use super::agents::allowed;
use super::process::{Ended, Home, Server, foreseal, run};

/// What `docs/operating.md` copies, in its order: the newest segment first, and the keys without the head.
fn back_up(home: &Home, to: &str) -> PathBuf {
    let (data, keys) = (home.path(to).join("ledger"), home.path(to).join("ledger.keys"));
    fs::create_dir_all(data.join("journal")).unwrap();
    for file in ["format", "trust.policy"] {
        fs::copy(home.data().join(file), data.join(file)).unwrap();
    }
    let mut segments: Vec<_> =
        home.data().join("journal").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for segment in segments.iter().rev() {
        fs::copy(segment, data.join("journal").join(segment.file_name().unwrap())).unwrap();
    }
    copy_tree(&home.keys(), &keys);
    fs::remove_file(keys.join("head")).unwrap();
    data
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn audit(data: &Path, home: &Home, more: &[&str]) -> Ended {
    run(foreseal().arg("audit").arg(data).arg("--trust").arg(home.trust()).args(more))
}

fn serve_copy(home: &Home, data: &Path) -> Server {
    let mut command = foreseal();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    Server::start(command, &home.admin_token())
}

#[test]
fn a_copy_of_a_running_service_is_audited_and_goes_on_where_nothing_newer_is_known() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    // A full bundle and tile, which the copy leaves out.
    for _ in 0..300 {
        bot.seal(&allowed("bot"));
    }
    // Until the marker with the last checkpoint is written.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let newest = bot.get("/checkpoint").text();
    let copy = back_up(&home, "backup");
    let audited = audit(&copy, &home, &[]).expect(0);
    for line in ["VALID (data directory)", "the tiles: there are none", "the index: there is none"] {
        assert!(audited.stdout.contains(line), "{line} is not in\n{}", audited.stdout);
    }
    let checked = run(foreseal().args(["fsck", "--data"]).arg(&copy)).expect(0).stdout;
    assert!(checked.contains("the head: there is none") && checked.contains("303 payloads"), "{checked}");
    // Without a head it does not start; with the newest there is it goes on, and an older place no longer does.
    let refused = run(foreseal().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&copy)).expect(2);
    assert!(refused.stderr.contains("head file is missing"), "{}", refused.stderr);
    server.stop().expect(0);
    let keys = home.path("backup/ledger.keys");
    fs::write(keys.join("head"), &newest).unwrap();
    let restored = serve_copy(&home, &copy);
    let size: u64 = newest.lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(restored.operator().size(), size);
    restored.client(bot.token.as_deref().unwrap()).seal(&allowed("bot"));
    restored.stop().expect(0);
    fs::copy(keys.join("head"), home.keys().join("head")).unwrap();
    let refused = run(&mut home.serve_command(&[])).expect(2);
    assert!(refused.stderr.contains("signed head of size"), "{}", refused.stderr);
}

#[test]
fn a_copy_that_is_torn_at_its_end_is_audited_up_to_a_signed_size() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    (0..20).for_each(|_| drop(bot.seal(&allowed("bot"))));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let size = (bot.size() - 5).to_string();
    let copy = back_up(&home, "backup");
    server.stop().expect(0);
    // One of the last intents' frames as a copier met it: its first sector, and zeros where the rest was to come.
    let segment = copy.join("journal/00000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let frames: Vec<usize> =
        (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"FSJ1")).collect();
    let intent = frames[frames.len() - 3];
    bytes[intent + 512..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let whole = audit(&copy, &home, &[]).expect(1);
    assert!(whole.stdout.contains("--upto"), "{}", whole.stdout);
    let signed = audit(&copy, &home, &["--upto", &size]).expect(0);
    assert!(signed.stdout.contains("bytes behind the last whole frame"), "{}", signed.stdout);
    // Not a leaf more than is signed, and damage before the end is no torn end.
    audit(&copy, &home, &["--upto", "1000"]).expect(2);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[4096 + 300] ^= 1;
    fs::write(&segment, bytes).unwrap();
    audit(&copy, &home, &["--upto", &size]).expect(1);
}
