//! `/metrics`: what `docs/operating.md` lists, and numbers that agree with what was done.

use std::collections::BTreeMap;

use super::agents::{allowed, denied};
use super::process::{Home, STARTER};

/// Samples by name with labels, and the type of each metric.
struct Scrape {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

fn parse(text: &str) -> Scrape {
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends so");
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            let (name, kind) = named.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} twice");
        }
    }
    Scrape { samples, types }
}

/// Metric and type of each row between the table's marks.
fn documented() -> BTreeMap<String, String> {
    let text = include_str!("../../docs/operating.md");
    let table =
        text.split("<!-- metrics: begin -->").nth(1).unwrap().split("<!-- metrics: end -->").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).skip(1);
        (cells.next().unwrap(), cells.next().unwrap())
    })
    .collect()
}

#[test]
fn the_metrics_are_those_of_the_manual_and_count_what_was_done() {
    let home = Home::with_ledger();
    let server = home.serve_with(&["--policies", STARTER]);
    let bot = server.agent("bot");
    for _ in 0..5 {
        bot.seal(&denied("bot"));
    }
    for _ in 0..3 {
        bot.seal(&allowed("bot"));
    }
    for _ in 0..4 {
        assert_eq!(server.stranger().get("/v1/agents").status, 401);
    }
    assert_eq!(server.stranger().get("/metrics").status, 401);
    let reply = bot.get("/metrics");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    assert!(!text.contains("bot"), "no agent is named");
    let found = parse(&text);
    assert_eq!(found.types, documented());
    let value = |name: &str| found.samples.get(name).copied().unwrap_or_else(|| panic!("{name} in\n{text}"));
    #[allow(clippy::cast_precision_loss)]
    let size = bot.size() as f64;
    assert_eq!(value("foreseal_log_size"), size);
    let outcomes = |outcome: &str| value(&format!("foreseal_intents_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((outcomes("deny"), outcomes("allow"), outcomes("hold")), (5.0, 3.0, 0.0));
    assert_eq!(value("foreseal_refused_total{code=\"unauthenticated\"}"), 5.0);
    assert_eq!(value("foreseal_answer_seconds_count"), 8.0);
    // Each was alone, so each had a frame; the agent's registration and the policy had theirs.
    assert!(value("foreseal_journal_seconds_count") >= 9.0);
    assert!(value("foreseal_journal_seconds_sum") > 0.0);
    assert_eq!(value("foreseal_batch_entries_sum"), size - 1.0);
    for gauge in ["ready", "policy_active"] {
        assert_eq!(value(&format!("foreseal_{gauge}")), 1.0);
    }
    assert_eq!(value("foreseal_poisoned"), 0.0);
    assert!(value("foreseal_replay_bytes") > 0.0);
    assert!(value("foreseal_checkpoint_age_seconds") < 60.0);
}

#[test]
fn config_check_says_what_would_run_and_what_could_not() {
    use super::process::{foreseal, run};
    let home = Home::with_ledger();
    let data = home.data();
    let check = |more: &[&str]| {
        run(foreseal().args(["config", "check", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(more))
    };
    let good = check(&["--policies", STARTER, "--json"]).expect(0).json();
    let schema = serde_json::from_str(include_str!("../../schemas/report.schema.json")).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&good), "{good}");
    // While it is served: the lock is held, and that is no defect.
    let server = home.serve_with(&["--policies", STARTER]);
    let ended = check(&[]).expect(0);
    assert!(ended.stdout.contains("open in a running service"), "{}", ended.stdout);
    server.stop().expect(0);
    // A key that others may read, a policy that does not load, keys within the data, a directory that is no ledger.
    let key = home.keys().join("log.key");
    let mode =
        |bits| std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    mode(0o644);
    let ended = check(&[]).expect(1);
    assert!(ended.stdout.contains("log.key has mode 644: chmod 600"), "{}", ended.stdout);
    mode(0o600);
    let broken = home.path("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("a.cedar"), "permit (principal").unwrap();
    let ended = check(&["--policies", broken.to_str().unwrap()]).expect(1);
    assert!(ended.stdout.contains("✗ the policy bundle loads: a.cedar"), "{}", ended.stdout);
    let within = data.join("keys");
    check(&["--keys", within.to_str().unwrap()]).expect(1);
    assert!(run(foreseal().args(["config", "check", "--data"]).arg(&broken)).stdout.contains("is no ledger"));
    assert!(check(&["--config", "no-such-file"]).expect(2).stderr.contains("hint:"));
}
