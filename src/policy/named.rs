//! `signals.json`: tests of a call's arguments that a bundle's author gives names. Rules read the names of those that
//! come out true as `context.signals.named`.
//!
//! A pattern is a regular expression without look-around and back-references, searched in time linear in the text
//! (crate `regex`), compiled within [`COMPILED_BYTES`]; one that is larger is refused when the bundle is loaded.

use std::collections::BTreeSet;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::fault::{Fault, FaultKind, Place};
use super::json::Strict;
use super::provenance::Pattern;
use super::rule::is_name;
use crate::record::canonical::to_jcs;

/// The bundle's file of named signals.
pub(super) const FILE: &str = "signals.json";
/// Signals of one bundle.
pub(super) const MOST: usize = 256;
/// Bytes of a pattern.
pub(super) const PATTERN_BYTES: usize = 4_096;
/// Bytes that a pattern may take when it is compiled, and that a search may keep beside it.
const COMPILED_BYTES: usize = 128 * 1024;
const SEARCH_BYTES: usize = 1024 * 1024;
/// Brackets inside brackets of a pattern.
const NESTED: u32 = 32;
/// Places that one signal looks at.
const PLACES: usize = 16;

/// The named signals of a bundle.
#[derive(Debug, Clone)]
pub(super) struct NamedSignals {
    signals: Vec<Named>,
    /// As they are written.
    text: String,
}

/// The same if they are written alike: which other ways of writing mean the same is not asked.
impl PartialEq for NamedSignals {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    at: Vec<Pattern>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// Some text at or below the place matches.
    Matches(Regex),
    /// The value at the place is this one: the same type, the same value.
    Equals(Value),
    /// The value at the place is a number within these bounds.
    Within(Bounds),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bounds {
    gt: Option<f64>,
    gte: Option<f64>,
    lt: Option<f64>,
    lte: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    signals: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    #[serde(default)]
    at: Option<Vec<String>>,
    #[serde(default)]
    pattern: Option<String>,
    /// `null` is a value like others.
    #[serde(default, deserialize_with = "present")]
    equals: Option<Strict>,
    #[serde(default)]
    number: Option<Bounds>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Strict>, D::Error> {
    Strict::deserialize(deserializer).map(Some)
}

type Wrong = (String, &'static str);

/// Reads `signals.json`.
pub(super) fn read(text: &str) -> Result<NamedSignals, Vec<Fault>> {
    let file: File = serde_json::from_str(text).map_err(|error| {
        let place = Place { file: FILE.to_owned(), line: error.line(), column: error.column() };
        let shown = error.to_string();
        let message = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message);
        let hint = "signals.json is {\"signals\": [{\"name\", \"at\", and one of \"pattern\", \"equals\", \"number\"}]}; correct \
                    it at this position";
        vec![Fault::new(FaultKind::Syntax, message, hint).at(place)]
    })?;
    if file.signals.len() > MOST {
        let message = format!("{} named signals, more than {MOST}", file.signals.len());
        let hint = "one pattern may hold alternatives: a|b|c";
        return Err(vec![Fault::new(FaultKind::Limit, message, hint).at(Place::file(FILE))]);
    }
    let (mut signals, mut names, mut faults) = (Vec::new(), BTreeSet::new(), Vec::new());
    for declared in file.signals {
        let place = line_of(text, &declared.name);
        let fault = |(message, hint): Wrong| {
            Fault::new(FaultKind::Signals, format!("signal {:.80?}: {message}", declared.name), hint)
                .at(place)
        };
        let checked = match names.insert(declared.name.clone()) {
            true => declared.check(),
            false => Err(("declared twice".to_owned(), "give each signal its own name")),
        };
        match checked {
            Ok((at, test)) => signals.push(Named { name: declared.name, at, test }),
            Err(wrong) => faults.push(fault(wrong)),
        }
    }
    if faults.is_empty() { Ok(NamedSignals { signals, text: text.to_owned() }) } else { Err(faults) }
}

/// Where a signal of this name is declared; the whole file where the name is not written as it reads.
fn line_of(text: &str, name: &str) -> Place {
    let written = format!("\"{name}\"");
    text.find(&written).map_or_else(|| Place::file(FILE), |at| Place::offset(FILE, text, at))
}

impl Declared {
    fn check(&self) -> Result<(Vec<Pattern>, Test), Wrong> {
        if !is_name(&self.name) {
            return Err(("not a name".to_owned(), "a name is 1 to 128 letters, digits, and . _ : -"));
        }
        let at = match &self.at {
            None => vec![place("")?],
            Some(places) if places.is_empty() || places.len() > PLACES => {
                return Err((
                    format!("\"at\" names {} places", places.len()),
                    "name 1 to 16, or leave \"at\" out for all arguments",
                ));
            }
            Some(places) => places.iter().map(|path| place(path)).collect::<Result<_, _>>()?,
        };
        let test = match (&self.pattern, &self.equals, self.number) {
            (Some(pattern), None, None) => Test::Matches(compiled(pattern)?),
            (None, Some(Strict(value)), None) => match value {
                Value::Array(_) | Value::Object(_) => {
                    return Err((
                        "\"equals\" is a list or an object".to_owned(),
                        "compare with a text, a number, true, false or null",
                    ));
                }
                scalar => Test::Equals(scalar.clone()),
            },
            (None, None, Some(bounds)) if bounds.any() => Test::Within(bounds),
            (None, None, Some(_)) => {
                return Err(("\"number\" has no bound".to_owned(), "give gt, gte, lt or lte"));
            }
            _ => {
                return Err((
                    "it takes exactly one of \"pattern\", \"equals\" and \"number\"".to_owned(),
                    "make a signal of its own for each test",
                ));
            }
        };
        Ok((at, test))
    }
}

fn place(path: &str) -> Result<Pattern, Wrong> {
    let hint = "write /argument, /list/* or \"\" for all arguments";
    Pattern::parse(path).map_err(|why| (format!("{path:.80?} in \"at\": {why}"), hint))
}

/// A pattern, compiled within the limits; `Err` says why it is not.
pub(super) fn compiled(pattern: &str) -> Result<Regex, Wrong> {
    if pattern.len() > PATTERN_BYTES {
        return Err((
            format!("a pattern of {} bytes, more than {PATTERN_BYTES}", pattern.len()),
            "shorten it",
        ));
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(SEARCH_BYTES)
        .nest_limit(NESTED)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => (
                format!("the pattern needs more than {limit} bytes when it is compiled"),
                "repeat less: a{1000} is a thousand times a; [0-9A-Za-z_] is smaller than \\w, which knows all scripts",
            ),
            // The last line says what is wrong; those before it draw where.
            error => {
                let shown = error.to_string();
                let why = shown.lines().last().unwrap_or_default().trim_start_matches("error: ");
                (
                    format!("the pattern cannot be used: {why}"),
                    "patterns are linear: no look-around, no back-references; see https://docs.rs/regex/#syntax",
                )
            }
        })
}

impl NamedSignals {
    /// The names of the signals that are true of these arguments.
    pub(super) fn of(&self, args: &Value) -> BTreeSet<String> {
        self.signals.iter().filter(|named| named.is_true_of(args)).map(|named| named.name.clone()).collect()
    }

