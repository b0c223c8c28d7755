//! The rules. Each takes the files and gives what breaks it, so that the tests of the rules can feed them snippets.

use crate::rooms::{
    CONFINED, EMPTY_NAMES, FILE_LINES_MAX, FUNCTION_LINES_MAX, HEADER, LONG_FILE, LONG_FUNCTION, ROOMS,
    ROOT_FILES, may_use,
};
use crate::source::{Source, offsets, paths};

/// One place that breaks a rule.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) says: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.says)
    }
}

fn at_line(source: &Source, index: usize, says: String) -> Finding {
    Finding { path: source.path.clone(), line: index + 1, says }
}

fn at_offset(source: &Source, offset: usize, says: String) -> Finding {
    at_line(source, source.line_of(offset), says)
}

/// (a) Arrows between rooms.
pub(crate) fn arrows(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let room = source.room();
    let Some(allowed) = may_use(room) else {
        if !ROOT_FILES.contains(&source.path.as_str()) {
            let says = format!("`{room}` is no room: at the root of src/ are only lib.rs and main.rs");
            findings.push(at_line(source, 0, says));
        }
        return findings;
    };
    for (offset, path) in paths(&source.code, "crate").into_iter().chain(paths(&source.code, "foreseal")) {
        let target = path.split("::").nth(1).unwrap_or("");
        if !ROOMS.iter().any(|r| r.name == target) {
            findings.push(at_offset(
                source,
                offset,
                format!("`{path}` names no room; say which room it is in"),
            ));
        } else if !allowed.contains(&target) {
            let says = format!("`{room}` may not use `{target}` (it may use: {})", allowed.join(", "));
            findings.push(at_offset(source, offset, says));
        }
    }
    for offset in offsets(&source.code, "super::") {
        let rest = source.code.get(offset..).unwrap_or("");
        let is_first = !source.code.get(..offset).is_some_and(|head| head.ends_with("super::"));
        let steps = rest.split("super::").take_while(|between| between.is_empty()).count();
        if is_first && steps >= source.module_depth(offset) {
            let says = "`super::` leaves the room; name another room by `crate::`".to_owned();
            findings.push(at_offset(source, offset, says));
        }
    }
    findings
}

/// (b) What belongs to some rooms alone.
pub(crate) fn confined(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in CONFINED {
        if rule.rooms.contains(&source.room()) || rule.files.contains(&source.path.as_str()) {
            continue;
        }
        let by_path = rule.paths.iter().flat_map(|start| {
            let root = start.split("::").next().unwrap_or(start);
            paths(&source.code, root).into_iter().filter(move |(_, path)| {
                path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            })
        });
        let by_word =
            rule.words.iter().flat_map(|word| offsets(&source.code, word).map(|at| (at, (*word).to_owned())));
        for (offset, found) in by_path.chain(by_word) {
            // The type of `main`'s result names no process.
            let is_exit_code = found == "std::process::ExitCode";
            let exempt = !rule.tests_too && source.is_test(source.line_of(offset));
            if !exempt && !is_exit_code {
                findings.push(at_offset(source, offset, format!("`{found}`: {}", rule.sentence)));
            }
        }
    }
    findings
}

/// (c) Panics carry their invariant, and a lint is switched off with a reason.
pub(crate) fn panics(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for call in [".unwrap()", ".expect(", ".unwrap_err()", ".expect_err(", "panic!(", "unreachable!("] {
        for offset in offsets(&source.code, call) {
            let line = source.line_of(offset);
            // A parser may have a method of that name.
            let own_method = source.code.get(..offset).is_some_and(|head| head.ends_with("self"));
            if !own_method && !source.is_test(line) && !has_invariant(source, line) {
                let says = format!("`{call}` in library code needs an `// INVARIANT:` line just above");
                findings.push(at_offset(source, offset, says));
            }
        }
    }
    for (offset, attribute) in source.attributes() {
        if offsets(&attribute, "allow(").chain(offsets(&attribute, "expect(")).next().is_none() {
            continue;
        }
        if !attribute.contains("reason") {
            findings.push(at_offset(source, offset, "a lint is switched off without a `reason`".to_owned()));
        }
        let line = source.line_of(offset);
        if is_panic_lint(&attribute) && !source.is_test(line) && !comment_above(source, line) {
            let says = "a panic is let in without an `// INVARIANT:` line just above".to_owned();
            findings.push(at_offset(source, offset, says));
        }
    }
    findings
}

fn is_panic_lint(attribute: &str) -> bool {
    ["unwrap_used", "expect_used", "indexing_slicing", "clippy::panic", "unreachable"]
        .iter()
        .any(|lint| attribute.contains(lint))
}

