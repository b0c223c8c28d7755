//! Promise: the tables in the documentation are the tables in the code.
//!
//! `FORESEAL_BLESS=1 cargo test --test docs` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![cfg(feature = "server")]

use std::fmt::Write as _;
use std::path::Path;

use foreseal::record::limits::LIMITS;
use foreseal::service::{ErrorCode, SealedState};

#[path = "support/json_outputs.rs"]
mod json_outputs;

use json_outputs::{OTHERS, OUTPUTS};

fn check(file: &str, table: &str) {
    check_named(file, "table", table);
}

/// Holds the lines between two marks of this name.
fn check_named(file: &str, name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has no {end}"));
    if found == table {
        return;
    }
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    panic!("{file} does not hold the code's table; FORESEAL_BLESS=1 cargo test --test docs writes it");
}

#[test]
fn errors() {
    let mut table = String::from(
        "| code | status | meaning | was anything sealed? | try again |\n|---|---|---|---|---|\n",
    );
    for code in ErrorCode::ALL {
        let sealed = match code.sealed() {
            SealedState::No => "no",
            SealedState::Yes => "yes",
            SealedState::Unknown => "not known",
            SealedState::NotAsked => "the request seals nothing",
        };
        let meaning = code.meaning().trim();
        writeln!(
            table,
            "| `{}` | {} | {meaning} | {sealed} | {} |",
            code.as_str(),
            code.status(),
            code.retry()
        )
        .unwrap();
    }
    check("docs/errors.md", &table);
}

#[test]
fn grpc_statuses() {
    let mut table = String::from("| code | gRPC status | over HTTP |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        let status = format!("{:?}", foreseal::api::grpc::status_of(*code));
        let upper = status.char_indices().fold(String::new(), |name, (at, c)| {
            let word = if at > 0 && c.is_ascii_uppercase() { "_" } else { "" };
            name + word + &c.to_ascii_uppercase().to_string()
        });
        writeln!(table, "| `{}` | `{upper}` | {} |", code.as_str(), code.status()).unwrap();
    }
    check("docs/grpc.md", &table);
}

#[test]
fn json() {
    let mut table = String::from("| command | schema | what |\n|---|---|---|\n");
    for output in OUTPUTS {
        let link = format!("[{0}](../schemas/{0}.schema.json)", output.schema);
        writeln!(table, "| `{}` | {link} | {} |", output.command, output.what).unwrap();
    }
    check_named("docs/json.md", "outputs", &table);
    let mut table = String::from("| in `schemas/` | what |\n|---|---|\n");
    for (file, what) in OTHERS {
        writeln!(table, "| `{file}` | {what} |").unwrap();
    }
    check_named("docs/json.md", "others", &table);
    // Nothing is left out, and nothing is named that is not there.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| if name.starts_with("entry.") { "entry.TYPE.schema.json".to_owned() } else { name })
        .collect();
    let mut named: Vec<String> =
        OUTPUTS.iter().map(|output| format!("{}.schema.json", output.schema)).collect();
    named.extend(OTHERS.iter().map(|(file, _)| (*file).to_owned()));
    for names in [&mut found, &mut named] {
        names.sort();
        names.dedup();
    }
    assert_eq!(found, named);
}

#[test]
fn limits() {
    let mut table = String::from("| limit | value | of what | beyond it |\n|---|---|---|---|\n");
    for limit in LIMITS {
        writeln!(table, "| `{}` | {} | {} | {} |", limit.name, limit.value, limit.unit, limit.what_happens)
            .unwrap();
    }
    check("docs/limits.md", &table);
}
