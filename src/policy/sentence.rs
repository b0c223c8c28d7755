//! A first rule from a sentence, for people who have never seen Cedar: `hold send_money over 100 by finance for 15m`.
//!
//! ```text
//! deny|hold|defer TOOL|GROUP [over NUMBER [of ARGUMENT]] [to strangers] [after untrusted] [by ROLE] [for TIME]
//! cap TOOL at NUMBER [of ARGUMENT]
//! drop ARGUMENT from TOOL
//! ```
//! The rule is written the safe way round, forbidding unless it is known to be fine, and loads with the bundle or is not
//! given out.

use super::bundle::Bundle;
use super::rule::is_name;
use super::shape::Shape;
use super::tools::{GROUPS, Tool};
use super::value::{decimal_text, scaled};

/// A rule made from a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    /// Its `@id`, which no rule of the bundle has.
    pub id: String,
    /// Cedar text, with a line feed at its end.
    pub text: String,
}

/// Why a sentence makes no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SentenceError {
    /// What is not understood.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

const FORMS: &str = "write \"hold send_money over 100 by finance for 15m\", \"deny delete_branch\", \"hold external to \
                     strangers\", \"cap send_money at 500\" or \"drop cc from send_email\"";

fn wrong(message: impl Into<String>, hint: impl Into<String>) -> SentenceError {
    SentenceError { message: message.into(), hint: hint.into() }
}

/// What the sentence is about.
enum What<'a> {
    Tool(&'a Tool),
    Group(&'a str),
}

/// The parts of a rule that the clauses give.
#[derive(Default)]
struct Clauses {
    over: Option<(i64, Option<String>)>,
    strangers: bool,
    untrusted: bool,
    role: Option<String>,
    time: Option<String>,
}

/// Makes a rule for a bundle.
///
/// # Errors
/// [`SentenceError`]: what is not understood, and what to write.
pub fn rule_of(sentence: &str, bundle: &Bundle) -> Result<NewRule, SentenceError> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let Some((verb, rest)) = words.split_first() else { return Err(wrong("an empty sentence", FORMS)) };
    let id = free_id(&words, bundle);
    let text = match verb.to_ascii_lowercase().as_str() {
        verb @ ("deny" | "hold" | "defer") => stops(&id, verb, rest, sentence, bundle)?,
        "cap" => caps(&id, rest, sentence, bundle)?,
        "drop" => drops(&id, rest, sentence, bundle)?,
        other => return Err(wrong(format!("no rule begins with {other:?}"), FORMS)),
    };
    Ok(NewRule { id, text })
}

/// An id from the sentence's words that no rule has.
fn free_id(words: &[&str], bundle: &Bundle) -> String {
    let plain = |word: &&str| -> String {
        word.chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' })
            .collect()
    };
    let mut id: String = words.iter().map(plain).collect::<Vec<_>>().join("-").chars().take(100).collect();
    if !is_name(&id) {
        "rule".clone_into(&mut id);
    }
    let mut free = id.clone();
    let mut number = 2_u32;
    while bundle.rules().any(|taken| taken == free) {
        free = format!("{id}-{number}");
        number = number.saturating_add(1);
    }
    free
}

fn stops(
    id: &str,
    verb: &str,
    rest: &[&str],
    sentence: &str,
    bundle: &Bundle,
) -> Result<String, SentenceError> {
    let Some((what, rest)) = rest.split_first() else {
        return Err(wrong(format!("{verb} what?"), "name a tool or a group of tools.json"));
    };
    let what = what_is(what, bundle)?;
    let clauses = clauses(rest)?;
    if verb != "hold" && clauses.role.is_some() {
        return Err(wrong(format!("nobody approves what is to {verb}"), "write hold, or leave out \"by\""));
    }
    if verb == "deny" && clauses.time.is_some() {
        return Err(wrong("a deny has no time", "write hold or defer, or leave out \"for\""));
    }
    let mut conditions = Vec::new();
    if clauses.untrusted {
        conditions.push("when { context.session.labels.contains(\"untrusted\") }".to_owned());
    }
    if let Some((number, argument)) = &clauses.over {
        let What::Tool(tool) = &what else {
            return Err(wrong("\"over\" speaks of one tool's argument", "name a tool instead of a group"));
        };
        let (path, at_most) = at_most(tool, argument.as_deref(), *number)?;
        conditions.push(format!("unless {{ context.args has {path} && {at_most} }}"));
    }
    if clauses.strangers {
        conditions
            .push("unless { [\"grounded\", \"none\"].contains(context.grounding.destinations) }".to_owned());
    }
    let mut annotations = format!("@id(\"{id}\")\n");
    if verb != "deny" {
        annotations += &format!("@outcome(\"{verb}\")\n");
    }
    for (name, value) in [("approver", &clauses.role), ("expires", &clauses.time)] {
        if let Some(value) = value {
            annotations += &format!("@{name}(\"{value}\")\n");
        }
    }
    Ok(rule(&annotations, &what, sentence, &conditions))
}