/// Whether the statement on `line`, or the function around it, has an invariant above it.
fn has_invariant(source: &Source, line: usize) -> bool {
    let blank = String::new();
    let code: Vec<&str> = source.code.split('\n').collect();
    let mut top = line;
    // Up to where the statement starts: the line behind a `;`, a brace or an empty line.
    while top > 0 {
        let above = code.get(top - 1).map_or("", |text| text.trim());
        let written = source.lines.get(top - 1).unwrap_or(&blank).trim();
        if written.is_empty() || above.ends_with([';', '{', '}']) || written.starts_with("//") {
            break;
        }
        top -= 1;
    }
    comment_above(source, top)
        || source
            .functions()
            .iter()
            .filter(|function| (function.lines.0..=function.lines.1).contains(&line))
            .any(|function| {
                let head = attributes_above(source, function.lines.0);
                comment_above(source, head)
                    && source.attributes().iter().any(|(offset, attribute)| {
                        (head..function.lines.0).contains(&source.line_of(*offset))
                            && is_panic_lint(attribute)
                    })
            })
}

/// The first of the attribute lines above `line`.
fn attributes_above(source: &Source, line: usize) -> usize {
    let mut top = line;
    loop {
        let start = source.attributes().iter().find_map(|(offset, attribute)| {
            let first = source.line_of(*offset);
            (first + attribute.matches('\n').count() + 1 == top).then_some(first)
        });
        match start {
            Some(first) => top = first,
            None => return top,
        }
    }
}

/// Whether the comment lines right above `line` state an invariant.
fn comment_above(source: &Source, line: usize) -> bool {
    source
        .lines
        .iter()
        .take(attributes_above(source, line))
        .rev()
        .take_while(|text| text.trim_start().starts_with("//"))
        .any(|text| text.contains("INVARIANT:"))
}

/// (d) Every room's header says the four things.
pub(crate) fn header(source: &Source) -> Vec<Finding> {
    let is_header = source.path == format!("src/{}/mod.rs", source.room());
    if !is_header {
        return Vec::new();
    }
    let header: Vec<&str> = source.lines.iter().filter_map(|line| line.strip_prefix("//!")).collect();
    let words = header.join(" ").to_lowercase().replace(['*', '`', '_'], "");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    HEADER
        .iter()
        .filter(|(_, any)| !any.iter().any(|word| words.contains(word)))
        .map(|(what, any)| {
            let says =
                format!("the room's `//!` header does not say {what} (no `{}` in it)", any.join("` or `"));
            at_line(source, 0, says)
        })
        .collect()
}

/// (e) Sizes and names.
pub(crate) fn sizes_and_names(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.lines.len().saturating_sub(1);
    if lines > FILE_LINES_MAX && !source.lines.iter().any(|line| line.starts_with(LONG_FILE)) {
        let says = format!("{lines} lines: split the file, or say `{LONG_FILE} …` in its header");
        findings.push(at_line(source, FILE_LINES_MAX, says));
    }
    let parts = source.path.trim_end_matches(".rs").split('/');
    for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        findings.push(at_line(source, 0, format!("`{part}` says nothing about what is inside")));
    }
    for offset in offsets(&source.code, "mod ") {
        let name = source.code.get(offset + 4..).unwrap_or("");
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if EMPTY_NAMES.contains(&name.as_str()) {
            findings.push(at_offset(source, offset, format!("`{name}` says nothing about what is inside")));
        }
    }
    for function in source.functions() {
        let (first, last) = function.lines;
        let count = last - first + 1;
        let from = first.saturating_sub(12);
        let mut around = source.lines.iter().take(last + 1).skip(from);
        if count > FUNCTION_LINES_MAX && !around.any(|line| line.trim_start().starts_with(LONG_FUNCTION)) {
            let says = format!(
                "`{}` has {count} lines: split it, or say `{LONG_FUNCTION} …` above it",
                function.name
            );
            findings.push(at_line(source, first, says));
        }
    }
    findings
}

/// (f) Nothing is left for later.
pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        for word in ["TODO", "FIXME", "XXX"] {
            if offsets(line, word).next().is_some() {
                let says = format!("`{word}`: finish it, or write it down as a known gap in docs/");
                findings.push(at_line(source, index, says));
            }
        }
    }
    for word in ["todo!", "unimplemented!", "#[ignore"] {
        for offset in offsets(&source.code, word) {
            findings.push(at_offset(source, offset, format!("`{word}`: what is there works and is tested")));
        }
    }
    findings
}

/// (g) No path of one machine.
pub(crate) fn machine_paths(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.lines.iter().enumerate().filter(|(index, _)| !source.is_test(*index)) {
        // Put together here, so that this file passes its own rule.
        for folder in ["work", "root", "home", "tmp"].map(|name| format!("/{name}/")) {
            // `https://host/home/` and `a/tmp/` are no absolute paths.
            let absolute = line.match_indices(&folder).any(|(at, _)| {
                let before = line.get(..at).and_then(|head| head.chars().last());
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '>' | '}' | '/'))
            });
            if absolute {
                let says = format!("`{folder}` is a path of one machine; take it as an argument");
                findings.push(at_line(source, index, says));
            }
        }
    }
    findings
}
