//! The rules, tried on small pieces of code: each must find what breaks it, at the right line, and leave its
//! look-alikes alone.

use crate::rules::{self, Finding};
use crate::source::{Source, paths};

/// The lines that `check` complains about.
fn lines(check: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    let mut lines: Vec<usize> = check(&Source::parse(path, text)).iter().map(|f| f.line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[test]
fn comments_and_literals_are_blanked_and_offsets_kept() {
    let text = r####"a("crate::ledger \" x"); // std::fs é
b('"', '\'', 'é'); /* /* std::fs */ std::fs
 */ c::<'a>(r#"std::fs " "#, b"std::fs", br"\");
d(r##""#"##); let r#type = '{';"####;
    let source = Source::parse("src/merkle/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert!(!source.code.contains("std::fs"), "{}", source.code);
    assert!(!source.code.contains("ledger"));
    assert!(source.code.contains("c::<'a>("));
    assert!(source.code.contains("d(r##\"") && source.code.contains("let r#type ="));
    assert!(!source.code.contains('{'));
    assert_eq!(source.line_of(text.find("c::").unwrap()), 2);
}

#[test]
fn use_groups_are_taken_apart() {
    let found = |code: &str, root: &str| paths(code, root).into_iter().map(|(_, p)| p).collect::<Vec<_>>();
    assert_eq!(
        found("use crate::{note::{self, Key as K}, merkle::*,\n  record::a::B,};", "crate"),
        ["crate::note::self", "crate::note::Key", "crate::merkle::*", "crate::record::a::B"]
    );
    assert_eq!(
        found("mine::std::fs(); ::std::fs(); std::mem::size_of::<u8>(); stdx::fs()", "std"),
        ["std::fs", "std::mem::size_of"]
    );
}

#[test]
fn an_arrow_down_is_found_however_it_is_written() {
    let down = [
        "use crate::ledger::Ledger;",
        "use crate::{record::Entry, merkle::Hash};",
        "fn f() { crate::service::go() }",
        "use foreseal::api;",
        "use super::super::ledger;",
        "pub(in crate::ledger) struct A;",
        "use crate::Anything;",
    ];
    for code in down {
        assert_eq!(lines(rules::arrows, "src/note/key.rs", &format!("//! x\n{code}\n")), [2], "{code}");
    }
    let allowed = r#"use crate::merkle::Hash;
use crate::note::Key;
use super::checkpoint;
// crate::ledger
fn f() -> &'static str { "crate::ledger" }
mod tests { use super::*; use super::super::key; }"#;
    assert_eq!(lines(rules::arrows, "src/note/key.rs", allowed), Vec::<usize>::new());
}

#[test]
fn arrows_of_single_rooms() {
    let says = |room: &str, target: &str| {
        !lines(rules::arrows, &format!("src/{room}/mod.rs"), &format!("use crate::{target}::A;")).is_empty()
    };
    for (room, target) in [
        ("merkle", "disk"),
        ("record", "note"),
        ("journal", "record"),
        ("api", "ledger"),
        ("api", "disk"),
        ("api", "journal"),
        ("ledger", "service"),
        ("service", "api"),
        ("evidence", "ledger"),
        ("disk", "journal"),
    ] {
        assert!(says(room, target), "{room} -> {target}");
    }
    for (room, target) in [
        ("api", "record"),
        ("ledger", "journal"),
        ("service", "disk"),
        ("cli", "api"),
        ("evidence", "policy"),
        ("disk", "disk"),
    ] {
        assert!(!says(room, target), "{room} -> {target}");
    }
    assert_eq!(lines(rules::arrows, "src/mod.rs", "use super::note;"), [1]);
    assert_eq!(lines(rules::arrows, "src/note/mod.rs", "use super::record;"), [1]);
    assert_eq!(
        lines(rules::arrows, "src/note/mod.rs", "mod tests { use super::record; }"),
        Vec::<usize>::new()
    );
    assert_eq!(lines(rules::arrows, "src/helpers.rs", ""), [1]);
    assert_eq!(lines(rules::arrows, "src/main.rs", "foreseal::cli::main()"), Vec::<usize>::new());
}

#[test]
fn confined_things_are_found_outside_their_rooms() {
    let cases = [
        ("ledger", "disk", "use std::{fs, io};"),
        ("ledger", "disk", "#[cfg(test)] mod tests { fn f() { std::fs::read(p); } }"),
        ("cli", "disk", "if path.exists() {}"),
        ("ledger", "disk", "redb::Database::create(p)"),
        ("service", "api", "use std::net::SocketAddr;"),
        ("ledger", "cli", "std::env::var(\"A\")"),
        ("api", "cli", "let now = Instant::now();"),
        ("ledger", "cli", "jiff::Timestamp::now()"),
        ("service", "cli", "eprintln!(\"x\")"),
        ("service", "cli", "std::process::exit(1)"),
        ("record", "ledger", "std::thread::spawn(f)"),
        ("ledger", "service", "#[tokio::test] async fn f() {}"),
        ("ledger", "policy", "cedar_policy::Authorizer::new()"),
    ];
    for (out, inside, code) in cases {
        assert_eq!(lines(rules::confined, &format!("src/{out}/a.rs"), code), [1], "{out}: {code}");
        let found = rules::confined(&Source::parse(&format!("src/{inside}/a.rs"), code));
        let other_rules: Vec<_> = found.iter().filter(|f| !f.says.contains("redb holds")).collect();
        assert!(other_rules.is_empty(), "{inside}: {other_rules:?}");
    }
    let fine = [
        ("src/service/clock.rs", "Instant::now()"),
        (
            "src/record/a.rs",
            "#[cfg(test)]\nmod tests {\n fn f() { std::env::var(\"A\"); Instant::now(); eprintln!(); }\n}",
        ),
        (
            "src/record/a.rs",
            "use std::io::Read; use crate::record::env; fn f() { disk.exists(name); reprintln!(); }",
        ),
        ("src/main.rs", "fn main() -> std::process::ExitCode { std::process::ExitCode::SUCCESS }"),
    ];
    for (path, code) in fine {
        assert_eq!(rules::confined(&Source::parse(path, code)), [], "{code}");
    }
    let behind_tests = "#[cfg(test)]\nmod tests { fn f() {} }\nfn g() { Instant::now(); }";
    assert_eq!(lines(rules::confined, "src/record/a.rs", behind_tests), [3]);
}

#[test]
fn a_panic_needs_its_invariant_just_above() {
    let bad = r#"fn f() {
    // INVARIANT: about a
    let a = x.unwrap();

    let b = y.unwrap();
    panic!("no");
    z
        .map(g)
        .expect("z");
}"#;
    assert_eq!(lines(rules::panics, "src/note/a.rs", bad), [5, 6, 9]);
    let good = r#"fn f() {
    // INVARIANT: the length was
    // checked above.
    #[expect(
        clippy::unwrap_used,
        reason = "x"
    )]
    let a = x
        .map(g)
        .unwrap();
    self.expect(b'x');
    a.unwrap_or(0);
}

// INVARIANT: holds for all of g
#[expect(clippy::expect_used, reason = "x")]
fn g() {
    let b = 1;
    b.expect("b");
}
#[cfg(test)]
mod tests {
    fn t() { x.unwrap(); }
}"#;
    assert_eq!(lines(rules::panics, "src/note/a.rs", good), Vec::<usize>::new());
}

