//! `foreseal export tiles`: the whole log as plain files, and never a checkpoint over what it does not cover.

use std::fs;
use std::path::{Path, PathBuf};

use super::agents::denied;
use super::process::{Ended, Home, foreseal, run};

fn export(directory: &Path, more: &[&str]) -> Ended {
    run(foreseal().args(["export", "tiles"]).arg(directory).args(more))
}

fn audit(directory: &Path, trust: &str) -> Ended {
    run(foreseal().arg("audit").arg(directory).args(["--trust", trust]))
}

/// A stopped ledger with this many denied intents.
fn filled(leaves: usize) -> Home {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let bot = server.agent("bot");
    for _ in 0..leaves {
        bot.seal(&denied("bot"));
    }
    server.stop().expect(0);
    home
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_stopped_and_a_served_ledger_export_the_same_and_an_export_grows() {
    let home = filled(300);
    let (trust, data) = (home.trust(), home.data());
    let (trust, data) = (trust.to_str().unwrap(), data.to_str().unwrap());
    let at_rest = home.path("at-rest");
    let made = export(&at_rest, &["--data", data, "--json"]).expect(0).json();
    let validator = jsonschema::validator_for(
        &serde_json::from_str(include_str!("../../schemas/export.tiles.schema.json")).unwrap(),
    );
    assert!(validator.unwrap().is_valid(&made), "{made}");
    audit(&at_rest, trust).expect(0);

    let server = home.serve_with(&[]);
    let served = home.path("served");
    let token = home.admin_token();
    let from = ["--from", &server.url(), "--trust", trust, "--token", &token];
    export(&served, &from).expect(0);
    for file in files(&at_rest) {
        let other = served.join(file.strip_prefix(&at_rest).unwrap());
        assert_eq!(fs::read(&file).unwrap(), fs::read(&other).unwrap(), "{}", other.display());
    }
    // A grown log brings an older export up to date; what was there stays.
    let bot = server.agent("second");
    for _ in 0..250 {
        bot.seal(&denied("second"));
    }
    let before: Vec<(PathBuf, Vec<u8>)> =
        files(&served).into_iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    export(&served, &from).expect(0);
    audit(&served, trust).expect(0);
    for (file, bytes) in before.iter().filter(|(file, _)| !file.ends_with("checkpoint")) {
        assert_eq!(&fs::read(file).unwrap(), bytes);
    }
    // And a copy can be copied on, from its own files.
    let again = home.path("again");
    export(&again, &["--from", served.to_str().unwrap(), "--trust", trust]).expect(0);
    audit(&again, trust).expect(0);
    server.stop().expect(0);
}

#[test]
fn what_is_not_the_signed_log_gets_no_checkpoint() {
    let home = filled(10);
    let (trust, data) = (home.trust(), home.data());
    let (trust, data) = (trust.to_str().unwrap(), data.to_str().unwrap());
    let good = home.path("good");
    export(&good, &["--data", data]).expect(0);
    let bundle = files(&good.join("tile/entries")).pop().unwrap();
    let mut bytes = fs::read(&bundle).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let copy = home.path("copy");
    let ended = export(&copy, &["--from", good.to_str().unwrap(), "--trust", trust]).expect(1);
    assert!(
        ended.stderr.contains("the checkpoint says") && ended.stderr.contains("hint:"),
        "{}",
        ended.stderr
    );
    assert!(!copy.join("checkpoint").exists());
    // Another log's export is not written over.
    let other = filled(10);
    let before: Vec<_> = files(&good).into_iter().map(|file| fs::read(file).unwrap()).collect();
    let ended = export(&good, &["--data", other.data().to_str().unwrap()]).expect(2);
    assert!(ended.stderr.contains("another history"), "{}", ended.stderr);
    assert_eq!(files(&good).into_iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>(), before);
    // Without a key to trust, with a foreign one, over a ledger, or of nothing: refused before anything is written.
    let fresh = home.path("fresh");
    let foreign = other.trust();
    for more in [
        &["--from", good.to_str().unwrap()][..],
        &["--from", good.to_str().unwrap(), "--trust", foreign.to_str().unwrap()],
        &[],
    ] {
        let ended = export(&fresh, more).expect(2);
        assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
        assert!(!fresh.exists());
    }
    export(Path::new(data), &["--data", data]).expect(2);
}

#[test]
fn a_mirror_may_drop_partial_tiles_for_full_ones_and_nothing_else() {
    let home = filled(20);
    let (trust, data) = (home.trust(), home.data());
    let (trust, data) = (trust.to_str().unwrap(), data.to_str().unwrap());
    let small = home.path("small");
    export(&small, &["--data", data]).expect(0);
    let server = home.serve_with(&[]);
    let bot = server.agent("more");
    for _ in 0..260 {
        bot.seal(&denied("more"));
    }
    server.stop().expect(0);
    let large = home.path("large");
    export(&large, &["--data", data]).expect(0);
    // The older checkpoint over the larger log's full tiles: its partial ones are their first parts.
    fs::copy(small.join("checkpoint"), large.join("checkpoint")).unwrap();
    audit(&large, trust).expect(0);
    let copy = home.path("copy");
    export(&copy, &["--from", large.to_str().unwrap(), "--trust", trust]).expect(0);
    assert_eq!(files(&copy).len(), files(&small).len());
    fs::remove_file(large.join("tile/0/000")).unwrap();
    let ended = audit(&large, trust).expect(1);
    assert!(ended.stdout.contains("is missing"), "{}", ended.stdout);
}
