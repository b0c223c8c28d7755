//! The other values that a fact could have had: what rules compare it with, what lies just beyond, and the grades that it
//! can have at all. Few, so that all can be tried.

use std::collections::{BTreeMap, BTreeSet};

use super::super::request::Request;
use super::super::shape::Shape;
use super::super::tools::Tool;
use super::super::value::{Record, Typed};
use super::reads::{FactPath, Of, Reads};
use super::suppose::value_of;

/// Other values of one fact that are tried.
const MOST: usize = 12;
/// A text that is none of those that rules name.
const ANOTHER: &str = "another text";

/// How a value differs from what a rule compares with, or from what was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// It is this one.
    Is,
    /// It is the next one below this.
    Below(Typed),
    /// It is the next one above this.
    Above(Typed),
    /// A text that no rule names.
    Another,
    /// A set with this one more.
    With(Typed),
    /// A set without this one.
    Without(Typed),
    /// An empty set.
    Empty,
    /// It is not there.
    Absent,
}

/// A fact with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) at: FactPath,
    pub(super) to: Option<Typed>,
    pub(super) how: How,
    /// Was the fact absent?
    pub(super) was_absent: bool,
}

/// What could have been otherwise, by fact. What the call is, who made it and by which tool, is not a fact about it.
pub(super) fn candidates(request: &Request, tool: Option<&Tool>, reads: &Reads) -> Vec<Vec<Candidate>> {
    let mut all: BTreeMap<FactPath, Vec<Candidate>> = BTreeMap::new();
    for path in reads.paths().filter(|path| !is_of_the_question(path)) {
        let values = reads.values(path);
        let current = value_of(request, path);
        let (at, made) = match (&current, missing_record(request, path, reads)) {
            (None, Some((at, whole))) => (at, vec![(Some(whole), How::Is)]),
            (None, None) => (path.clone(), of_absent(path, tool, &values)),
            (Some(value), _) => (path.clone(), of_present(path, value, tool, &values)),
        };
        let known = all.entry(at.clone()).or_default();
        for (to, how) in made {
            let candidate = Candidate { at: at.clone(), to, how, was_absent: current.is_none() };
            if candidate.to != current
                && known.len() < MOST
                && !known.iter().any(|other| other.to == candidate.to)
            {
                known.push(candidate);
            }
        }
    }
    all.into_values().filter(|made| !made.is_empty()).collect()
}

type Made = Vec<(Option<Typed>, How)>;

fn is_of_the_question(path: &FactPath) -> bool {
    match (path.of, path.names().as_slice()) {
        (Of::Principal, ["name", ..]) | (Of::Context, ["tool", ..]) => true,
        (Of::Resource, ["name" | "server" | "registered", ..]) => true,
        // No other text of a language's is at hand from which these would follow.
        (Of::Context, ["signals", "sql" | "shell"]) => true,
        _ => false,
    }
}

/// The grades of a fact that has some, best first; those that only make things worse are left out.
fn grades(path: &FactPath, tool: Option<&Tool>) -> Option<Vec<&'static str>> {
    if path.of != Of::Context {
        return None;
    }
    match path.names().as_slice() {
        ["grounding", "destinations"] => {
            let has_url = tool.is_some_and(|tool| {
                tool.labels
                    .destinations
                    .iter()
                    .any(|known| known.kind == super::super::provenance::ValueType::Url)
            });
            let mut grades = vec!["grounded", "record"];
            grades.extend(has_url.then_some("vouched"));
            Some(grades)
        }
        ["grounding", "payload"] => Some(vec!["own", "grounded"]),
        ["asked"] => Some(vec!["yes"]),
        ["plan", "standing"] => Some(vec!["application", "early"]),
        _ => None,
    }
}

/// A record that may be absent as a whole: there is no part of it without it.
fn missing_record(request: &Request, path: &FactPath, reads: &Reads) -> Option<(FactPath, Typed)> {
    let text = |text: &str| Typed::Text(text.to_owned());
    let names = path.names();
    let (Of::Context, [name, ..]) = (path.of, names.as_slice()) else { return None };
    let at = FactPath { of: Of::Context, path: vec![(*name).to_owned()] };
    if value_of(request, &at).is_some() {
        return None;
    }
    let record = match *name {
        "plan" => {
            vec![("conforms", Typed::Bool(true)), ("standing", text("application")), ("step", Typed::Long(0))]
        }
        "principal" => {
            let part = |name: &str| {
                reads.values(&FactPath {
                    of: Of::Context,
                    path: vec!["principal".to_owned(), name.to_owned()],
                })
            };
            let id = part("id").into_iter().next().cloned().unwrap_or_else(|| text("somebody"));
            vec![("id", id), ("roles", Typed::Set(part("roles").into_iter().cloned().collect()))]
        }
        _ => return None,
    };
    let record: Record = record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some((at, Typed::Record(record)))
}

