//! An explanation in words.

use super::Explained;
use crate::policy::{Alternative, ExplainedRule, Explanation};
use crate::record::decision::{Condition, Outcome};

/// Line by line.
pub(super) fn lines(explained: &Explained) -> Vec<String> {
    let mut lines = Vec::new();
    let leaf = explained.index.map_or_else(String::new, |index| format!(", leaf {index}"));
    let until = explained.expires.map_or_else(String::new, |expires| format!(", until {expires}"));
    lines.push(format!("intent {}{leaf}: {}{until}", explained.id, past(explained.outcome)));
    lines.push(match explained.policy {
        Some(policy) => format!("decided by the bundle of leaf {policy}, digest {}", explained.digest),
        None => format!("decided by the bundle of digest {}", explained.digest),
    });
    for call in &explained.calls {
        lines.push(String::new());
        of_call(call, &mut lines);
    }
    lines
}

fn past(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Deny => "denied",
        Outcome::Defer => "deferred",
        Outcome::Hold => "held",
        Outcome::Modify => "allowed as changed",
        Outcome::Allow => "allowed",
    }
}

fn of_call(call: &Explanation, lines: &mut Vec<String>) {
    let tool = match (call.server.as_str(), call.tool.as_str()) {
        (_, "") => String::new(),
        ("", tool) => format!(", {}", tool.escape_debug()),
        (server, tool) => format!(", {}/{}", server.escape_debug(), tool.escape_debug()),
    };
    lines.push(format!("call {}{tool}: {}", call.call, past(call.outcome)));
    for reason in &call.reasons {
        lines.push(format!("  {}: {}", reason.rule, reason.message));
    }
    if !call.decided_by.is_empty() {
        lines.push("  the rules, and what they looked at:".to_owned());
        call.decided_by.iter().for_each(|rule| of_rule(rule, lines));
    }
    if !call.conditions.is_empty() {
        lines.push("  it waits for:".to_owned());
        lines.extend(call.conditions.iter().map(|condition| format!("    {}", waits_for(condition))));
    }
    if !call.transforms.is_empty() {
        lines.push(format!("  it was changed by: {}", call.transforms.join("; ")));
    }
    if !call.also_matched.is_empty() {
        let also = call.also_matched.iter().map(|rule| format!("{} ({})", rule.id, does(rule)));
        lines.push(format!("  also matched, and did not decide: {}", also.collect::<Vec<_>>().join(", ")));
    }
    if call.outcome != Outcome::Allow {
        what_would_have_changed(call, lines);
    }
}

fn does(rule: &ExplainedRule) -> &'static str {
    match rule.does {
        "permit" => "permits",
        "defer" => "defers",
        "hold" => "holds",
        "modify" => "changes",
        _ => "denies",
    }
}

fn of_rule(rule: &ExplainedRule, lines: &mut Vec<String>) {
    lines.push(format!("    {} ({}, {}:{})", rule.id, does(rule), rule.file.escape_debug(), rule.line));
    for fact in &rule.looked_at {
        lines.push(format!("      {} is {}", fact.fact, fact.shown));
    }
}

fn waits_for(condition: &Condition) -> String {
    let mut parts = Vec::new();
    match (&condition.approver, condition.quorum) {
        (Some(role), None) => parts.push(format!("the approval of somebody with the role {role}")),
        (Some(role), Some(quorum)) => {
            parts.push(format!("the approval of {quorum} people with the role {role}"));
        }
        (None, Some(quorum)) => parts.push(format!("the approval of {quorum} people")),
        (None, None) => {}
    }
    parts.extend(condition.human.as_ref().map(|human| format!("the approval of {human}")));
    parts.extend(condition.ticket.as_ref().map(|ticket| format!("a ticket of the kind {ticket}")));
    parts.extend(
        condition.step_up.as_ref().map(|step_up| format!("the end user proving who they are by {step_up}")),
    );
    if parts.is_empty() {
        let is_defer = condition.expires_s.is_some();
        parts.push(if is_defer { "being asked again" } else { "an approval" }.to_owned());
    }
    let within = condition.expires_s.map_or_else(String::new, |s| format!(", within {s} s of the decision"));
    format!("{}{within} ({})", parts.join(" and "), condition.rule)
}

fn what_would_have_changed(call: &Explanation, lines: &mut Vec<String>) {
    if let Some(instead) = call.instead {
        lines.push(format!("  it might have been allowed, if {instead}"));
    }
    if call.tool.is_empty() {
        return;
    }
    let (can, cannot): (Vec<_>, Vec<_>) =
        call.alternatives.iter().partition(|alternative| alternative.can_be_brought_about);
    if !can.is_empty() {
        lines.push("  it would have been:".to_owned());
        lines.extend(can.into_iter().map(of_alternative));
    }
    if !cannot.is_empty() {
        lines.push("  it would also have been, by facts that nobody can simply bring about:".to_owned());
        lines.extend(cannot.into_iter().map(of_alternative));
    }
    if call.alternatives.is_empty() && call.instead.is_none() {
        lines.push("  no one fact that these rules look at, and no two, would have changed it".to_owned());
    }
    let bounded = if call.bounded { "; there were more, which were not" } else { "" };
    if call.judged > 0 {
        let requests = if call.judged == 1 { "request was" } else { "requests were" };
        lines.push(format!("  ({} other {requests} judged for this{bounded})", call.judged));
    }
}

fn of_alternative(alternative: &Alternative) -> String {
    let ifs: Vec<&str> = alternative.changes.iter().map(|change| change.words.as_str()).collect();
    format!("    {}, if {} (by {})", past(alternative.outcome), ifs.join(" and "), alternative.by.join(", "))
}
