//! Facts that would have been others, in words; and whether somebody could bring them about without saying what is not so.

use super::super::request::Request;
use super::super::tools::Tool;
use super::super::value::Typed;
use super::candidates::{Candidate, How};
use super::reads::Of;
use super::shown;
use crate::record::time::Timestamp;

/// What follows an "if" where calls before this one are stopped.
pub(super) fn stopped_before() -> String {
    "the calls that come before it might run".to_owned()
}

/// What follows an "if" where transforms changed the call.
pub(super) fn nothing_to_change() -> String {
    "the transforms had found nothing to change in it".to_owned()
}

/// The words for a fact that is another, and whether it can be brought about.
pub(super) fn words(request: &Request, tool: Option<&Tool>, candidate: &Candidate) -> (String, bool) {
    let advice = match candidate.at.of {
        Of::Principal => of_agent(candidate),
        Of::Resource => of_tool(candidate),
        Of::Context => of_context(request, tool, candidate),
    };
    match advice {
        Some(words) => (words, true),
        None => (plainly(candidate), false),
    }
}

/// The fact and its value, whatever they mean.
fn plainly(candidate: &Candidate) -> String {
    let fact = candidate.at.to_string();
    match (&candidate.how, &candidate.to) {
        (How::Below(limit), _) => format!("{fact} were just below {}", shown(limit)),
        (How::Above(limit), _) => format!("{fact} were just above {}", shown(limit)),
        (How::Another, _) => format!("{fact} were a text that no rule names"),
        (How::With(one), _) => format!("{fact} held {}", shown(one)),
        (How::Without(one), _) => format!("{fact} did not hold {}", shown(one)),
        (How::Empty, _) => format!("{fact} held nothing"),
        (How::Absent, _) | (How::Is, None) => format!("{fact} were absent"),
        (How::Is, Some(to)) => format!("{fact} were {}", shown(to)),
    }
}

fn of_agent(candidate: &Candidate) -> Option<String> {
    match (candidate.at.names().as_slice(), &candidate.how, &candidate.to) {
        (["signed"], _, Some(Typed::Bool(true))) => Some("the agent signed its intent".to_owned()),
        (["roles"], How::With(role), _) => {
            Some(format!("the agent were registered with the role {}", shown(role)))
        }
        (["roles"], How::Without(role), _) => {
            Some(format!("the agent were registered without the role {}", shown(role)))
        }
        _ => None,
    }
}

fn of_tool(candidate: &Candidate) -> Option<String> {
    // Other labels would be about another tool; where its arguments go can be said of any.
    let labelled = candidate.at.names() == ["labelled"] && candidate.to == Some(Typed::Bool(true));
    labelled.then(|| "tools.json said which of the tool's arguments are destinations".to_owned())
}

fn of_context(request: &Request, tool: Option<&Tool>, candidate: &Candidate) -> Option<String> {
    let names = candidate.at.names();
    match names.as_slice() {
        ["args", name] => of_argument(tool, name, candidate),
        ["unrepresented"] => Some(match &candidate.how {
            How::Without(path) => format!("the argument at {} had an exact form", shown(path)),
            _ => "every argument had an exact form".to_owned(),
        }),
        ["asked"] => Some("the user had asked for it in one of the tool's words".to_owned()),
        ["calls_in_intent"] => fewer(candidate, "the intent's calls were"),
        ["environment"] => match &candidate.to {
            Some(to) if candidate.how == How::Is => {
                Some(format!("the application had opened the session in the environment {}", shown(to)))
            }
            _ => None,
        },
        ["principal"] if candidate.was_absent => {
            Some("the application had named the end user that the agent acts for".to_owned())
        }
        ["principal", "roles"] => match &candidate.how {
            How::With(role) => Some(format!("the end user had the role {}", shown(role))),
            _ => None,
        },
        ["time", "ms"] => later(request, candidate),
        ["claimed", name] => claimed(name, candidate),
        ["grounding", name] => grounding(request, name, candidate),
        ["loop", "repeats"] => fewer(candidate, "the same call's repetitions in this session were"),
        ["plan"] => Some("the application's plan had this call as a step".to_owned()),
        ["plan", "conforms"] => match candidate.to {
            Some(Typed::Bool(true)) => Some("the session's plan had this call as a step".to_owned()),
            _ => None,
        },
        ["plan", "standing"] => match &candidate.to {
            Some(Typed::Text(standing)) if standing == "application" => {
                Some("the plan were the application's".to_owned())
            }
            _ => None,
        },
        ["rate", "agent_minute"] => fewer(candidate, "the agent's calls in the last minute were"),
        ["rate", "session_minute"] => fewer(candidate, "the session's calls in the last minute were"),
        ["session", name] => session(name, candidate),
        ["signals", name] => signal(name, candidate),
        ["signals", language @ ("sql" | "shell"), name] => {
            let is_false = candidate.to == Some(Typed::Bool(false));
            is_false.then(|| format!("the {language} in the arguments were not {}", name.replace('_', " ")))
        }
        _ => None,
    }
}

/// "… were just below 3".
fn fewer(candidate: &Candidate, what: &str) -> Option<String> {
    match (&candidate.how, &candidate.to) {
        (How::Below(limit), _) => Some(format!("{what} fewer than {}", shown(limit))),
        (How::Is, Some(to)) => Some(format!("{what} {}", shown(to))),
        _ => None,
    }
}

