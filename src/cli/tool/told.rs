//! Findings, as a person sees them.

use crate::cli::output::data;
use crate::policy::{Finding, Severity};

/// One finding: what and where, the text, what follows, what to do.
pub(super) fn finding(finding: &Finding) {
    let colour = match finding.severity {
        Severity::Critical => "1;31",
        Severity::High => "31",
        Severity::Medium => "33",
        Severity::Low | Severity::Info => "36",
    };
    let tool = finding.tool.as_ref().map(|tool| format!("{tool}: ")).unwrap_or_default();
    data(&format!(
        "\x1b[{colour}m{}\x1b[0m {tool}{} [{}]",
        finding.severity.as_str(),
        finding.message,
        finding.rule
    ));
    data(&format!("  at {}#{}", finding.file.escape_debug(), crate::policy::shown(&finding.at)));
    if let Some(excerpt) = &finding.excerpt {
        data(&format!("  text: {excerpt}"));
    }
    if let Some(follows) = finding.follows {
        data(&format!("  so: {follows}"));
    }
    data(&format!("  do: {}", finding.hint));
}

/// How many there are of each severity, in words.
pub(super) fn counted(findings: &[Finding]) -> String {
    let severities = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];
    let counts = severities.into_iter().filter_map(|severity| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        (count > 0).then(|| format!("{count} {}", severity.as_str()))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") }
}
