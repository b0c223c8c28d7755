//! Promise: the tables in the documentation are the tables in the code.
//!
//! `FORESEAL_BLESS=1 cargo test --test docs` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![cfg(feature = "server")]

use std::fmt::Write as _;
use std::path::Path;

use foreseal::record::limits::LIMITS;
use foreseal::service::{ErrorCode, SealedState};

const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->\n";

fn check(file: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{file} has no {BEGIN}"));
    let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("{file} has no {END}"));
    if found == table {
        return;
    }
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
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
fn limits() {
    let mut table = String::from("| limit | value | of what | beyond it |\n|---|---|---|---|\n");
    for limit in LIMITS {
        writeln!(table, "| `{}` | {} | {} | {} |", limit.name, limit.value, limit.unit, limit.what_happens)
            .unwrap();
    }
    check("docs/limits.md", &table);
}
