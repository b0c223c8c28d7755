#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: the map of rooms in `src/lib.rs` is true. Arrows go up the table only, what belongs to one room stays in
//! it, no panic is left without its invariant, headers say what they must, and what `docs/promises.md` names exists.
//!
//! The rules read `src/` as text. They stop mistakes, not malice: a review still reads the code.

#[path = "architecture/rooms.rs"]
mod rooms;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/snippets.rs"]
mod snippets;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rooms::{Arrows, ROOMS, ROOT_FILES};
use rules::Finding;
use source::Source;

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// Every Rust file under `folder`, in the order of their paths.
fn read(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(PACKAGE).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let parts: Vec<_> =
                file.strip_prefix(PACKAGE).unwrap().iter().map(|p| p.to_str().unwrap()).collect();
            Source::parse(&parts.join("/"), &fs::read_to_string(file).unwrap())
        })
        .collect();
    mark_test_modules(&mut sources);
    sources
}

/// `#[cfg(test)] mod model;` makes a test file of `model.rs` beside it.
fn mark_test_modules(sources: &mut [Source]) {
    let declared: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| {
            let folder = match source.path.rsplit_once('/') {
                Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
                _ => source.path.trim_end_matches(".rs").to_owned(),
            };
            let names = source.test_modules_elsewhere();
            names
                .into_iter()
                .flat_map(move |name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")])
        })
        .collect();
    for source in sources.iter_mut().filter(|source| declared.contains(&source.path)) {
        source.mark_all_as_test();
    }
}

fn hold(rule: &str, check: fn(&Source) -> Vec<Finding>) {
    report(rule, &read("src").iter().flat_map(check).collect::<Vec<_>>());
}

fn report(rule: &str, findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(|finding| format!("  {finding}")).collect();
    assert!(findings.is_empty(), "{rule}\n{}\n", lines.join("\n"));
}

#[test]
fn the_table_in_lib_rs_is_the_one_that_is_checked() {
    let lib = fs::read_to_string(Path::new(PACKAGE).join("src/lib.rs")).unwrap();
    let rows: Vec<(String, String)> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"))
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let name = cells.first()?.trim_matches(['[', ']', '`']);
            (name != "room").then(|| (name.to_owned(), (*cells.last().unwrap()).to_owned()))
        })
        .collect();
    let checked: Vec<(String, String)> = ROOMS
        .iter()
        .map(|room| {
            let words = match room.arrows {
                Arrows::Nothing => "–".to_owned(),
                Arrows::Only(rooms) => rooms.join(" "),
                Arrows::Above(words) => words.to_owned(),
            };
            (room.name.to_owned(), words)
        })
        .collect();
    assert_eq!(rows, checked, "the table in src/lib.rs and the one in tests/architecture/rooms.rs differ");
    for (row, room) in ROOMS.iter().enumerate() {
        let Arrows::Only(uses) = room.arrows else { continue };
        for used in uses.iter().chain(room.nouns) {
            let target = ROOMS.iter().position(|r| r.name == *used);
            assert!(target.is_some_and(|target| target < row), "{} -> {used} does not go up", room.name);
        }
    }
}

#[test]
fn every_folder_is_a_room_and_every_room_a_folder() {
    let sources = read("src");
    let found: BTreeSet<&str> =
        sources.iter().filter(|s| !ROOT_FILES.contains(&s.path.as_str())).map(Source::room).collect();
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).collect();
    assert_eq!(found, rooms, "the folders of src/ are the rooms of the table");
    let lib = sources.iter().find(|s| s.path == "src/lib.rs").unwrap();
    let declared: BTreeSet<&str> =
        lib.code.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared, rooms, "src/lib.rs declares the rooms and nothing else");
}

#[test]
fn arrows_go_up_the_table_only() {
    hold("a room uses only the rooms that its row of the table names", rules::arrows);
}

#[test]
fn what_belongs_to_one_room_stays_there() {
    hold("files, sockets, time, threads and output belong to few rooms", rules::confined);
}

#[test]
fn panics_carry_their_invariant() {
    hold(
        "library code does not panic, except where an invariant that stands there excludes it",
        rules::panics,
    );
}

#[test]
fn headers_say_what_a_room_does_and_does_not() {
    hold("a room's header says what it does, does not do, whom it may use, its invariants", rules::header);
}

#[test]
fn files_and_functions_are_short_and_named_for_what_they_do() {
    hold("files up to 500 lines, functions up to 70, names that say something", rules::sizes_and_names);
}

#[test]
fn nothing_is_left_for_later() {
    let mut sources = read("src");
    // The rules themselves have to name the words they look for.
    sources.extend(read("tests").into_iter().filter(|s| !s.path.starts_with("tests/architecture")));
    report(
        "no marker of unfinished work, no test switched off",
        &sources.iter().flat_map(rules::unfinished).collect::<Vec<_>>(),
    );
}

#[test]
fn no_path_of_one_machine() {
    hold("nothing depends on where one machine keeps its files", rules::machine_paths);
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let promises = fs::read_to_string(Path::new(PACKAGE).join("docs/promises.md")).unwrap();
    let mut sources = read("src");
    sources.extend(read("tests"));
    let findings: Vec<Finding> = promises
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| "))
        .flat_map(|(index, line)| {
            let last = line.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or("");
            let names = last.split('`').skip(1).step_by(2);
            let missing = names.filter(|name| !test_exists(name, &sources)).map(move |name| Finding {
                path: "docs/promises.md".to_owned(),
                line: index + 1,
                says: format!("there is no test `{name}`"),
            });
            missing.collect::<Vec<_>>()
        })
        .collect();
    report("a promise names the test that would show it broken", &findings);
}

/// `tests/receipts.rs::a_test`, `merkle::proof::tests::a_test` or the path of a file.
fn test_exists(name: &str, sources: &[Source]) -> bool {
    let Some((place, function)) = name.rsplit_once("::") else {
        return Path::new(PACKAGE).join(name).is_file();
    };
    let room = place.split("::").next().unwrap_or(place);
    sources
        .iter()
        .filter(|s| s.path == place || (s.path.starts_with("src/") && s.room() == room))
        .any(|s| s.functions().iter().any(|f| f.name == function && s.is_test(f.lines.0)))
}
