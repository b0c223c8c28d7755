//! Annotations of a rule: what it does when it matches, and what it says. Each is known, well placed and well formed,
//! or the bundle is refused: a misspelt one would turn a rule into another.

use cedar_policy::{Effect, Policy};

use super::rule::{Deed, Hold, is_name};
use super::transform::{self, Transform};

/// Bytes of a `@reason`.
const REASON_BYTES: usize = 500;
/// The longest hold: thirty days, in seconds.
const LONGEST_HOLD_S: u64 = 30 * 86_400;
/// The most people that a hold can ask for.
const LARGEST_QUORUM: u32 = 16;

/// What is wrong, and what to do.
type Wrong = (String, &'static str);

/// The annotations of a rule, read.
pub(super) struct Annotations {
    pub(super) deed: Deed,
    pub(super) reason: Option<String>,
}

/// What a forbid does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deny,
    Defer,
    Hold,
    Modify,
}

impl Annotations {
    pub(super) fn read(policy: &Policy) -> Result<Self, Wrong> {
        let kind = match (policy.effect(), policy.annotation("outcome")) {
            (Effect::Permit, None) => None,
            (Effect::Permit, Some(_)) => return Err(on_permit("outcome")),
            (Effect::Forbid, None) => Some(Kind::Deny),
            (Effect::Forbid, Some(value)) => Some(outcome(value)?),
        };
        let mut hold = Hold::default();
        let (mut transforms, mut reason): (Vec<Transform>, _) = (Vec::new(), None);
        for (name, value) in policy.annotations() {
            check_place(name, kind)?;
            match name {
                "approver" => hold.approver = Some(word("approver", "a role", value)?),
                "expires" => hold.expires_s = Some(duration(value)?),
                "human" => hold.human = Some(word("human", "a person's name", value)?),
                "quorum" => hold.quorum = Some(quorum(value)?),
                "reason" => reason = Some(text(value)?),
                "step_up" => hold.step_up = Some(word("step_up", "the name of a method", value)?),
                "ticket" => hold.ticket = Some(word("ticket", "the name of a kind of ticket", value)?),
                "transform" => transforms = transform::parse(value)?,
                // "id" and "outcome", read already.
                _ => {}
            }
        }
        let deed = match kind {
            None => Deed::Permit,
            Some(Kind::Deny) => Deed::Deny,
            Some(Kind::Defer) => Deed::Defer { expires_s: hold.expires_s },
            Some(Kind::Hold) => Deed::Hold(Box::new(hold)),
            Some(Kind::Modify) if transforms.is_empty() => {
                let hint = "say how the call is changed, as in @transform(\"drop:/cc\")";
                return Err(("@outcome(\"modify\") without @transform".to_owned(), hint));
            }
            Some(Kind::Modify) => Deed::Modify(transforms),
        };
        Ok(Self { deed, reason })
    }
}

/// Refuses an annotation that is unknown, or that says nothing on a rule of this kind.
fn check_place(name: &str, kind: Option<Kind>) -> Result<(), Wrong> {
    let fits = match name {
        "id" | "reason" | "outcome" => true,
        "approver" | "human" | "quorum" | "step_up" | "ticket" => kind == Some(Kind::Hold),
        "expires" => matches!(kind, Some(Kind::Hold | Kind::Defer)),
        "transform" => kind == Some(Kind::Modify),
        _ => {
            let hint = "the annotations are id, outcome, reason, approver, quorum, human, step_up, ticket, expires and \
                        transform";
            return Err((format!("@{name} is not an annotation"), hint));
        }
    };
    match (fits, kind, name) {
        (true, ..) => Ok(()),
        (false, None, _) => Err(on_permit(name)),
        (false, _, "transform") => Err((
            "@transform is for @outcome(\"modify\")".to_owned(),
            "add the outcome, or remove @transform",
        )),
        (false, Some(Kind::Defer), _) => {
            let hint = "a defer waits for nobody: write @outcome(\"hold\"), or remove the annotation";
            Err((format!("@{name} is for holds"), hint))
        }
        (false, ..) => {
            Err((format!("@{name} is for holds"), "add @outcome(\"hold\"), or remove the annotation"))
        }
    }
}

fn on_permit(name: &str) -> Wrong {
    let hint = "a permit only permits: remove the annotation, or make the rule a forbid";
    (format!("@{name} on a permit"), hint)
}

fn outcome(value: &str) -> Result<Kind, Wrong> {
    match value {
        "deny" => Ok(Kind::Deny),
        "defer" => Ok(Kind::Defer),
        "hold" => Ok(Kind::Hold),
        "modify" => Ok(Kind::Modify),
        _ => Err((
            format!("@outcome({value:?}) is not an outcome"),
            "the outcomes of a forbid are deny, defer, hold and modify",
        )),
    }
}

fn word(name: &str, what: &str, value: &str) -> Result<String, Wrong> {
    if is_name(value) {
        Ok(value.to_owned())
    } else {
        Err((format!("@{name}({value:?}) is not {what}"), "write 1 to 128 letters, digits, and . _ : -"))
    }
}

fn quorum(value: &str) -> Result<u32, Wrong> {
    let plain = !value.starts_with(['0', '+']);
    let quorum = value.parse::<u32>().ok().filter(|quorum| plain && (1..=LARGEST_QUORUM).contains(quorum));
    quorum.ok_or_else(|| {
        (format!("@quorum({value:?}) is not a number of people"), "write a number from 1 to 16")
    })
}

fn text(value: &str) -> Result<String, (String, &'static str)> {
    if value.trim().is_empty() || value.len() > REASON_BYTES || value.chars().any(char::is_control) {
        let hint = "a reason is one line of 1 to 500 bytes, for the person who reads why";
        return Err(("@reason is empty, too long or has control characters".to_owned(), hint));
    }
    Ok(value.to_owned())
}

/// `90s`, `15m`, `1h`, `7d`: whole seconds, from one second to thirty days.
fn duration(value: &str) -> Result<u64, (String, &'static str)> {
    let seconds = || {
        let unit = value.chars().last()?;
        let count = value.strip_suffix(unit)?;
        let each = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let plain = !count.starts_with('0') && count.bytes().all(|b| b.is_ascii_digit());
        let seconds = plain.then(|| count.parse::<u64>().ok())??.checked_mul(each)?;
        (1..=LONGEST_HOLD_S).contains(&seconds).then_some(seconds)
    };
    seconds().ok_or_else(|| {
        (
            format!("@expires({value:?}) is not a duration"),
            "write 90s, 15m, 1h or 7d: at least 1s, at most 30d",
        )
    })
}
