//! Promised: what a command line runs is named, whatever quotes, wrappers and nesting stand around it; what cannot be
//! known is said to be so; and nothing panics or takes long.
#![cfg(test)]

use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;

use super::*;

fn of(text: &str) -> ShellFacts {
    let mut facts = ShellFacts::default();
    read(&json!(text), &mut facts);
    facts
}

fn programs(text: &str) -> Vec<String> {
    let facts = of(text);
    assert!(!facts.unparsed, "{text}: {facts:?}");
    facts.programs.into_iter().collect()
}

#[test]
fn programs_are_found_wherever_they_stand() {
    for (text, found) in [
        ("ls -la", vec!["ls"]),
        ("a; b && c || d | e & f", vec!["a", "b", "c", "d", "e", "f"]),
        ("r\\m x; 'r'm y; \"rm\" z; /bin/rm w; $'\\x72m' v", vec!["rm"]),
        ("FOO=1 BAR=\"a b\" make all", vec!["make"]),
        ("echo $(id) `whoami` \"$(uname -a)\"", vec!["echo", "id", "uname", "whoami"]),
        ("if true; then a; elif b; then c; else d; fi", vec!["a", "b", "c", "d", "true"]),
        ("for f in *.txt; do cat \"$f\"; done", vec!["cat"]),
        ("while read -r l; do echo $l; done < file", vec!["echo", "read"]),
        ("case $x in a|b) one;; *) two;; esac", vec!["one", "two"]),
        ("f() { inner; }; f", vec!["f", "inner"]),
        ("(cd /tmp && tar xf a.tar)", vec!["cd", "tar"]),
        ("sudo -u root env A=b nice -n 5 rm x", vec!["env", "nice", "rm", "sudo"]),
        ("timeout 5s curl x", vec!["curl", "timeout"]),
        ("bash -c 'rm -rf \"$HOME\"'", vec!["bash", "rm"]),
        ("sh -c \"sh -c 'whoami'\"", vec!["sh", "whoami"]),
        ("find . -name '*.o' -exec rm {} \\; -exec chmod 600 {} +", vec!["chmod", "find", "rm"]),
        ("cat <<EOF | grep x\nhello $(date)\nEOF\nls", vec!["cat", "date", "grep", "ls"]),
        ("bash <<'EOF'\nrm x\nEOF", vec!["bash", "rm"]),
        ("diff <(sort a) <(sort b)", vec!["diff", "sort"]),
        ("[[ -f x && $y =~ ^a.*$ ]] && ok", vec!["ok"]),
        ("(( x > 1 )) && ok; echo $((1 + 2 * (3)))", vec!["echo", "ok"]),
        ("a=(one two) ; echo ${a[@]} ${b:-$(fallback)}", vec!["echo", "fallback"]),
        ("ssh -p 22 host 'rm -rf /'", vec!["rm", "ssh"]),
        ("eval 'cu''rl x'", vec!["curl", "eval"]),
        ("echo a # rm -rf /", vec!["echo"]),
        ("echo 'a # b; rm x'", vec!["echo"]),
        ("! grep -q x y", vec!["grep"]),
        ("time -p make", vec!["make"]),
        ("function g { body; }", vec!["body"]),
        ("a 2>&1 | b >/dev/null", vec!["a", "b"]),
        ("echo $((echo x) | cat)", vec!["cat", "echo"]),
        ("", vec![]),
    ] {
        assert_eq!(programs(text), found, "{text}");
    }
}

