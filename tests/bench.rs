//! Promise: `foreseal bench` measures every row, says so in its schema's form, and leaves nothing behind.
//!
//! No time is judged here: a machine that runs tests is no place for that.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![cfg(feature = "server")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreseal"));
    command.arg("bench").args(arguments).arg("--dir").arg(directory);
    command.output().unwrap()
}

fn measured(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn schema() -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/bench.schema.json");
    jsonschema::validator_for(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).unwrap()
}

#[test]
fn every_row_is_measured_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let pictures = tempfile::tempdir().unwrap();
    let shown = pictures.path().display().to_string();
    let report = measured(&bench(&["--quick", "--json", "--svg", &shown], directory.path()));
    let schema = schema();
    let faults: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(faults, Vec::<String>::new());
    // A schema that took anything would hold nothing.
    let mut other = report.clone();
    other["rows"][0]["unit"] = "furlongs".into();
    assert!(!schema.is_valid(&other));
    let rows = report["rows"].as_array().unwrap();
    let count = |name: &str| rows.iter().filter(|row| row["row"] == name).count();
    let counts = [
        "throughput",
        "signed",
        "latency",
        "load",
        "append",
        "proofs",
        "memory",
        "restart",
        "audit",
        "policy",
        "budget",
    ]
    .map(count);
    assert_eq!(counts, [1, 1, 1, 1, 1, 2, 1, 2, 3, 1, 1], "{rows:?}");
    assert_eq!(report["missing"][0]["row"], "permits");
    assert!(rows.iter().all(|row| row["value"]["median"].as_f64().is_some_and(|value| value > 0.0)));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for plot in report["plots"].as_array().unwrap() {
        let name = format!("{}.svg", plot["name"].as_str().unwrap());
        assert!(std::fs::read_to_string(pictures.path().join(name)).unwrap().starts_with("<svg"));
    }
}

#[test]
fn a_row_is_measured_alone_and_written_where_the_page_has_its_marks() {
    let directory = tempfile::tempdir().unwrap();
    let docs = tempfile::tempdir().unwrap();
    let page = docs.path().join("performance.md");
    let shown = docs.path().display().to_string();
    let arguments = ["policy", "--rounds", "1", "--seconds", "0.1", "--write", &shown];
    std::fs::write(&page, "no marks").unwrap();
    assert_eq!(bench(&arguments, directory.path()).status.code(), Some(2));
    std::fs::write(&page, "before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n").unwrap();
    let output = bench(&arguments, directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(
        text.starts_with("before\n<!-- bench: begin -->\n") && text.ends_with("<!-- bench: end -->\nafter\n")
    );
    assert!(text.contains("1 000 rules") && !text.contains("old\n") && !text.contains("Ed25519"));
    let numbers = std::fs::read(docs.path().join("performance/performance.json")).unwrap();
    assert!(schema().is_valid(&serde_json::from_slice(&numbers).unwrap()));
}
