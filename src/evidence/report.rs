//! What a verification found, check by check, and what it did not look at.

use serde::Serialize;

/// The verdict of a verification; its number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check passed.
    Valid = 0,
    /// Proven invalid.
    Invalid = 1,
    /// Could not decide: something is unreadable, or no key of the trust policy applies.
    Undecided = 2,
    /// Valid, but the trust policy asked for more (a quorum of witnesses).
    BelowPolicy = 3,
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It is proven not to hold.
    Failed,
    /// It could not be decided.
    Undecided,
    /// It holds, but less than the trust policy asked for.
    BelowPolicy,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen; for a failure, what is wrong.
    pub detail: String,
}

/// How much of what was read a signed checkpoint vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Leaves that were read.
    pub leaves: u64,
    /// Of these, leaves under a checkpoint that a trusted key signed: the first so many.
    pub signed: u64,
}

/// The whole report. Serialised, it is `schemas/report.schema.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Always `foreseal.report.v1`.
    pub schema: &'static str,
    /// What was verified, in a word: `receipt`, `bundle`, `consistency`, `log`, `data directory`, `configuration`.
    pub subject: &'static str,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// Checks in the order they ran.
    pub checks: Vec<Check>,
    /// How many leaves there are, and how many a signed checkpoint covers; where leaves were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What this verification did not establish.
    pub not_checked: Vec<String>,
    /// What to do next, where something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Report {
    /// An empty report: nothing checked yet, so nothing decided.
    #[must_use]
    pub fn new(subject: &'static str) -> Self {
        Self {
            schema: "foreseal.report.v1",
            subject,
            verdict: Verdict::Undecided,
            checks: Vec::new(),
            coverage: None,
            not_checked: Vec::new(),
            hint: None,
        }
    }

    /// Records a check and updates the verdict.
    pub fn record(&mut self, name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check { name: name.into(), outcome, detail: detail.into() });
        self.verdict = verdict_over(&self.checks);
    }

    /// Records a check that holds.
    pub fn passed(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.record(name, Outcome::Passed, detail);
    }

    /// Records a check that is proven not to hold.
    pub fn failed(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.record(name, Outcome::Failed, detail);
    }

    /// Records a check that could not be decided.
    pub fn undecided(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.record(name, Outcome::Undecided, detail);
    }

    /// Notes something this verification did not establish.
    pub fn not_checked(&mut self, what: impl Into<String>) {
        self.not_checked.push(what.into());
    }

    /// Whether no check has failed or stayed undecided so far.
    #[must_use]
    pub fn stands(&self) -> bool {
        matches!(self.verdict, Verdict::Valid | Verdict::BelowPolicy)
    }
}

/// One proven failure decides; then doubt; then a policy that asked for more.
fn verdict_over(checks: &[Check]) -> Verdict {
    let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
    if any(Outcome::Failed) {
        Verdict::Invalid
    } else if checks.is_empty() || any(Outcome::Undecided) {
        Verdict::Undecided
    } else if any(Outcome::BelowPolicy) {
        Verdict::BelowPolicy
    } else {
        Verdict::Valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_not_valid_and_failure_outweighs_doubt() {
        let mut report = Report::new("receipt");
        assert_eq!(report.verdict, Verdict::Undecided);
        report.passed("a", "");
        assert_eq!(report.verdict, Verdict::Valid);
        report.record("b", Outcome::BelowPolicy, "");
        assert_eq!(report.verdict, Verdict::BelowPolicy);
        report.undecided("c", "");
        assert_eq!(report.verdict, Verdict::Undecided);
        report.failed("d", "");
        assert_eq!(report.verdict, Verdict::Invalid);
        report.passed("e", "");
        assert_eq!(report.verdict, Verdict::Invalid);
    }
}