fn of_present(path: &FactPath, value: &Typed, tool: Option<&Tool>, values: &BTreeSet<&Typed>) -> Made {
    if let Some(grades) = grades(path, tool) {
        return grades.into_iter().map(|grade| (Some(Typed::Text(grade.to_owned())), How::Is)).collect();
    }
    let mut made = match value {
        Typed::Bool(bool) => vec![(Some(Typed::Bool(!bool)), How::Is)],
        Typed::Long(_) | Typed::Decimal(_) => {
            let mut made = numbers(value, values);
            made.sort_by_key(|(to, _)| distance(value, to.as_ref()));
            made
        }
        Typed::Text(_) => texts(values),
        Typed::Set(items) => sets(path, items, values),
        Typed::Record(_) => Vec::new(),
    };
    if path.of == Of::Context && path.names().first() == Some(&"args") {
        made.push((None, How::Absent));
    }
    made
}

fn of_absent(path: &FactPath, tool: Option<&Tool>, values: &BTreeSet<&Typed>) -> Made {
    let is = |value: Typed| (Some(value), How::Is);
    match (path.of, path.names().as_slice()) {
        (Of::Context, ["args", name]) => match tool.and_then(|tool| tool.fields.shape(name)) {
            Some(Shape::Text) => texts(values),
            Some(Shape::Bool) => vec![is(Typed::Bool(true)), is(Typed::Bool(false))],
            Some(Shape::Long) => numbers_or(&Typed::Long(1), values),
            Some(Shape::Decimal) => numbers_or(&Typed::Decimal(10_000), values),
            Some(Shape::Set(_)) => {
                let one = values.iter().map(|value| Typed::Set(BTreeSet::from([(*value).clone()])));
                one.chain([Typed::Set(BTreeSet::new())]).map(is).collect()
            }
            Some(Shape::Record(_)) => vec![is(Typed::Record(Record::new()))],
            None => Vec::new(),
        },
        (Of::Context, ["environment"]) => texts(values),
        _ => Vec::new(),
    }
}

fn texts(values: &BTreeSet<&Typed>) -> Made {
    let named = values.iter().filter(|value| matches!(value, Typed::Text(_)));
    let named = named.map(|value| (Some((*value).clone()), How::Is));
    named.chain([(Some(Typed::Text(ANOTHER.to_owned())), How::Another)]).collect()
}

fn numbers(like: &Typed, values: &BTreeSet<&Typed>) -> Made {
    let mut made = Vec::new();
    for value in values {
        let (below, above) = match (like, value) {
            (Typed::Long(_), Typed::Long(n)) => {
                (n.checked_sub(1).map(Typed::Long), n.checked_add(1).map(Typed::Long))
            }
            (Typed::Decimal(_), Typed::Decimal(n)) => {
                (n.checked_sub(1).map(Typed::Decimal), n.checked_add(1).map(Typed::Decimal))
            }
            _ => continue,
        };
        let value = || (*value).clone();
        made.push((Some(value()), How::Is));
        made.extend(below.map(|below| (Some(below), How::Below(value()))));
        made.extend(above.map(|above| (Some(above), How::Above(value()))));
    }
    made
}

/// Of a number that is not there: those just below what rules compare with come first.
fn numbers_or(default: &Typed, values: &BTreeSet<&Typed>) -> Made {
    let mut made = numbers(default, values);
    made.sort_by_key(|(_, how)| !matches!(how, How::Below(_)));
    if made.is_empty() {
        made.push((Some(default.clone()), How::Is));
    }
    made
}

fn distance(from: &Typed, to: Option<&Typed>) -> u64 {
    match (from, to) {
        (Typed::Long(a), Some(Typed::Long(b))) | (Typed::Decimal(a), Some(Typed::Decimal(b))) => {
            a.abs_diff(*b)
        }
        _ => u64::MAX,
    }
}

fn sets(path: &FactPath, items: &BTreeSet<Typed>, values: &BTreeSet<&Typed>) -> Made {
    let mut made = Vec::new();
    for value in items.iter().filter(|item| values.contains(item) || values.is_empty()) {
        let without: BTreeSet<Typed> = items.iter().filter(|item| *item != value).cloned().collect();
        made.push((Some(Typed::Set(without)), How::Without(value.clone())));
    }
    if !items.is_empty() {
        made.push((Some(Typed::Set(BTreeSet::new())), How::Empty));
    }
    // What has no exact form is what it is; nobody would add to it.
    if path.names() != ["unrepresented"] {
        for value in values.iter().filter(|value| !items.contains(**value)) {
            let with: BTreeSet<Typed> = items.iter().chain([*value]).cloned().collect();
            made.push((Some(Typed::Set(with)), How::With((*value).clone())));
        }
    }
    made
}