#[test]
fn a_lint_is_switched_off_with_a_reason() {
    let code = r#"#[allow(clippy::large_futures)]
fn a() {}
#[expect(
    clippy::indexing_slicing,
    reason = "[x]",
)]
fn b() {}
#[allow(dead_code, reason = "x")]
fn c() {}
#[derive(Debug)]
struct D;"#;
    assert_eq!(lines(rules::panics, "src/note/a.rs", code), [1, 3]);
}

#[test]
fn a_header_says_four_things() {
    let whole = "//! Does x. It does *not* do y.\n//! May use: nothing. Invariants: z.\n";
    assert_eq!(rules::header(&Source::parse("src/note/mod.rs", whole)).len(), 0);
    assert_eq!(rules::header(&Source::parse("src/note/mod.rs", "//! Room.\n")).len(), 4);
    assert_eq!(rules::header(&Source::parse("src/note/mod.rs", "//! Does x, not y. May use z.\n")).len(), 1);
    assert_eq!(rules::header(&Source::parse("src/note/key.rs", "\n")).len(), 0);
}

#[test]
fn sizes_are_counted_to_the_line() {
    let file = |count: usize, head: &str| format!("{head}\n{}", "// x\n".repeat(count - 1));
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &file(500, "//! A.")), Vec::<usize>::new());
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &file(501, "//! A.")), [501]);
    let why = "//! Longer than 500 lines because of x.";
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &file(501, why)), Vec::<usize>::new());

    let function = |count: usize| {
        format!("pub fn f<T: Fn() -> [u8; 2]>(\n) -> u8 {{\n{}}}\n", "    g('{');\n".repeat(count - 3))
    };
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &function(70)), Vec::<usize>::new());
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &function(71)), [1]);
    let reasoned = format!("// Longer than 70 lines because of x.\n{}", function(71));
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", &reasoned), Vec::<usize>::new());
}

#[test]
fn empty_names_are_found() {
    for path in ["src/note/utils.rs", "src/note/common/mod.rs"] {
        assert_eq!(lines(rules::sizes_and_names, path, ""), [1], "{path}");
    }
    assert_eq!(lines(rules::sizes_and_names, "src/note/a.rs", "\nmod helpers { fn a() {} }"), [2]);
    assert_eq!(lines(rules::sizes_and_names, "src/note/command.rs", "mod misconduct;"), Vec::<usize>::new());
}

#[test]
fn leftovers_are_found() {
    let code = "// TODO x\n\"FIXME\"\ntodo!()\n#[ignore = \"x\"]\nXXXX todos TODOLIST\nunimplemented!()\n";
    assert_eq!(lines(rules::unfinished, "src/note/a.rs", code), [1, 2, 3, 4, 6]);
}

#[test]
fn machine_paths_are_found() {
    let code = r#"a("/tmp/x")
b("https://a.example/home/x")
// see /home/me
#[cfg(test)]
mod tests { const A: &str = "/tmp/"; }"#;
    assert_eq!(lines(rules::machine_paths, "src/note/a.rs", code), [1, 3]);
}

#[test]
fn test_code_ends_where_its_item_ends() {
    let code = "struct A {\n #[cfg(test)]\n b: u8,\n}\nfn c() {}\n#[cfg(test)]\nmod model;\nfn d() {}\n";
    let source = Source::parse("src/note/a.rs", code);
    let tests: Vec<usize> = (0..8).filter(|line| source.is_test(*line)).collect();
    assert_eq!(tests, [1, 2, 3, 5, 6]);
    assert_eq!(source.test_modules_elsewhere(), ["model"]);
    assert!(Source::parse("src/note/tests.rs", "fn a() {}").is_test(0));
}
