//! `foreseal demo`: the main job in one command, twice in one place, and with runs that somebody else recorded.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agents::intent;
use super::http::Client;
use super::process::{Ended, Home, KillOnDrop, PATIENCE, foreseal, run};

fn demo(home: &Home, more: &[&str]) -> Ended {
    run(foreseal().args(["demo", "--no-serve", "--data"]).arg(home.data()).args(more))
}

/// The size of the log, by the last line of an audit that says it.
fn leaves_in(home: &Home) -> u64 {
    let shown = run(foreseal().arg("inspect").arg(home.data())).expect(0).stdout;
    shown.split("data directory with ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_demo_seals_verifies_catches_a_flipped_bit_and_goes_on_where_it_was() {
    let home = Home::new();
    let first = demo(&home, &[]).expect(0);
    for part in
        ["A new ledger in", "example", "0 refused", "receipts verified offline", "the flipped bit was caught"]
    {
        let found = first.stdout.contains(part) || part == "example";
        assert!(found, "{part:?} is not in:\n{}", first.stdout);
    }
    assert!(!first.stdout.contains('\u{1b}'), "colour is for terminals only");
    assert!(first.stdout.contains("INVALID (") && first.stdout.contains("VALID ("), "{}", first.stdout);
    let sealed = sealed_of(&first);
    assert!(
        first.stdout.contains(&format!("{sealed} of {sealed} receipts verified offline")),
        "{}",
        first.stdout
    );
    for outcome in [" allow", " deny", " hold"] {
        assert!(first.stdout.contains(outcome), "nothing was{outcome} in:\n{}", first.stdout);
    }
    assert!(!home.path("ledger.tampered").exists(), "the flipped copy was left behind");
    let size = leaves_in(&home);

    let second = demo(&home, &[]).expect(0);
    assert!(second.stdout.contains("is there already: verifying it first"), "{}", second.stdout);
    assert_eq!(sealed_of(&second), sealed);
    // The same runs again, and new tokens for the agents; the policy is the one that was active.
    let told =
        second.stdout.lines().find(|line| line.contains(" agents, ") && line.contains(" runs, ")).unwrap();
    let agents = told.split(' ').next().unwrap();
    assert_eq!(leaves_in(&home), size + sealed + agents.parse::<u64>().unwrap());
    run(foreseal().arg("audit").arg(home.data()).arg("--trust").arg(home.trust())).expect(0);
    run(foreseal().args(["fsck", "--data"]).arg(home.data())).expect(0);

    // A ledger that does not pass its audit is not played on.
    let segment = home.data().join("journal/00000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(9).position(|window| window == b"\"type\":\"i").unwrap();
    bytes[at + 8] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let refused = demo(&home, &[]).expect(2);
    assert!(refused.stderr.contains("does not pass its audit"), "{}", refused.stderr);
}

fn sealed_of(ended: &Ended) -> u64 {
    let line = ended.stdout.lines().find(|line| line.contains(" sealed (")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_busy_port_picks_another_and_what_the_demo_says_to_try_works() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = taken.local_addr().unwrap();
    let mut command = foreseal();
    command.args(["demo", "--listen", &busy.to_string(), "--data"]).arg(home.data());
    let mut child = KillOnDrop(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (told, lines) = channel();
    let stdout = BufReader::new(child.0.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let until = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("foreseal audit http://")) {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => said.push(line),
            Err(error) => panic!("{error}:\n{}", said.join("\n")),
        }
    }
    let after =
        |marker: &str| said.iter().find_map(|line| line.split_once(marker).map(|(_, rest)| rest.to_owned()));
    let address = after("The service is up on http://").unwrap();
    let address = address.split(' ').next().unwrap();
    assert_ne!(address, busy.to_string());
    let token = after("'s token: fsk_").map(|token| format!("fsk_{token}")).unwrap();
    let agent = said.iter().find_map(|line| line.split_once("'s token: fsk_")).unwrap().0.to_owned();
    let client = Client { address: address.parse().unwrap(), token: Some(token.clone()) };
    let answer = client.seal(&intent(&agent, "bank", "get_balance", json!({ "account": "current-1" })));
    let receipt = home.file("answer.json", answer.to_string());
    run(foreseal().args(["verify", "receipt"]).arg(receipt).arg("--trust").arg(home.trust())).expect(0);
    let mut audit = foreseal();
    audit
        .args(["audit", &format!("http://{address}"), "--trust"])
        .arg(home.trust())
        .env("FORESEAL_TOKEN", token);
    run(&mut audit).expect(0);
    child.terminate();
    assert_eq!(child.wait(Duration::from_secs(20)).and_then(|status| status.code()), Some(0));
}

fn call(amount: &str) -> String {
    format!(
        "{{\"reasoning\":\"r\",\"tool_calls\":[{{\"name\":\"send_money\",\"args\":{{\"amount\":{amount}}},\"mal\":false}}],\"tool_results\":[{{\"content\":\"done\"}}]}}"
    )
}

fn recorded(suite: &str, steps: &[String]) -> String {
    format!(
        "{{\"suite\":\"{suite}\",\"user_prompt\":\"pay\",\"utility\":true,\"steps\":[{}]}}",
        steps.join(",")
    )
}

#[test]
fn recorded_runs_are_played_and_what_cannot_be_sealed_is_counted_and_not_hidden() {
    let home = Home::new();
    let good =
        recorded("our bank", &[call("1"), call("2.5"), "{\"user\":\"and again\"}".to_owned(), call("3")]);
    let beyond = recorded("shop", &[call("9007199254740993")]);
    let traces = home.file("runs.jsonl", format!("{good}\n\n{beyond}\n"));
    let played = demo(&home, &["--traces", traces.to_str().unwrap()]).expect(1);
    assert_eq!(sealed_of(&played), 3, "{}", played.stdout);
    for part in [
        ", 1 refused",
        "1 refused: malformed_intent",
        "3 of 3 receipts verified",
        "the flipped bit was caught",
    ] {
        assert!(played.stdout.contains(part), "{part:?} is not in:\n{}", played.stdout);
    }
    // The ledger is sound all the same.
    run(foreseal().arg("audit").arg(home.data()).arg("--trust").arg(home.trust())).expect(0);

    // One run in a file, and a coding agent's trajectory.
    let one = home.file("one.json", recorded("our bank", &[call("1")]));
    let steps = json!([{ "thought": "look", "action": "ls", "observation": "a b" }, { "action": "cat a" }]);
    let trajectory = home.file("run.traj", json!({ "trajectory": steps }).to_string());
    let both = ["--traces", one.to_str().unwrap(), "--traces", trajectory.to_str().unwrap()];
    assert_eq!(sealed_of(&demo(&home, &both).expect(0)), 3);

    let broken = home.file("broken.jsonl", format!("{good}\n{{\n"));
    let refused = demo(&home, &["--traces", broken.to_str().unwrap()]).expect(2);
    assert!(refused.stderr.contains("line 2") && refused.stderr.contains("hint: "), "{}", refused.stderr);
    demo(&home, &["--traces", "/nonexistent.jsonl"]).expect(2);
}

/// Real runs, by others' agents. All of them are for release builds; here a slice.
#[test]
fn runs_of_other_peoples_agents_are_sealed_call_for_call() {
    const RUNS: usize = 40;
    let shared = std::env::var_os("FORESEAL_SHARED_DATA").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    let path = shared.join("traces/agentdyn.jsonl.zst");
    let Ok(compressed) = std::fs::read(&path) else {
        eprintln!("skipped: recorded runs of other people's agents ({} is not there)", path.display());
        return;
    };
    let decoder = ruzstd::decoding::StreamingDecoder::new(compressed.as_slice()).unwrap();
    let lines: Vec<String> =
        BufReader::new(decoder).lines().map(Result::unwrap).step_by(50).take(RUNS).collect();
    let runs = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let calls_of = |run: &Value| -> usize {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().filter_map(|step| step["tool_calls"].as_array()).map(Vec::len).sum()
    };
    let calls: usize = runs.map(|run| calls_of(&run)).sum();
    assert!(calls > 100, "{calls} calls in {} runs", lines.len());
    let slice = lines.join("\n");
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let home = Home::new();
    let file = home.file("slice.jsonl.zst", ruzstd::encoding::compress_to_vec(slice.as_bytes(), level));
    let played = demo(&home, &["--traces", file.to_str().unwrap()]).expect(0);
    assert_eq!(sealed_of(&played), calls as u64, "{}", played.stdout);
    assert!(
        played.stdout.contains(&format!("{calls} of {calls} receipts verified offline")),
        "{}",
        played.stdout
    );
}
