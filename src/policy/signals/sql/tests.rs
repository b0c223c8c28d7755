//! Promised: what a statement does in any dialect counts, what none reads is unparsed, and nothing panics, overflows or
//! takes long.
#![cfg(test)]

use super::*;

fn of(text: &str) -> SqlFacts {
    let mut facts = SqlFacts::default();
    read(Some(text), &mut facts);
    facts
}

#[test]
fn what_statements_do_is_said() {
    type Is = fn(&SqlFacts) -> bool;
    let cases: [(&str, Is); 9] = [
        ("reads", |facts| facts.reads),
        ("writes", |facts| facts.writes),
        ("ddl", |facts| facts.ddl),
        ("grants", |facts| facts.grants),
        ("unfiltered", |facts| facts.unfiltered),
        ("tautology", |facts| facts.tautology),
        ("escapes", |facts| facts.escapes),
        ("comments", |facts| facts.comments),
        ("unparsed", |facts| facts.unparsed),
    ];
    for (text, statements, found, tables) in [
        ("SELECT a, b FROM t WHERE id = 7", 1, vec!["reads"], vec!["t"]),
        (
            "select * from \"Public\".Users u join orders o on u.id = o.uid",
            1,
            vec!["reads"],
            vec!["orders", "public.users"],
        ),
        ("INSERT INTO t (a) VALUES (1), (2)", 1, vec!["writes"], vec!["t"]),
        ("UPDATE t SET a = 1 WHERE id = 3", 1, vec!["writes"], vec!["t"]),
        ("UPDATE t SET a = 1", 1, vec!["writes", "unfiltered"], vec!["t"]),
        ("DELETE FROM t WHERE 1 = 1", 1, vec!["writes", "unfiltered", "tautology"], vec!["t"]),
        ("DELETE FROM t WHERE TRUE", 1, vec!["writes", "unfiltered"], vec!["t"]),
        ("DELETE FROM t WHERE id = 1 OR 'x' = 'x'", 1, vec!["writes", "unfiltered", "tautology"], vec!["t"]),
        ("SELECT * FROM t WHERE name = '' OR 1=1 -- '", 1, vec!["reads", "tautology", "comments"], vec!["t"]),
        ("SELECT 1; DROP TABLE users", 2, vec!["reads", "ddl"], vec!["users"]),
        (
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            1,
            vec!["reads", "writes", "unfiltered"],
            vec!["t", "x"],
        ),
        ("CREATE TABLE n AS SELECT * FROM o", 1, vec!["reads", "ddl"], vec!["n", "o"]),
        ("SELECT * INTO n FROM o", 1, vec!["reads", "writes", "ddl"], vec!["n", "o"]),
        ("TRUNCATE TABLE t", 1, vec!["writes", "unfiltered"], vec!["t"]),
        ("GRANT ALL ON t TO eve", 1, vec!["ddl", "grants"], vec!["t"]),
        ("COPY t TO PROGRAM 'curl x'", 1, vec!["reads", "escapes"], vec!["t"]),
        ("SELECT pg_read_file('/etc/passwd')", 1, vec!["reads", "escapes"], vec![]),
        ("EXPLAIN DELETE FROM t WHERE id = 1", 1, vec!["reads", "writes"], vec!["t"]),
        ("this is no sql", 0, vec!["unparsed"], vec![]),
        ("SELECT (", 0, vec!["unparsed"], vec![]),
        ("BEGIN; COMMIT", 2, vec![], vec![]),
        ("", 0, vec![], vec![]),
    ] {
        let facts = of(text);
        let names: Vec<&str> = cases.iter().filter(|(_, is)| is(&facts)).map(|(name, _)| *name).collect();
        assert_eq!((facts.statements, names), (statements, found), "{text}: {facts:?}");
        assert_eq!(facts.tables.iter().map(String::as_str).collect::<Vec<_>>(), tables, "{text}");
    }
    let mut facts = SqlFacts::default();
    read(None, &mut facts);
    assert!(facts.unparsed);
}

#[test]
fn depth_and_length_have_bounds() {
    for text in [
        format!("SELECT {}1", "(".repeat(20_000)),
        format!("SELECT {}1{}", "(".repeat(11), ")".repeat(11)),
        format!("SELECT {}1{}", "f(".repeat(11), ")".repeat(11)),
        format!("SELECT {}1{}", "(SELECT ".repeat(11), ")".repeat(11)),
        format!("SELECT {}1{}", "ARRAY[".repeat(11), "]".repeat(11)),
        format!("SELECT * FROM {}t{}", "(".repeat(11), ")".repeat(11)),
        format!("SELECT CAST({}1{} AS INT)", "(".repeat(10), ")".repeat(10)),
        format!("SELECT 1{}", " + 1".repeat(16_000)),
        format!("SELECT 1{}", " + 1".repeat(180)),
        format!("SELECT 1{}", " AND f(1,2)".repeat(5_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(120)),
        format!("SELECT 1{}", " UNION SELECT 1, 2".repeat(3_000)),
        format!("SELECT {} 1", "NOT ".repeat(15_000)),
        format!("SELECT {} 1", "- ".repeat(30_000)),
        format!("SELECT {} 1 {}", "CASE WHEN ".repeat(30), " THEN 1 END".repeat(30)),
        format!("SELECT x{}", " IS NULL".repeat(8_000)),
        format!("SELECT x{}", "::int".repeat(12_000)),
        format!("SELECT {}", "a.".repeat(30_000)),
        format!("SELECT {}", "\"a".repeat(30_000)),
        "EXPLAIN ".repeat(8_000),
        ";".repeat(60_000),
        "/*".repeat(30_000),
        "x".repeat(100_000),
    ] {
        println!("{}", text.get(..30).unwrap_or("").escape_debug());
        let start = std::time::Instant::now();
        let facts = of(&text);
        // Two seconds in an unoptimised build are far from what backtracking without a bound takes.
        assert!(
            start.elapsed().as_secs() < 2,
            "{} took {:?}",
            text.get(..20).unwrap_or("").escape_debug(),
            start.elapsed()
        );
        let _ = facts;
    }
    let rows = format!("INSERT INTO t VALUES {}", vec!["(1, 'a', -2)"; 2_000].join(", "));
    assert!(!of(&rows).unparsed, "many rows are no depth");
}

#[test]
fn the_order_of_statements_changes_nothing_but_their_order() {
    let (a, b) = ("DELETE FROM t", "SELECT * FROM u WHERE 2 = 2");
    assert_eq!(of(&format!("{a}; {b}")), of(&format!("{b}; {a}")));
}