fn caps(id: &str, rest: &[&str], sentence: &str, bundle: &Bundle) -> Result<String, SentenceError> {
    let (tool, number, argument) = match rest {
        [tool, "at", number] => (tool, number, None),
        [tool, "at", number, "of", argument] => (tool, number, Some(*argument)),
        _ => return Err(wrong("cap what, and at which number?", FORMS)),
    };
    let What::Tool(tool) = what_is(tool, bundle)? else {
        return Err(wrong("a cap is of one tool's argument", "name a tool instead of a group"));
    };
    let number = number_of(number)?;
    let (name, _) = numeric(tool, argument)?;
    let path = super::argument_path::below("", name);
    let (_, at_most) = at_most(tool, Some(name), number)?;
    let shown = plain_number(number);
    let annotations =
        format!("@id(\"{id}\")\n@outcome(\"modify\")\n@transform(\"cap:{}:{shown}\")\n", quoted(&path));
    let conditions = [format!("unless {{ context.args has {} && {at_most} }}", attribute(name))];
    Ok(rule(&annotations, &What::Tool(tool), sentence, &conditions))
}

fn drops(id: &str, rest: &[&str], sentence: &str, bundle: &Bundle) -> Result<String, SentenceError> {
    let [argument, "from", tool] = rest else { return Err(wrong("drop what, and from which tool?", FORMS)) };
    let What::Tool(tool) = what_is(tool, bundle)? else {
        return Err(wrong("an argument is of one tool", "name a tool instead of a group"));
    };
    if !tool.fields.declares(argument) {
        return Err(wrong(
            format!("{:?} has no argument {argument:?}", tool.action_id()),
            arguments_of(tool),
        ));
    }
    let path = super::argument_path::below("", argument);
    let annotations =
        format!("@id(\"{id}\")\n@outcome(\"modify\")\n@transform(\"drop:{}\")\n", quoted(&path));
    Ok(rule(&annotations, &What::Tool(tool), sentence, &[]))
}

fn rule(annotations: &str, what: &What<'_>, sentence: &str, conditions: &[String]) -> String {
    let action = match what {
        What::Tool(tool) => format!("action == Action::\"{}\"", quoted(&tool.action_id())),
        What::Group(group) => format!("action in Action::\"{group}\""),
    };
    let reason: String =
        sentence.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect();
    let conditions: String = conditions.iter().map(|condition| format!("\n{condition}")).collect();
    format!(
        "{annotations}@reason(\"{}\")\nforbid (principal, {action}, resource){conditions};\n",
        quoted(&reason)
    )
}

/// Within the quotes of a Cedar string.
fn quoted(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .flat_map(|c| {
            let escape = matches!(c, '"' | '\\');
            escape.then_some('\\').into_iter().chain(std::iter::once(c))
        })
        .collect()
}