    /// Is there a signal of this name?
    pub(super) fn has(&self, name: &str) -> bool {
        self.signals.iter().any(|named| named.name == name)
    }
}

impl Named {
    fn is_true_of(&self, args: &Value) -> bool {
        self.at.iter().flat_map(|place| place.values(args)).any(|value| match &self.test {
            Test::Matches(pattern) => any_text(value, &mut |text| pattern.is_match(text)),
            Test::Equals(wanted) => is_same(value, wanted),
            Test::Within(bounds) => value.as_f64().is_some_and(|number| bounds.hold(number)),
        })
    }
}

impl Bounds {
    fn any(self) -> bool {
        [self.gt, self.gte, self.lt, self.lte].iter().any(Option::is_some)
    }

    fn hold(self, number: f64) -> bool {
        self.gt.is_none_or(|bound| number > bound)
            && self.gte.is_none_or(|bound| number >= bound)
            && self.lt.is_none_or(|bound| number < bound)
            && self.lte.is_none_or(|bound| number <= bound)
    }
}

/// Is `look` true of a text at or below this value? A number or a boolean is the text that JSON writes for it.
fn any_text(value: &Value, look: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        let found = match value {
            Value::String(text) => look(text),
            Value::Bool(value) => look(if *value { "true" } else { "false" }),
            Value::Number(number) => written(number).is_some_and(|text| look(&text)),
            Value::Null => false,
            Value::Array(items) => {
                open.extend(items);
                false
            }
            Value::Object(members) => {
                open.extend(members.values());
                false
            }
        };
        if found {
            return true;
        }
    }
    false
}

fn written(number: &Number) -> Option<String> {
    String::from_utf8(to_jcs(&Value::Number(number.clone())).ok()?).ok()
}