#[test]
fn what_is_done_is_said() {
    type Is = fn(&ShellFacts) -> bool;
    let cases: [(&str, Is); 9] = [
        ("destructive", |facts| facts.destructive),
        ("network", |facts| facts.network),
        ("privileged", |facts| facts.privileged),
        ("pipe_to_shell", |facts| facts.pipe_to_shell),
        ("substitution", |facts| facts.substitution),
        ("dynamic", |facts| facts.dynamic),
        ("inline_code", |facts| facts.inline_code),
        ("redirects", |facts| facts.redirects),
        ("unparsed", |facts| facts.unparsed),
    ];
    for (text, found) in [
        ("ls -l src", vec![]),
        ("rm notes.txt", vec![]),
        ("cargo test 2>&1 >/dev/null", vec![]),
        ("rm -rf build", vec!["destructive"]),
        ("rm -f -R build", vec!["destructive"]),
        ("rm *", vec!["destructive"]),
        ("git push --force origin main", vec!["destructive", "network"]),
        ("git push origin +main", vec!["destructive", "network"]),
        ("git -C repo reset --hard HEAD~3", vec!["destructive"]),
        ("dd if=/dev/zero of=/dev/sda", vec!["destructive"]),
        ("echo x > /dev/sda", vec!["destructive", "redirects"]),
        ("curl https://x | sh", vec!["network", "pipe_to_shell"]),
        ("wget -qO- x | sudo bash -s", vec!["network", "privileged", "pipe_to_shell"]),
        ("curl x | python3", vec!["network", "pipe_to_shell"]),
        ("curl x | python3 -", vec!["network", "pipe_to_shell"]),
        ("curl x | python3 filter.py", vec!["network"]),
        ("bash <(curl x)", vec!["network", "pipe_to_shell", "substitution"]),
        ("source <(curl x)", vec!["network", "pipe_to_shell", "substitution"]),
        ("bash -c \"$(curl x)\"", vec!["network", "substitution", "dynamic"]),
        ("eval $CMD", vec!["dynamic"]),
        ("$PAGER file", vec!["dynamic"]),
        ("/bin/r? -rf x", vec!["dynamic"]),
        ("{rm,-rf,x}", vec!["dynamic"]),
        ("PATH=/tmp/evil ls", vec!["dynamic"]),
        ("python -c 'import os'", vec!["inline_code"]),
        ("echo x >> log", vec!["redirects"]),
        ("cat < /dev/tcp/1.2.3.4/80", vec!["network"]),
        ("find / -delete", vec!["destructive"]),
        ("xargs sh -c", vec!["pipe_to_shell"]),
        ("echo 'unclosed", vec!["unparsed"]),
        ("if true; then x", vec!["unparsed"]),
        ("a )", vec!["unparsed"]),
        ("a | | b", vec!["unparsed"]),
        ("${x", vec!["unparsed"]),
    ] {
        let facts = of(text);
        let names: Vec<&str> = cases.iter().filter(|(_, is)| is(&facts)).map(|(name, _)| *name).collect();
        assert_eq!(names, found, "{text}: {facts:?}");
    }
}

#[test]
fn pushes_name_the_branch_on_the_other_side() {
    for (text, branches) in [
        ("git push origin main", vec!["main"]),
        ("git push origin HEAD:main feature:refs/heads/dev", vec!["dev", "main"]),
        ("git -c a=b push -u origin topic", vec!["topic"]),
        ("git push", vec!["*"]),
        ("git push origin HEAD", vec!["*"]),
        ("git push origin \"$BRANCH\"", vec!["*"]),
        ("git push --all origin", vec!["*"]),
    ] {
        let facts = of(text);
        assert!(facts.commands.contains("git push"), "{text}");
        assert_eq!(facts.pushes.into_iter().collect::<Vec<_>>(), branches, "{text}");
    }
}

#[test]
fn a_list_of_words_is_one_command_that_no_shell_takes_apart() {
    let mut facts = ShellFacts::default();
    read(&json!(["rm", "-rf", "a; curl x"]), &mut facts);
    assert_eq!(facts.programs.into_iter().collect::<Vec<_>>(), ["rm"]);
    assert!(facts.destructive && !facts.network && !facts.unparsed);
    for value in [json!([]), json!([1]), json!({"a": 1}), json!(7), json!(true)] {
        let mut facts = ShellFacts::default();
        read(&value, &mut facts);
        assert!(facts.unparsed, "{value}");
    }
}

#[test]
fn depth_and_length_have_bounds() {
    for text in [
        "(".repeat(50_000),
        "$(".repeat(30_000),
        "$((".repeat(20_000),
        "`".repeat(60_000),
        "{ ".repeat(30_000),
        "if ".repeat(20_000),
        "\"${".repeat(20_000),
        "a<<b\n".repeat(10_000),
        "a ".repeat(30_000),
        "a|".repeat(30_000),
        ";".repeat(60_000),
        "bash -c ".repeat(8_000),
        "sudo ".repeat(12_000),
        "x".repeat(100_000),
    ] {
        let mut facts = ShellFacts::default();
        read(&json!(text), &mut facts);
        assert!(facts.unparsed || facts.programs.len() <= NAMES_MAX, "{}", text.get(..8).unwrap());
    }
}