fn what_is<'a>(name: &'a str, bundle: &'a Bundle) -> Result<What<'a>, SentenceError> {
    let named: Vec<&Tool> =
        bundle.tools().filter(|tool| tool.action_id() == name || tool.name == name).collect();
    let groups = || bundle.tools().flat_map(|tool| tool.groups.iter().map(String::as_str)).chain(GROUPS);
    match named.as_slice() {
        [tool] => Ok(What::Tool(tool)),
        [] => match groups().find(|group| *group == name) {
            Some(_) => Ok(What::Group(name)),
            None => Err(wrong(
                format!("no tool and no group is called {name:?}"),
                "name one of tools.json, a tool as \"tool\" or \"server/tool\"",
            )),
        },
        several => {
            let ids: Vec<String> = several.iter().map(|tool| tool.action_id()).collect();
            Err(wrong(format!("several tools are called {name:?}"), format!("name one: {}", ids.join(", "))))
        }
    }
}

fn clauses(mut words: &[&str]) -> Result<Clauses, SentenceError> {
    let mut clauses = Clauses::default();
    loop {
        words = match words {
            [] => return Ok(clauses),
            ["over", number, "of", argument, rest @ ..] => {
                clauses.over = Some((number_of(number)?, Some((*argument).to_owned())));
                rest
            }
            ["over", number, rest @ ..] => {
                clauses.over = Some((number_of(number)?, None));
                rest
            }
            ["to", "strangers", rest @ ..] => {
                clauses.strangers = true;
                rest
            }
            ["after", "untrusted", rest @ ..] => {
                clauses.untrusted = true;
                rest
            }
            ["by", role, rest @ ..] => {
                clauses.role = Some((*role).to_owned());
                rest
            }
            ["for", time, rest @ ..] => {
                clauses.time = Some((*time).to_owned());
                rest
            }
            [word, ..] => return Err(wrong(format!("{word:?} is not understood here"), FORMS)),
        };
    }
}

fn number_of(text: &str) -> Result<i64, SentenceError> {
    scaled(text)
        .ok_or_else(|| wrong(format!("{text:?} is no number"), "write it plainly, with up to 4 places"))
}

/// In the form that a transform reads.
fn plain_number(scaled: i64) -> String {
    let text = decimal_text(scaled);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn arguments_of(tool: &Tool) -> String {
    let names: Vec<&str> = tool.fields.names().collect();
    format!("its arguments are {}", names.join(", "))
}

/// The argument that a number is compared with, and its shape.
fn numeric<'a>(tool: &'a Tool, argument: Option<&str>) -> Result<(&'a str, &'a Shape), SentenceError> {
    let number = |shape: &Shape| matches!(shape, Shape::Long | Shape::Decimal);
    let all: Vec<(&str, &Shape)> = tool
        .fields
        .names()
        .filter_map(|name| match tool.fields.branches(name) {
            [only] if number(&only.shape) => Some((name, &only.shape)),
            _ => None,
        })
        .collect();
    let found: Vec<&(&str, &Shape)> = match argument {
        Some(argument) => all.iter().filter(|(name, _)| *name == argument).collect(),
        None => all.iter().collect(),
    };
    let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [(name, shape)] => Ok((name, shape)),
        [] => Err(wrong(
            format!("{:?} has no such number among its arguments", tool.action_id()),
            format!("its numbers are: {names}"),
        )),
        _ => Err(wrong(
            format!("{:?} has several numbers", tool.action_id()),
            format!("say which one, as in \"over 100 of ARGUMENT\": {names}"),
        )),
    }
}

/// The argument as a condition names it, and the condition that it is at most this.
fn at_most(tool: &Tool, argument: Option<&str>, number: i64) -> Result<(String, String), SentenceError> {
    let (name, shape) = numeric(tool, argument)?;
    let path = attribute(name);
    let read = if path == name { format!("context.args.{name}") } else { format!("context.args[{path}]") };
    let condition = match shape {
        Shape::Decimal => format!("{read}.lessThanOrEqual(decimal(\"{}\"))", decimal_text(number)),
        _ if number % 10_000 == 0 => format!("{read} <= {}", number / 10_000),
        _ => return Err(wrong(format!("{name:?} is a whole number"), "compare it with a whole number")),
    };
    Ok((path, condition))
}

/// A name as Cedar takes it after `has`.
fn attribute(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    const RESERVED: [&str; 8] = ["true", "false", "if", "then", "else", "in", "is", "like"];
    if plain && name != "has" && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", quoted(name))
    }
}