/// The same type and value; numbers are those that a double is.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// Names in a rule's syntax tree (Cedar's JSON format) that are looked for in `context.signals.named`.
pub(super) fn names_in(tree: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![tree];
    while let Some(node) = open.pop() {
        match node {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                for (operator, operands) in members {
                    let of_named = operands.pointer("/left/./attr").and_then(Value::as_str) == Some("named");
                    if of_named && matches!(operator.as_str(), "contains" | "containsAny" | "containsAll") {
                        names.extend(operands.get("right").into_iter().flat_map(texts));
                    }
                    open.push(operands);
                }
            }
            _ => {}
        }
    }
    names
}

/// The literal strings of an expression that is a literal, or a set of them.
fn texts(tree: &Value) -> Vec<String> {
    let literal = |node: &Value| node.get("Value").and_then(Value::as_str).map(str::to_owned);
    match tree.get("Set").and_then(Value::as_array) {
        Some(items) => items.iter().filter_map(literal).collect(),
        None => literal(tree).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(signals: &Value) -> NamedSignals {
        read(&json!({ "signals": signals }).to_string()).unwrap()
    }

    #[test]
    fn each_test_looks_where_it_says() {
        let signals = named(&json!([
            {"name": "any", "pattern": "(?i)project[- ]x"},
            {"name": "body", "pattern": "^draft", "at": ["/body", "/note"]},
            {"name": "digits", "pattern": "^150$", "at": ["/amount"]},
            {"name": "big", "number": {"gt": 100, "lte": 150}, "at": ["/amount"]},
            {"name": "five", "equals": 5, "at": ["/count"]},
            {"name": "none", "equals": null, "at": ["/count"]},
            {"name": "each", "equals": "a", "at": ["/list/*"]},
        ]));
        for (args, wanted) in [
            (json!({"x": {"deep": ["about PROJECT X"]}}), vec!["any"]),
            (json!({"project x": 1}), vec![]),
            (json!({"body": "draft 1", "amount": 150}), vec!["big", "body", "digits"]),
            (json!({"body": "a draft", "amount": "150"}), vec!["digits"]),
            (json!({"amount": [150]}), vec!["digits"]),
            (json!({"amount": 150.5, "count": 5.0}), vec!["five"]),
            (json!({"count": null, "list": ["b", "a"]}), vec!["each", "none"]),
            (json!({"count": "5", "list": "a"}), vec![]),
        ] {
            let found: Vec<String> = signals.of(&args).into_iter().collect();
            assert_eq!(found, wanted, "{args}");
        }
    }

    #[test]
    fn hostile_and_wrong_signals_are_refused_with_their_line() {
        for (signal, what) in [
            (json!({"name": "x", "pattern": "(a{1000}){1000}"}), "when it is compiled"),
            (json!({"name": "x", "pattern": "(?=a)b"}), "look-around"),
            (json!({"name": "x", "pattern": "(a)\\1"}), "backreferences"),
            (json!({"name": "x", "pattern": "("}), "unclosed group"),
            (json!({"name": "x", "pattern": "a".repeat(5_000)}), "more than 4096"),
            (json!({"name": "x", "pattern": "(".repeat(40) + &")".repeat(40)}), "nest"),
            (json!({"name": "x"}), "exactly one"),
            (json!({"name": "x", "pattern": "a", "equals": null}), "exactly one"),
            (json!({"name": "x", "number": {}}), "no bound"),
            (json!({"name": "x", "equals": []}), "list or an object"),
            (json!({"name": "x", "pattern": "a", "at": []}), "0 places"),
            (json!({"name": "x", "pattern": "a", "at": ["to"]}), "begins with"),
        ] {
            let text = format!("{{\"signals\": [\n{signal}]}}");
            let faults = read(&text).unwrap_err();
            assert_eq!(faults.len(), 1);
            assert!(faults[0].message.contains(what), "{signal}: {}", faults[0].message);
            assert_eq!(faults[0].place.as_ref().unwrap().line, 2, "{signal}");
        }
        for (text, what) in [
            ("{\"signals\": [{\"name\": \"a b\", \"pattern\": \"x\"}]}", "not a name"),
            ("{\"signals\": [{\"name\": \"a\", \"equals\": 1}, {\"name\": \"a\", \"equals\": 2}]}", "twice"),
            ("{\"signals\": [{\"name\": \"a\", \"name\": \"b\", \"equals\": 1}]}", "duplicate"),
            ("{\"signals\": [{\"name\": \"a\", \"regexp\": \"x\"}]}", "unknown field"),
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults[0].message.contains(what), "{text}: {}", faults[0].message);
        }
    }
}
