//! What a look at tools finds: `tool lint`, `tool import` and `tool scan` say it in one form.

use serde::Serialize;
use serde_json::Value;

use super::signals::of_call;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be known.
    Info,
    /// To be looked at some time.
    Low,
    /// To be looked at.
    Medium,
    /// Not to be used before somebody looked.
    High,
    /// Looks like an attack.
    Critical,
}

impl Severity {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What kind of threat a finding speaks of: the six of Microsoft's agent governance toolkit, and two of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Threat {
    /// A definition that is made to be misused: schemas, defaults, arguments that ask for what a tool has no need of.
    ToolPoisoning,
    /// A definition that changed after somebody looked at it.
    RugPull,
    /// A tool that stands in for another server's.
    CrossServerAttack,
    /// A tool that acts with somebody else's rights.
    ConfusedDeputy,
    /// Text that people do not see and models do.
    HiddenInstruction,
    /// Text that tells the model what to do.
    DescriptionInjection,
    /// Where a server comes from and what it may do.
    SupplyChain,
    /// How a client starts a server.
    Configuration,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that found it: stable, in lower case with hyphens.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The kind of threat; absent where it is an omission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat: Option<Threat>,
    /// The file it is in, as named.
    pub file: String,
    /// Where in the file: an RFC 6901 pointer.
    pub at: String,
    /// The tool, as rules name it (`server/tool`), or the server; absent where neither is meant. Escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What was found. Escaped.
    pub message: String,
    /// What follows from leaving it so; for omissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<&'static str>,
    /// The text it was found in, shortened; what a terminal would not show, or would act on, is escaped. Never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What to do.
    pub hint: String,
}

/// Characters of an excerpt.
const EXCERPT_CHARS: usize = 120;

/// A text as it can be shown on any terminal: characters that are invisible, turn the direction of reading or control
/// the terminal are written as escapes, and all but the first 120 characters are left out.
///
/// ```
/// assert_eq!(foreseal::policy::shown("a\u{200b}b\u{1b}[2J"), "a\\u{200b}b\\u{1b}[2J");
/// ```
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(EXCERPT_CHARS).flat_map(escaped).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        out.push('…');
    }
    out
}

/// A text to be quoted, as [`shown`]; none where there is a secret in it.
pub(super) fn quoted(text: &str) -> Option<String> {
    quoted_around(text, 0)
}

/// The part of a text around a place in it, as [`quoted`].
pub(super) fn quoted_around(text: &str, from: usize) -> Option<String> {
    (!has_secret(text)).then(|| shown_around(text, from))
}

/// Is there something in it that the detectors take for a secret?
pub(super) fn has_secret(text: &str) -> bool {
    of_call(&Value::from(text), &[]).classes.iter().any(|class| class.starts_with("secret-"))
}

fn shown_around(text: &str, from: usize) -> String {
    const BEFORE: usize = 40;
    let head = text.get(..from).unwrap_or_default();
    let start = head.char_indices().rev().nth(BEFORE.saturating_sub(1)).map_or(0, |(at, _)| at);
    let cut = if start > 0 { "…" } else { "" };
    let rest = text.get(start..).unwrap_or(text);
    format!("{cut}{}", shown(rest))
}

/// Letters of other scripts are themselves; what `char::escape_debug` takes for unprintable is escaped.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let plain = matches!(c, '"' | '\'' | '\\') || (c.is_alphanumeric() && !is_filler(c));
    let (one, all) = match plain {
        true => (Some(c), None),
        false if is_filler(c) => (None, Some(c.escape_unicode().collect::<String>())),
        false => (None, Some(c.escape_debug().collect::<String>())),
    };
    one.into_iter().chain(all.into_iter().flat_map(|text| text.chars().collect::<Vec<_>>()))
}

/// Letters that nobody sees.
const fn is_filler(c: char) -> bool {
    matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{2800}')
}

/// A pointer one member longer.
pub(super) fn member(pointer: &str, name: &str) -> String {
    super::argument_path::below(pointer, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_hides_is_shown() {
        for (text, wanted) in [
            ("plain 'quoted' \"text\" \\ ü 漢", "plain 'quoted' \"text\" \\ ü 漢"),
            ("a\u{200b}\u{202e}b\u{e0041}", "a\\u{200b}\\u{202e}b\\u{e0041}"),
            ("\u{1b}]0;x\u{7}\r\n", "\\u{1b}]0;x\\u{7}\\r\\n"),
            ("\u{3164}\u{ad}\u{feff}", "\\u{3164}\\u{ad}\\u{feff}"),
        ] {
            assert_eq!(shown(text), wanted);
        }
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 121);
        let long = format!("{}MATCH{}", "a".repeat(500), "b".repeat(500));
        assert!(shown_around(&long, 500).contains("MATCH"));
    }
}
