//! A look at MCP servers before an agent meets them: what they list, how they are started, what changed.
//!
//! The rules are those of two other scanners, and our own: Agent-SPM's on a server's manifest, the six types of threat of
//! Microsoft's agent governance toolkit, and the ways of starting a server. `docs/tools.md` lists them.
//!
//! # What it does not do
//! It asks no server, runs nothing and opens no connection. It reads texts: what it does not find may be there.
//!
//! # Invariants
//! - Work is linear in the texts, but for names, which are compared in pairs up to a bound.
//! - What is quoted cannot act on a terminal, and is never a secret.

mod argument;
mod client;
mod manifest;
mod other;
mod phrase;
mod started;
mod text;

use serde::Serialize;
use serde_json::Value;

use super::finding::{Finding, Severity, Threat, shown};
use super::registry::{Listed, ListingError, documents, listed};
use super::tools::action_id;

/// A file to be scanned.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name, for findings.
    pub file: &'a str,
    /// The server whose tools it lists, where it does not say so itself.
    pub server: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A list of tools, from a server or a registry.
    Tools,
    /// A server's manifest.
    Manifest,
    /// How a client starts its servers.
    Client,
}

impl Kind {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Manifest => "manifest",
            Self::Client => "client",
        }
    }
}

/// What to do with what a file describes; by Agent-SPM's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Advice {
    /// Less than 40.
    Allow,
    /// 40 to 69.
    Review,
    /// 70 and more.
    Block,
}

impl Advice {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

/// One file, scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScannedFile {
    /// Its name.
    pub file: String,
    /// What it is.
    pub kind: Kind,
    /// How many tools it lists.
    pub tools: usize,
    /// How many servers it starts.
    pub servers: usize,
    /// 0 to 100: 30 for each critical finding, 15 high, 8 medium, 3 low, 1 info.
    pub score: u32,
    /// What to do.
    pub advice: Advice,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The files, in the order given.
    pub files: Vec<ScannedFile>,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
}

/// A file that cannot be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct ScanError {
    /// Its name.
    pub file: String,
    /// Why not.
    pub why: ListingError,
}

/// A file, taken apart.
struct Taken<'a> {
    source: Source<'a>,
    kind: Kind,
    document: Value,
    tools: Vec<Listed>,
}

/// Scans files beside each other, and against a baseline: the text of a `tools.json`, or of any list of tools.
///
/// # Errors
/// The first file, the baseline included, that is nothing that can be scanned.
pub fn scan(sources: &[Source<'_>], baseline: Option<Source<'_>>) -> Result<Scanned, ScanError> {
    let taken: Vec<Taken<'_>> = sources.iter().map(|source| take(*source)).collect::<Result<_, _>>()?;
    let baseline = baseline.map(|source| Ok((source, lists(source)?))).transpose()?;
    let mut findings = Vec::new();
    let mut servers = Vec::with_capacity(taken.len());
    for one in &taken {
        for tool in &one.tools {
            let place = Place::of_tool(one.source, tool);
            findings.extend(text::look(&place, tool));
            findings.extend(argument::look(&place, tool));
        }
        let (started, found) = match one.kind {
            Kind::Client => client::look(one.source, &one.document),
            Kind::Manifest => (0, manifest::look(one.source, &one.document)),
            Kind::Tools => (0, Vec::new()),
        };
        servers.push(started);
        findings.extend(found);
    }
    let all: Vec<(Source<'_>, &Listed)> =
        taken.iter().flat_map(|one| one.tools.iter().map(|tool| (one.source, tool))).collect();
    findings.extend(other::names(&all));
    findings.extend(other::mentions(&all));
    if let Some((source, known)) = &baseline {
        findings.extend(other::changes(&all, *source, known));
    }
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then_with(|| (&a.file, &a.at, a.rule).cmp(&(&b.file, &b.at, b.rule)))
    });
    findings.dedup();
    let files = taken.iter().zip(servers).map(|(one, servers)| scored(one, servers, &findings)).collect();
    Ok(Scanned { files, findings })
}

fn scored(one: &Taken<'_>, servers: usize, findings: &[Finding]) -> ScannedFile {
    let own = findings.iter().filter(|finding| finding.file == one.source.file);
    let score = own.fold(0_u32, |sum, finding| {
        sum.saturating_add(match finding.severity {
            Severity::Critical => 30,
            Severity::High => 15,
            Severity::Medium => 8,
            Severity::Low => 3,
            Severity::Info => 1,
        })
    });
    let score = score.min(100);
    let advice = match score {
        0..=39 => Advice::Allow,
        40..=69 => Advice::Review,
        _ => Advice::Block,
    };
    ScannedFile {
        file: one.source.file.to_owned(),
        kind: one.kind,
        tools: one.tools.len(),
        servers,
        score,
        advice,
    }
}

fn lists(source: Source<'_>) -> Result<Vec<Listed>, ScanError> {
    listed(source.text).map_err(|why| ScanError { file: source.file.to_owned(), why })
}

/// Members that a manifest has and a list of tools has not.
const OF_MANIFESTS: [&str; 5] = ["version", "publisher", "source", "permissions", "verified"];

fn take(source: Source<'_>) -> Result<Taken<'_>, ScanError> {
    let wrong = |why| ScanError { file: source.file.to_owned(), why };
    let mut documents = documents(source.text).map_err(wrong)?;
    let alone = if documents.len() == 1 { documents.pop().map(|(_, document)| document) } else { None };
    let document = alone.unwrap_or_default();
    let (kind, tools) = if client::servers(&document).next().is_some() {
        (Kind::Client, Vec::new())
    } else if document.get("name").is_some_and(Value::is_string)
        && OF_MANIFESTS.iter().any(|member| document.get(member).is_some())
    {
        let tools = if document.get("tools").is_some() { lists(source)? } else { Vec::new() };
        (Kind::Manifest, tools)
    } else {
        (Kind::Tools, lists(source)?)
    };
    Ok(Taken { source, kind, document, tools })
}

/// Where a finding is.
struct Place<'a> {
    file: &'a str,
    at: String,
    tool: Option<String>,
}

impl<'a> Place<'a> {
    fn of_tool(source: Source<'a>, tool: &Listed) -> Self {
        let id = action_id(tool.server.as_deref().unwrap_or(source.server), &tool.name);
        Self { file: source.file, at: tool.at.clone(), tool: Some(shown(&id)) }
    }

    /// A finding at a pointer below this place.
    fn found(
        &self,
        below: &str,
        rule: &'static str,
        threat: Threat,
        severity: Severity,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding {
            rule,
            severity,
            threat: Some(threat),
            file: self.file.to_owned(),
            at: format!("{}{below}", self.at),
            tool: self.tool.clone(),
            message: message.into(),
            follows: None,
            excerpt: None,
            hint: hint.into(),
        }
    }
}

#[cfg(test)]
mod tests;
