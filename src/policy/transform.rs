//! Transforms: how a rule may change a call instead of stopping it. A closed list; each is pure and does the same when it
//! is done again.
//!
//! A destination may be removed, never replaced: no transform adds one, none but a removal may touch one, and what came
//! out is compared with what went in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Number, Value};

use super::argument_path::{ArgumentPath, without};
use super::signals;
use super::tools::Tool;
use super::value::{decimal_text, exact_scaled, scaled};

/// Transforms of one rule.
const MOST: usize = 16;
/// What stands in the place of what was redacted.
const BLOT: &str = "[redacted]";
/// Finds of one class in one text; with more, the text is blotted out as a whole.
const BLOTS: usize = 32;

/// One change to a call's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transform {
    /// As the rule says it.
    pub(super) text: String,
    pub(super) at: ArgumentPath,
    act: Act,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    /// Numbers above this, in ten-thousandths, become it.
    Cap(i64),
    /// It is removed.
    Drop,
    /// Those parts are removed that are destinations and not grounded.
    DropUngrounded,
    /// What is of this data class is blotted out of texts.
    Redact(String),
}

impl Transform {
    /// Does it put something else in the place of what is there?
    pub(super) const fn replaces(&self) -> bool {
        matches!(self.act, Act::Cap(_) | Act::Redact(_))
    }

    /// Is it about destinations alone?
    pub(super) fn is_of_destinations(&self) -> bool {
        self.act == Act::DropUngrounded
    }

    /// Does it remove the argument as a whole?
    pub(super) fn drops_argument(&self) -> bool {
        self.act == Act::Drop && self.at.is_argument()
    }
}

/// Reads `@transform`: one or several, divided by `;`.
pub(super) fn parse(value: &str) -> Result<Vec<Transform>, (String, &'static str)> {
    let parts: Vec<&str> = value.split(';').map(str::trim).collect();
    if parts.len() > MOST {
        return Err((format!("@transform says {} things", parts.len()), "say at most 16 in one rule"));
    }
    parts.into_iter().map(one).collect()
}

fn one(text: &str) -> Result<Transform, (String, &'static str)> {
    const HINT: &str = "the transforms are drop:<path>, drop-ungrounded:<path>, cap:<path>:<number> and \
                        redact:<data class>:<path>";
    let wrong = |why: &str| (format!("@transform({text:?}): {why}"), HINT);
    let (name, rest) = text.split_once(':').ok_or_else(|| wrong("it has no path"))?;
    let (act, path) = match name {
        "drop" => (Act::Drop, rest),
        "drop-ungrounded" => (Act::DropUngrounded, rest),
        "cap" => {
            let (path, number) = rest.rsplit_once(':').ok_or_else(|| wrong("it has no number"))?;
            let most = scaled(number).ok_or_else(|| wrong("a cap is a number with up to 4 places"))?;
            (Act::Cap(most), path)
        }
        "redact" => {
            let (class, path) = rest.split_once(':').ok_or_else(|| wrong("it has no path"))?;
            if !signals::class_names().any(|known| known == class) {
                return Err((
                    format!("@transform({text:?}): there is no data class {class:?}"),
                    "see \"Signals\" in docs/policy.md for the data classes",
                ));
            }
            (Act::Redact(class.to_owned()), path)
        }
        _ => return Err(wrong("it is not on the list")),
    };
    let at = ArgumentPath::parse(path).map_err(wrong)?;
    if at.counts() {
        return Err(wrong(
            "it counts items, and after one is removed another has its number: write * for all of them",
        ));
    }
    Ok(Transform { text: text.to_owned(), at, act })
}

/// The arguments after all of the transforms; `Err` says why there are none, in words without argument values.
///
/// What is removed is found in the arguments as declared, then the others change what is left: the result does not hang
/// on the order of the rules. `is_grounded` is asked about the path of one destination in the arguments as declared.
pub(super) fn apply<'a>(
    transforms: impl Iterator<Item = &'a Transform> + Clone,
    args: &Value,
    tool: &Tool,
    is_grounded: &dyn Fn(&str) -> bool,
) -> Result<Value, String> {
    let mut gone = BTreeSet::new();
    for transform in transforms.clone() {
        transform.at.visit(args, &mut |path, value| match (&transform.act, value) {
            (Act::Drop, _) => drop(gone.insert(path.to_owned())),
            // A list of destinations loses those that are not grounded.
            (Act::DropUngrounded, Value::Array(items)) => {
                let items = (0..items.len()).map(|i| format!("{path}/{i}"));
                gone.extend(items.filter(|path| !is_grounded(path)));
            }
            (Act::DropUngrounded, _) if !is_grounded(path) => drop(gone.insert(path.to_owned())),
            _ => {}
        });
    }
    let mut changed = without(args, &gone);
    for transform in transforms {
        transform.at.each(&mut changed, &mut |path, value| match &transform.act {
            Act::Cap(most) => cap(*most, path, value),
            Act::Redact(class) => redact(class, path, value),
            Act::Drop | Act::DropUngrounded => Ok(()),
        })?;
    }
    if adds_destination(tool, args, &changed) {
        return Err("a transform would replace a destination".to_owned());
    }
    Ok(changed)
}

