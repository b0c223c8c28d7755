//! The rooms and what belongs to some of them alone, as data. `src/lib.rs` shows the same table to readers; a test
//! holds the two together.

/// What the third column of the table in `src/lib.rs` says.
pub(crate) enum Arrows {
    /// No other room.
    Nothing,
    /// These rooms.
    Only(&'static [&'static str]),
    /// Every room in a row above, in these words.
    Above(&'static str),
}

pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) arrows: Arrows,
    /// Pure rooms whose nouns this room may name too, because the room it uses speaks in them.
    pub(crate) nouns: &'static [&'static str],
}

/// In the order of the table: arrows go from a row to rows above it only.
pub(crate) const ROOMS: &[Room] = &[
    Room { name: "merkle", arrows: Arrows::Nothing, nouns: &[] },
    Room { name: "note", arrows: Arrows::Only(&["merkle"]), nouns: &[] },
    Room { name: "record", arrows: Arrows::Only(&["merkle"]), nouns: &[] },
    Room { name: "policy", arrows: Arrows::Only(&["record"]), nouns: &[] },
    Room { name: "evidence", arrows: Arrows::Only(&["merkle", "note", "record", "policy"]), nouns: &[] },
    Room { name: "disk", arrows: Arrows::Nothing, nouns: &[] },
    Room { name: "journal", arrows: Arrows::Only(&["disk"]), nouns: &[] },
    Room { name: "ledger", arrows: Arrows::Above("all above"), nouns: &[] },
    Room { name: "service", arrows: Arrows::Above("ledger and below"), nouns: &[] },
    // Never disk, journal or ledger: who may do what is decided in `service`.
    Room {
        name: "api",
        arrows: Arrows::Only(&["service"]),
        nouns: &["merkle", "note", "record", "evidence"],
    },
    Room { name: "cli", arrows: Arrows::Above("everything"), nouns: &[] },
];

/// The files at the root of `src/`, which may use every room.
pub(crate) const ROOT_FILES: &[&str] = &["src/lib.rs", "src/main.rs"];

/// The rooms that `room` may use, itself included. `None`: all.
pub(crate) fn may_use(room: &str) -> Option<Vec<&'static str>> {
    let row = ROOMS.iter().position(|r| r.name == room)?;
    let here = ROOMS.get(row)?;
    let mut allowed: Vec<&str> = match here.arrows {
        Arrows::Nothing => Vec::new(),
        Arrows::Only(rooms) => rooms.to_vec(),
        Arrows::Above(_) => ROOMS.iter().take(row).map(|r| r.name).collect(),
    };
    allowed.extend(here.nouns);
    allowed.push(here.name);
    Some(allowed)
}

/// Something that only some rooms may touch.
pub(crate) struct Confined {
    pub(crate) sentence: &'static str,
    /// Paths, by their beginning, groups taken apart: `std::fs` also finds `use std::{fs, io}`.
    pub(crate) paths: &'static [&'static str],
    /// Words in the code.
    pub(crate) words: &'static [&'static str],
    pub(crate) rooms: &'static [&'static str],
    pub(crate) files: &'static [&'static str],
    /// Whether test code is held to it too.
    pub(crate) tests_too: bool,
}

pub(crate) const CONFINED: &[Confined] = &[
    Confined {
        sentence: "only `disk` touches the file system, so that every operation can fail in a test",
        paths: &["std::fs", "std::os", "tokio::fs"],
        words: &[
            "File::open",
            "File::create",
            "OpenOptions",
            "Database::create",
            "Database::open",
            ".exists()",
            ".try_exists()",
            ".is_file()",
            ".is_dir()",
            ".read_dir()",
        ],
        rooms: &["disk"],
        files: &[],
        tests_too: true,
    },
    Confined {
        sentence: "only `api` and `cli` open sockets",
        paths: &["std::net", "tokio::net"],
        words: &["ureq"],
        rooms: &["api", "cli"],
        files: &[],
        tests_too: true,
    },
    Confined {
        sentence: "only the command line reads the environment and the arguments",
        paths: &["std::env"],
        words: &["env::var", "env::var_os", "env::args", "env::args_os"],
        rooms: &["cli", "main"],
        files: &[],
        tests_too: false,
    },
    Confined {
        sentence: "time comes in as an argument: only the command line and a `clock.rs` ask for it",
        paths: &[],
        words: &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Uuid::now_v7"],
        rooms: &["cli"],
        files: &["src/ledger/clock.rs", "src/service/clock.rs"],
        tests_too: false,
    },
    Confined {
        sentence: "only the command line prints",
        paths: &[],
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
        rooms: &["cli"],
        files: &[],
        tests_too: false,
    },
    Confined {
        sentence: "only the command line ends the process or starts another",
        paths: &["std::process"],
        words: &["process::exit", "process::Command"],
        rooms: &["cli", "main"],
        files: &[],
        tests_too: false,
    },
    Confined {
        sentence: "pure rooms start no threads",
        paths: &[],
        words: &["thread::spawn", "thread::Builder", "thread::scope"],
        rooms: &["journal", "ledger", "service", "api", "cli"],
        // Cedar's parser recurses: it gets a stack of known size, and its panics become refusals.
        files: &["src/policy/bundle.rs"],
        tests_too: false,
    },
    Confined {
        sentence: "only `service` and what is after it knows the async runtime and the web framework",
        paths: &[],
        words: &["tokio", "axum", "tower_http"],
        rooms: &["service", "api", "cli"],
        // A trait of the symbolic compiler's names tokio's writer; nothing waits there.
        files: &["src/policy/prove/query.rs"],
        tests_too: true,
    },
    Confined {
        sentence: "only `policy` speaks to Cedar",
        paths: &[],
        words: &["cedar_policy"],
        rooms: &["policy"],
        files: &[],
        tests_too: true,
    },
    Confined {
        sentence: "redb holds the ledger's index, on the files of `disk`",
        paths: &[],
        words: &["redb"],
        rooms: &["disk", "ledger"],
        files: &[],
        tests_too: true,
    },
];

/// Names that say nothing about what is inside.
pub(crate) const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Words that a room's header must contain, each list by any of its words.
pub(crate) const HEADER: &[(&str, &[&str])] = &[
    ("what it does", &["does"]),
    ("what it does not do", &["does not", "not "]),
    ("whom it may use", &["may use"]),
    ("its invariants", &["invariant"]),
];

pub(crate) const FILE_LINES_MAX: usize = 500;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
pub(crate) const LONG_FILE: &str = "//! Longer than 500 lines because";
pub(crate) const LONG_FUNCTION: &str = "// Longer than 70 lines because";
