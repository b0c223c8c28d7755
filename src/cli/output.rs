//! What a person, or a script, sees.

use std::process::ExitCode;

use serde_json::json;

use crate::evidence::report::Outcome;
use crate::evidence::{Report, Verdict};

/// Exit code of a command that could not do its work, or not decide.
const EXIT_UNDECIDED: u8 = 2;
/// Exit code where evidence was proven invalid.
const EXIT_INVALID: u8 = 1;

/// A command that could not do its work: its exit code, one line, and what to do next.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hint: String,
    exit: u8,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit: EXIT_UNDECIDED }
    }

    /// One that proves that the evidence is not what it claims to be.
    pub(super) fn proof(self) -> Self {
        Self { exit: EXIT_INVALID, ..self }
    }

    /// For scripts, on one line: `schemas/failure.schema.json`.
    pub(super) fn to_json(&self) -> String {
        let Self { message, hint, exit } = self;
        json!({ "schema": "foreseal.failure.v1", "error": message, "hint": hint, "exit": exit }).to_string()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (hint: {})", self.message, self.hint)
    }
}

/// Prints a failure, and gives its exit code.
pub(super) fn fail(failure: &Failure) -> ExitCode {
    anstream::eprintln!("\x1b[1;31merror:\x1b[0m {}", failure.message);
    anstream::eprintln!("\x1b[1mhint:\x1b[0m {}", failure.hint);
    ExitCode::from(failure.exit)
}

/// Prints data.
pub(super) fn data(text: &str) {
    anstream::println!("{text}");
}

/// Prints something about what is happening.
#[cfg(feature = "server")]
pub(super) fn status(text: &str) {
    anstream::eprintln!("{text}");
}

/// Prints what is beside the data.
#[cfg(feature = "replay")]
pub(super) fn note(text: &str) {
    anstream::eprintln!("{text}");
}

/// Prints a warning.
#[cfg(feature = "replay")]
pub(super) fn warning(text: &str) {
    anstream::eprintln!("\x1b[1;33mwarning:\x1b[0m {text}");
}

/// Prints a report and gives its exit code.
pub(super) fn report(report: &Report, json: bool) -> ExitCode {
    if json {
        data(&serde_json::to_string_pretty(report).unwrap_or_default());
    } else {
        for line in lines(report) {
            data(&line);
        }
    }
    ExitCode::from(exit_code(report.verdict))
}

/// The exit code of a verdict.
pub(super) fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => EXIT_INVALID,
        Verdict::Undecided => EXIT_UNDECIDED,
        Verdict::BelowPolicy => 3,
    }
}

/// A report as lines: one a check, the verdict, what was not checked, a hint.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for check in &report.checks {
        let mark = match check.outcome {
            Outcome::Passed => "\x1b[32m✓\x1b[0m",
            Outcome::Failed => "\x1b[31m✗\x1b[0m",
            Outcome::Undecided => "\x1b[33m?\x1b[0m",
            Outcome::BelowPolicy => "\x1b[33m!\x1b[0m",
        };
        let detail = if check.detail.is_empty() { String::new() } else { format!(": {}", check.detail) };
        lines.push(format!("{mark} {}{detail}", check.name));
    }
    lines.push(format!("{} ({})", verdict_text(report.verdict), report.subject));
    if !report.not_checked.is_empty() {
        lines.push("not checked:".to_owned());
        lines.extend(report.not_checked.iter().map(|what| format!("  - {what}")));
    }
    if let Some(hint) = &report.hint {
        lines.push(format!("hint: {hint}"));
    }
    lines
}

/// A verdict in words.
pub(super) fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "\x1b[1;32mVALID\x1b[0m",
        Verdict::Invalid => "\x1b[1;31mINVALID\x1b[0m",
        Verdict::Undecided => "\x1b[1;33mCOULD NOT DECIDE\x1b[0m",
        Verdict::BelowPolicy => "\x1b[1;33mVALID, BUT THE TRUST POLICY ASKED FOR MORE\x1b[0m",
    }
}

/// A progress bar over leaves, on terminals only.
pub(super) fn progress(what: &'static str) -> impl FnMut(u64, u64) {
    let bar = indicatif::ProgressBar::new(0);
    let style = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
    bar.set_message(what);
    move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        if done >= all {
            bar.finish_and_clear();
        }
    }
}
