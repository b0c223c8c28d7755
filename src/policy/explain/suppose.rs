//! Requests in which a fact is another. What follows from a fact by what it means is changed with it: a destination that
//! is grounded is not in the set of those that are not.

use std::collections::BTreeSet;

use super::super::request::Request;
use super::super::value::{Record, Typed};
use super::candidates::Candidate;
use super::reads::{FactPath, Of};

/// A fact's value in a request.
pub(super) fn value_of(request: &Request, path: &FactPath) -> Option<Typed> {
    let names = path.names();
    match (path.of, names.as_slice()) {
        (Of::Principal, ["name"]) => Some(Typed::Text(request.agent.name.clone())),
        (Of::Principal, ["roles"]) => {
            Some(Typed::Set(request.agent.roles.iter().cloned().map(Typed::Text).collect()))
        }
        (Of::Principal, ["signed"]) => Some(Typed::Bool(request.agent.signed)),
        (Of::Principal, _) => None,
        (Of::Resource, names) => within(&request.resource, names).cloned(),
        (Of::Context, names) => within(&request.context, names).cloned(),
    }
}

fn within<'a>(record: &'a Record, names: &[&str]) -> Option<&'a Typed> {
    let (first, rest) = names.split_first()?;
    match (record.get(*first)?, rest) {
        (value, []) => Some(value),
        (Typed::Record(inner), rest) => within(inner, rest),
        _ => None,
    }
}

/// The request, were this so.
pub(super) fn supposed(request: &Request, candidates: &[&Candidate]) -> Request {
    let mut other = request.clone();
    // What the transforms make of another call is not known.
    other.changed = None;
    other.supposed = true;
    for candidate in candidates {
        put_fact(&mut other, candidate);
    }
    other
}

fn put_fact(request: &mut Request, candidate: &Candidate) {
    let names = candidate.at.names();
    match (candidate.at.of, names.as_slice(), &candidate.to) {
        (Of::Principal, ["roles"], Some(Typed::Set(roles))) => {
            let texts = roles.iter().filter_map(|role| match role {
                Typed::Text(role) => Some(role.clone()),
                _ => None,
            });
            request.agent.roles = texts.collect();
        }
        (Of::Principal, ["signed"], Some(Typed::Bool(signed))) => request.agent.signed = *signed,
        (Of::Principal, ..) => {}
        (Of::Resource, names, to) => put(&mut request.resource, names, to.as_ref()),
        (Of::Context, names, to) => {
            put(&mut request.context, names, to.as_ref());
            follow(&mut request.context, names, to.as_ref());
        }
    }
}

fn put(record: &mut Record, names: &[&str], to: Option<&Typed>) {
    let Some((first, rest)) = names.split_first() else { return };
    match (rest, to) {
        ([], Some(to)) => drop(record.insert((*first).to_owned(), to.clone())),
        ([], None) => drop(record.remove(*first)),
        (rest, to) => {
            if let Some(Typed::Record(inner)) = record.get_mut(*first) {
                put(inner, rest, to);
            }
        }
    }
}

/// What else is so where this is.
fn follow(context: &mut Record, names: &[&str], to: Option<&Typed>) {
    match (names, to) {
        // What is there in an exact form is not listed as what has none.
        (["args", name, ..], Some(_)) => {
            let place = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            if let Some(Typed::Set(lost)) = context.get_mut("unrepresented") {
                lost.retain(|path| !matches!(path, Typed::Text(path) if is_below(path, &place)));
            }
        }
        (["grounding", "destinations"], Some(Typed::Text(grade))) if grade != "ungrounded" => {
            ground(context, grade == "grounded" || grade == "none");
        }
        (["grounding", "ungrounded"], Some(Typed::Set(left))) if left.is_empty() => {
            put(context, &["grounding", "destinations"], Some(&Typed::Text("grounded".to_owned())));
            ground(context, true);
        }
        (["grounding", "user_only"], Some(Typed::Bool(true))) => {
            put(context, &["grounding", "destinations"], Some(&Typed::Text("grounded".to_owned())));
            ground(context, true);
        }
        (["grounding", "payload"], Some(Typed::Text(grade))) if grade != "tainted" => {
            for fact in ["payload_tainted", "payload_copied"] {
                put(context, &["grounding", fact], Some(&Typed::Bool(false)));
            }
        }
        (["grounding", "payload_tainted"], Some(Typed::Bool(false)))
            if within(context, &["grounding", "payload"]) == Some(&Typed::Text("tainted".to_owned())) =>
        {
            put(context, &["grounding", "payload"], Some(&Typed::Text("own".to_owned())));
        }
        (["plan", "conforms"], Some(Typed::Bool(true))) if within(context, &["plan", "step"]).is_none() => {
            put(context, &["plan", "step"], Some(&Typed::Long(0)));
        }
        _ => {}
    }
}

fn ground(context: &mut Record, user_only: bool) {
    put(context, &["grounding", "ungrounded"], Some(&Typed::Set(BTreeSet::new())));
    put(context, &["grounding", "user_only"], Some(&Typed::Bool(user_only)));
}

fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
