//! What can be wrong with a policy bundle, where, and what to do about it.

/// A position in a bundle's file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name inside the bundle.
    pub file: String,
    /// The line, or 0 where the whole file is meant.
    pub line: usize,
    /// The column, or 0 where the whole line or file is meant.
    pub column: usize,
}

impl Place {
    /// A whole file.
    pub(super) fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0 }
    }

    /// The position of a byte offset in a text; an offset past the end means the end.
    pub(super) fn offset(file: &str, text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let before = text.get(..end).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.get(start..).unwrap_or_default().chars().count().saturating_add(1);
        Self { file: file.to_owned(), line, column }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A file's name is input: what would break a line of a log is escaped.
        write!(f, "{}", self.file.escape_debug())?;
        match (self.line, self.column) {
            (0, _) => Ok(()),
            (line, 0) => write!(f, ":{line}"),
            (line, column) => write!(f, ":{line}:{column}"),
        }
    }
}

/// The kind of a fault; stable, for tests and for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// A file that no bundle has, or whose name has characters it may not have.
    FileName,
    /// More bytes, files, rules, tools or operators than a bundle may have.
    Limit,
    /// Not UTF-8.
    Encoding,
    /// Text that is not Cedar, or not JSON.
    Syntax,
    /// A template: slots are not supported.
    Template,
    /// A missing, repeated, malformed or reserved `@id`.
    Id,
    /// An annotation that is unknown, not supported yet, misplaced or has a value it may not have.
    Annotation,
    /// The rule does not fit the tools: a type, an attribute, an action or group that does not exist.
    Validation,
    /// A literal that names a tool which is not registered.
    UnknownTool,
    /// The rule can never match anything.
    Impossible,
    /// `tools.json` says something it may not say.
    Tools,
    /// `signals.json` says something it may not say, or a rule looks for a signal that it does not declare.
    Signals,
    /// `manifest.json` says something it may not say.
    Manifest,
    /// The author's signature is missing, or not over these files.
    Signature,
    /// A test of the bundle is not one.
    Test,
    /// What `proofs.json` wants proven is not something that can be.
    Proof,
}

/// One thing wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// Where; absent where the bundle as a whole is meant.
    pub place: Option<Place>,
    /// The rule's `@id`, where it is known.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, place: None, rule: None, message: message.into(), hint: hint.into() }
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(super) fn of_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "rule \"{}\": ", rule.escape_debug())?;
        }
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

/// Why a bundle cannot be active: every fault found, by file and position, at most [`Self::MOST`].
///
/// Shown as one block per fault, each ending in a `hint:` line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BundleError {
    faults: Vec<Fault>,
}

impl BundleError {
    /// How many faults are kept.
    pub const MOST: usize = 20;

    /// `None` where nothing is wrong.
    pub(super) fn of(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by(|a, b| (&a.place, &a.rule, &a.message).cmp(&(&b.place, &b.rule, &b.message)));
        faults.dedup();
        faults.truncate(Self::MOST);
        (!faults.is_empty()).then_some(Self { faults })
    }

    /// The faults, never empty.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl From<Fault> for BundleError {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// Something in a bundle that is allowed and that its author should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// The rule's `@id`.
    pub rule: String,
    /// What to look at, and what to do about it.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: rule \"{}\": {}", self.place, self.rule.escape_debug(), self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "añb\nxy\n";
        for (offset, line, column) in
            [(0, 1, 1), (1, 1, 2), (2, 1, 2), (3, 1, 3), (4, 1, 4), (5, 2, 1), (8, 3, 1), (99, 3, 1)]
        {
            let place = Place::offset("f", text, offset);
            assert_eq!((place.line, place.column), (line, column), "offset {offset}");
        }
    }
}