/// What bash runs: programs that are not there, which its handler names. `None` where there is no bash.
fn bash_runs(script: &str) -> Option<Vec<String>> {
    let whole = format!("command_not_found_handle() {{ printf 'RAN %s\\n' \"$1\" >&2; }}\n{script}\n");
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", &whole])
        .env_clear()
        .env("PATH", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(said.lines().filter_map(|line| line.strip_prefix("RAN ").map(str::to_owned)).collect())
}

/// Words in all their spellings. Names begin with `p`, so that no program of the machine is meant.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("p1".to_owned()),
        Just("'p2'".to_owned()),
        Just("\"p3\"".to_owned()),
        Just("p\\4".to_owned()),
        Just("$'p\\x35'".to_owned()),
        Just("p'6'\"x\"".to_owned()),
        Just("p\\\n7".to_owned()),
        Just("$V".to_owned()),
        Just("p{8,9}".to_owned()),
    ]
}

fn script_of() -> impl Strategy<Value = String> {
    let leaf = (
        name(),
        prop::sample::select(vec![
            "",
            " a",
            " 'b c'",
            " >/dev/null",
            " # d",
            " </dev/null",
            " $x",
            " -c 'p1'",
        ]),
    )
        .prop_map(|(name, args)| format!("{name}{args}"));
    leaf.prop_recursive(5, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(vec![";", "\n", "\n&&", "\n||", "\n|", "\n|&", "\n\n"]))
                .prop_map(|((a, b), by)| format!("{a}\n{} {b}", by.trim_start_matches('\n')))
                .prop_map(|text| text
                    .replace("\n&&", " \\\n&&")
                    .replace("\n||", " \\\n||")
                    .replace("\n|", " \\\n|")),
            inner.clone().prop_map(|a| format!("( {a}\n)")),
            inner.clone().prop_map(|a| format!("{{ {a}\n}}")),
            inner.clone().prop_map(|a| format!("p1 \"$({a}\n)\"")),
            inner.clone().prop_map(|a| format!("x=$( {a}\n)")),
            inner.clone().prop_map(|a| format!("p2 ${{nothing:-$({a}\n)}}")),
            inner.clone().prop_map(|a| format!("p3 $(( 1 + $( {a}\n) 1 ))")),
            two.clone().prop_map(|(a, b)| format!("if {a}\nthen {b}\nelse {b}\nfi")),
            inner.clone().prop_map(|a| format!("for i in 1 2; do {a}\ndone")),
            inner.clone().prop_map(|a| format!("case p in q) p9;; p|r) {a}\n;; esac")),
            inner.clone().prop_map(|a| format!("pf() {{ {a}\n}}\npf")),
            inner.clone().prop_map(|a| format!("p4 <<E\n$({a}\n)\nE")),
            inner.clone().prop_map(|a| format!("p5 <<'E'\n$({a}\n)\nE")),
            inner.clone().prop_map(|a| format!("p6 <(:; {a}\n)")),
            inner.clone().prop_map(|a| format!("eval '{}'", a.replace('\'', "'\\''"))),
            inner.clone().prop_map(|a| format!("[[ -n $({a}\n) && p == p* ]] || p7")),
            inner.prop_map(|a| format!("exec {a}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// The judge is bash itself: what it runs is named, or is said not to be known.
    #[test]
    fn what_bash_runs_is_named(script in script_of()) {
        let Some(ran) = bash_runs(&script) else { return Ok(()) };
        let facts = of(&script);
        prop_assume!(!facts.unparsed);
        for name in ran {
            let named = facts.programs.contains(&name) || facts.dynamic;
            prop_assert!(named, "bash ran {name:?}\n{script}\n{facts:?}");
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,100}", structured in "[-$(){}<>|&;'\"`\\\\ \\na-c=*?\\[\\]!#0-9/]{0,80}") {
        let _ = of(&text);
        let _ = of(&structured);
    }
}

/// Most of what bash reads is read here too: refusing everything would pass every other test.
#[test]
fn ordinary_scripts_are_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut read, mut all) = (0, 0);
    for _ in 0..200 {
        let script = script_of().new_tree(&mut runner).unwrap().current();
        all += 1;
        read += usize::from(!of(&script).unparsed);
    }
    assert!(read * 20 >= all * 17, "{read} of {all} were read");
}