fn of_argument(tool: Option<&Tool>, name: &str, candidate: &Candidate) -> Option<String> {
    let is_destination = tool.is_some_and(|tool| {
        let mut known = tool.labels.destinations.iter();
        known.any(|known| {
            known.at.as_str().split('/').nth(1).is_some_and(|first| first == "*" || first == name)
        })
    });
    // Another destination is another deed.
    if is_destination && candidate.how != How::Absent {
        return None;
    }
    let name = name.escape_debug();
    Some(match (&candidate.how, &candidate.to) {
        (How::Below(limit), _) => format!("{name} were just below {}", shown(limit)),
        (How::Above(limit), _) => format!("{name} were just above {}", shown(limit)),
        (How::Another, _) if candidate.was_absent => format!("{name} were given"),
        (How::Another, _) => format!("{name} were another text"),
        (How::With(one), _) => format!("{name} held {}", shown(one)),
        (How::Without(one), _) => format!("{name} did not hold {}", shown(one)),
        (How::Empty, _) => format!("{name} held nothing"),
        (How::Absent, _) | (How::Is, None) => format!("{name} were left out"),
        (How::Is, Some(to)) => format!("{name} were {}", shown(to)),
    })
}

/// Time passes by itself, in one direction.
fn later(request: &Request, candidate: &Candidate) -> Option<String> {
    let (Some(Typed::Long(now)), Some(Typed::Long(then))) =
        (super::value_of(request, &candidate.at), &candidate.to)
    else {
        return None;
    };
    let then = Timestamp::from_millis(*then).ok().filter(|_| *then > now)?;
    Some(format!("it came at {then}"))
}

fn claimed(name: &str, candidate: &Candidate) -> Option<String> {
    match (name, &candidate.how, &candidate.to) {
        ("goal_stated", _, Some(Typed::Bool(true))) => Some("the intent stated its goal".to_owned()),
        ("reasoning_steps", How::Above(limit), _) => {
            Some(format!("the intent gave more than {} steps of its reasoning", shown(limit)))
        }
        ("reasoning_steps", How::Is, Some(steps)) => {
            Some(format!("the intent gave {} steps of its reasoning", shown(steps)))
        }
        _ => None,
    }
}

fn grounding(request: &Request, name: &str, candidate: &Candidate) -> Option<String> {
    let ungrounded =
        super::FactPath { of: Of::Context, path: vec!["grounding".to_owned(), "ungrounded".to_owned()] };
    let which = match super::value_of(request, &ungrounded) {
        // "" stands for all of a tool's that is not labelled.
        Some(Typed::Set(paths)) if !paths.is_empty() && !paths.contains(&Typed::Text(String::new())) => {
            format!(" ({})", shown(&Typed::Set(paths)))
        }
        _ => String::new(),
    };
    let named = || format!("the user had named the destination{which}");
    match (name, &candidate.to) {
        ("destinations", Some(Typed::Text(grade))) => match grade.as_str() {
            "grounded" => Some(named()),
            "record" => Some(format!("the destination{which} stood in a record that is believed")),
            "vouched" => Some(format!("somebody whom the user named had given the destination{which}")),
            _ => None,
        },
        ("ungrounded", Some(Typed::Set(left))) if left.is_empty() => Some(named()),
        ("user_only", Some(Typed::Bool(true))) => Some(named()),
        ("payload", Some(Typed::Text(grade))) => match grade.as_str() {
            "own" => Some("what it carries were the agent's own words".to_owned()),
            "grounded" => Some("what it carries were the user's own words".to_owned()),
            _ => None,
        },
        ("payload_tainted" | "payload_copied", Some(Typed::Bool(false))) => {
            Some("what it carries held nothing from untrusted content".to_owned())
        }
        ("untrusted_links", Some(Typed::Bool(false))) => {
            Some("what it carries held no link from untrusted content".to_owned())
        }
        _ => None,
    }
}

fn session(name: &str, candidate: &Candidate) -> Option<String> {
    match (name, &candidate.how, &candidate.to) {
        ("opened", _, Some(Typed::Bool(true))) => Some("an application had opened the session".to_owned()),
        ("incomplete", _, Some(Typed::Bool(false))) => {
            Some("the outcome of every call that may have run were reported".to_owned())
        }
        ("labels", How::Without(label), _) => {
            Some(format!("it were in a session that nothing made {}", shown(label)))
        }
        ("labels", How::Empty, _) => Some("it were in a session without labels".to_owned()),
        ("calls", ..) => fewer(candidate, "the session's calls before it were"),
        ("denials", ..) => fewer(candidate, "the session's denials before it were"),
        ("turns", How::Above(limit), _) => {
            Some(format!("the user had spoken more than {} times", shown(limit)))
        }
        ("turns", How::Is, Some(turns)) => Some(format!("the user had spoken {} times", shown(turns))),
        _ => None,
    }
}

fn signal(name: &str, candidate: &Candidate) -> Option<String> {
    let is_false = candidate.to == Some(Typed::Bool(false));
    match (name, &candidate.how) {
        ("classes", How::Without(class)) => Some(format!("the arguments held no {}", shown(class))),
        ("classes", How::Empty) => Some("the arguments held none of the data classes".to_owned()),
        ("instructions", _) if is_false => Some("the arguments held no text that gives orders".to_owned()),
        ("invisible", _) if is_false => Some("the arguments held no characters that nobody sees".to_owned()),
        ("lookalike", _) if is_false => {
            Some("the arguments held no letters that look like others".to_owned())
        }
        ("encoded", _) if is_false => Some("the arguments held nothing encoded".to_owned()),
        ("over_budget", _) if is_false => {
            Some("the arguments were short enough to be looked at whole".to_owned())
        }
        _ => None,
    }
}