fn cap(most: i64, path: &str, value: &mut Value) -> Result<(), String> {
    let Value::Number(number) = value else {
        return match value {
            Value::Null => Ok(()),
            _ => Err(format!("{path} is no number to be capped")),
        };
    };
    let above = match exact_scaled(number) {
        Some(scaled) => scaled > most,
        // More than four places, or out of range: the double is near enough to tell, and a tie is no excess.
        None => number.as_f64().is_none_or(|number| number * 10_000.0 > as_double(most)),
    };
    if above {
        *value = Value::Number(number_of(most).ok_or_else(|| format!("the cap of {path} is no number"))?);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "compared with a double that has no exact form either")]
fn as_double(scaled: i64) -> f64 {
    scaled as f64
}

/// Ten-thousandths as a JSON number, an integer where it is one.
fn number_of(scaled: i64) -> Option<Number> {
    if scaled % 10_000 == 0 {
        return Some(Number::from(scaled / 10_000));
    }
    Number::from_f64(decimal_text(scaled).parse().ok()?)
}

fn redact(class: &str, path: &str, value: &mut Value) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => {
            if let Some(blotted) = blotted(class, text) {
                *text = blotted;
            }
            Ok(())
        }
        _ => Err(format!("{path} is no text to be redacted")),
    }
}

/// The text without what the detector of the class finds, as few words blotted out as that takes; `None` where it finds
/// nothing. The detector itself says when it is done, so nothing that a rule would see is left.
fn blotted(class: &str, text: &str) -> Option<String> {
    let found = |text: &str| {
        let signals = signals::of_call(&Value::from(text), &[]);
        signals.over_budget || signals.classes.contains(class)
    };
    if !found(text) {
        return None;
    }
    let mut left = text.to_owned();
    for _ in 0..BLOTS {
        // Where words begin: from the last one at which the class is still found behind it, to where it is whole.
        let starts: Vec<usize> = words(&left).map(|(start, _)| start).collect();
        let from = starts.partition_point(|start| left.get(*start..).is_some_and(found));
        let Some(start) = from.checked_sub(1).and_then(|last| starts.get(last).copied()) else { break };
        let ends: Vec<usize> = words(&left).map(|(_, end)| end).filter(|end| *end > start).collect();
        let to = ends.partition_point(|end| !left.get(start..*end).is_some_and(found));
        let Some(end) = ends.get(to).copied() else { break };
        left.replace_range(start..end, BLOT);
        if !found(&left) {
            return Some(left);
        }
    }
    Some(BLOT.to_owned())
}

/// Where words begin and end: what stands between white space.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.split_whitespace().map(move |word| {
        let start = word.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        (start, start.saturating_add(word.len()))
    })
}

/// Is there a destination in `after` that is not in `before`, or more often?
fn adds_destination(tool: &Tool, before: &Value, after: &Value) -> bool {
    let of = |args: &Value| {
        let mut found: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for (i, destination) in tool.labels.destinations.iter().enumerate() {
            let Ok(path) = ArgumentPath::parse(destination.at.as_str()) else { continue };
            path.visit(args, &mut |_, value| {
                leaves(value, &mut |leaf| {
                    let seen = found.entry((i, leaf.to_string())).or_default();
                    *seen = seen.saturating_add(1);
                });
            });
        }
        found
    };
    let before = of(before);
    of(after).iter().any(|(destination, count)| before.get(destination).is_none_or(|known| known < count))
}

/// The scalars in a value.
fn leaves(value: &Value, look: &mut dyn FnMut(&Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, look)),
        Value::Object(object) => object.values().for_each(|value| leaves(value, look)),
        Value::Null => {}
        scalar => look(scalar),
    }
}
