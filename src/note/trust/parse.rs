//! The lines of a trust policy.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use super::super::key::{Algorithm, VerifierKey, VerifierKeyError};
use super::{Group, Member, TrustPolicy, TrustedLog, TrustedWitness};

/// Largest policy taken, in bytes: some 2,000 keys, where the specification asks for 64.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// The quorum that asks for nobody, and so no name of a witness or group.
const NONE: &str = "none";

/// What is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// Number of the line, from 1; `None` where it is the file as a whole.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub problem: PolicyProblem,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "trust policy, line {line}: {}", self.problem),
            None => write!(f, "trust policy: {}", self.problem),
        }
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

/// What can be wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// Beyond [`MAX_POLICY_BYTES`].
    #[error("{bytes} bytes are beyond the limit of {MAX_POLICY_BYTES}")]
    TooLarge {
        /// Length of the text.
        bytes: usize,
    },
    /// A control character other than tab and newline; the carriage returns of another system's editor are such.
    #[error("the control character {character:?} is not allowed (lines end in a plain newline)")]
    Control {
        /// The character.
        character: char,
    },
    /// The first word is none of the four.
    #[error("a line starts with log, witness, group, quorum or #, and not with {word:?}")]
    UnknownLine {
        /// The first word.
        word: String,
    },
    /// Too few or too many words.
    #[error("the line should read: {usage}")]
    Shape {
        /// The form of such a line.
        usage: &'static str,
    },
    /// A key that cannot be read.
    #[error("{0}")]
    Key(#[from] VerifierKeyError),
    /// A witness's key for a log, or a log's for a witness.
    #[error("{key} is a key of type {:#04x}, and a {role} needs one of type {:#04x}", .got.byte(), .needed.byte())]
    KeyRole {
        /// Name of the key.
        key: String,
        /// `log` or `witness`.
        role: &'static str,
        /// The key's type.
        got: Algorithm,
        /// The type it should have.
        needed: Algorithm,
    },
    /// One public key twice in one role: a witness would count twice.
    #[error("the public key of {key} is already that of another {role}")]
    DuplicateKey {
        /// Name of the key.
        key: String,
        /// `log` or `witness`.
        role: &'static str,
    },
    /// Two keys that no signature line could tell apart.
    #[error("another key with the name {key} has the same key id")]
    AmbiguousKey {
        /// Name of the key.
        key: String,
    },
    /// A second witness or group of that name.
    #[error("the name {name} is already that of another witness or group")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A witness or group called `none`, or `none` as a member of a group.
    #[error("none is no name of a witness or group: it is the quorum that asks for nobody")]
    ReservedName,
    /// A name that no line above defines.
    #[error("no witness or group {name} is defined above this line")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// A name in a second group, or twice in one.
    #[error("{name} is already a member of a group, and may be one only once")]
    MemberTwice {
        /// The name.
        name: String,
    },
    /// Not `all`, `any` or a number from 1 to the number of members.
    #[error(
        "a group of {members} asks for all, any, or a decimal from 1 to {members}, and not for {threshold:?}"
    )]
    Threshold {
        /// What stands there.
        threshold: String,
        /// How many members the group has.
        members: usize,
    },
    /// A second quorum line.
    #[error("there is a quorum line already, and there may be one only")]
    SecondQuorum,
    /// No quorum line. To ask for no witnesses has to be said.
    #[error("there is no quorum line; without witnesses write: quorum none")]
    NoQuorum,
}

impl FromStr for TrustPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<TrustPolicy, PolicyError> {
        TrustPolicy::parse(text)
    }
}

impl TrustPolicy {
    /// Reads a policy file. A last line without a newline is taken too.
    ///
    /// # Errors
    /// [`PolicyError`], with the line.
    pub fn parse(text: &str) -> Result<TrustPolicy, PolicyError> {
        let whole = |problem| PolicyError { line: None, problem };
        if text.len() > MAX_POLICY_BYTES {
            return Err(whole(PolicyProblem::TooLarge { bytes: text.len() }));
        }
        let mut draft = Draft::default();
        for (nth, line) in text.split('\n').enumerate() {
            draft.line(line).map_err(|problem| PolicyError { line: Some(nth + 1), problem })?;
        }
        let quorum = draft.quorum.ok_or_else(|| whole(PolicyProblem::NoQuorum))?;
        Ok(TrustPolicy { logs: draft.logs, witnesses: draft.witnesses, groups: draft.groups, quorum })
    }
}

/// A policy while its lines are read.
#[derive(Default)]
struct Draft {
    logs: Vec<TrustedLog>,
    witnesses: Vec<TrustedWitness>,
    groups: Vec<Group>,
    /// Outer: whether there was a quorum line.
    quorum: Option<Option<Member>>,
    names: HashMap<String, Member>,
    members: HashSet<String>,
    public_keys: HashSet<(Algorithm, [u8; 32])>,
    key_ids: HashSet<(String, [u8; 4])>,
}

impl Draft {
    fn line(&mut self, line: &str) -> Result<(), PolicyProblem> {
        if let Some(character) = line.chars().find(|c| (*c < ' ' && *c != '\t') || *c == '\u{7f}') {
            return Err(PolicyProblem::Control { character });
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", rest @ ..] => self.log(rest),
            ["witness", rest @ ..] => self.witness(rest),
            ["group", rest @ ..] => self.group(rest),
            ["quorum", rest @ ..] => self.quorum(rest),
            [word, ..] => Err(PolicyProblem::UnknownLine { word: (*word).to_owned() }),
        }
    }

    fn log(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let (key, url) = match words {
            [key] => (key, None),
            [key, url] => (key, Some((*url).to_owned())),
            _ => return Err(PolicyProblem::Shape { usage: "log <vkey> [<url>]" }),
        };
        let key = self.key(key, "log", Algorithm::Ed25519)?;
        self.logs.push(TrustedLog { key, url });
        Ok(())
    }

    fn witness(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let (name, key, url) = match words {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some((*url).to_owned())),
            _ => return Err(PolicyProblem::Shape { usage: "witness <name> <vkey> [<url>]" }),
        };
        let key = self.key(key, "witness", Algorithm::Cosignature)?;
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(TrustedWitness { name: (*name).to_owned(), key, url });
        Ok(())
    }

    fn group(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let [name, threshold, names @ ..] = words else {
            return Err(PolicyProblem::Shape { usage: "group <name> all|any|<k> <name>..." });
        };
        if names.is_empty() {
            return Err(PolicyProblem::Shape { usage: "group <name> all|any|<k> <name>..." });
        }
        let threshold = parse_threshold(threshold, names.len()).ok_or_else(|| PolicyProblem::Threshold {
            threshold: (*threshold).to_owned(),
            members: names.len(),
        })?;
        let mut members = Vec::new();
        for member in names {
            members.push(self.find(member)?);
            if !self.members.insert((*member).to_owned()) {
                return Err(PolicyProblem::MemberTwice { name: (*member).to_owned() });
            }
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { name: (*name).to_owned(), threshold, members });
        Ok(())
    }

    fn quorum(&mut self, words: &[&str]) -> Result<(), PolicyProblem> {
        let [name] = words else {
            return Err(PolicyProblem::Shape { usage: "quorum <name>, or quorum none" });
        };
        let quorum = if *name == NONE { None } else { Some(self.find(name)?) };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err(PolicyProblem::SecondQuorum),
        }
    }

    fn key(
        &mut self,
        text: &str,
        role: &'static str,
        needed: Algorithm,
    ) -> Result<VerifierKey, PolicyProblem> {
        let key: VerifierKey = text.parse()?;
        let name = || key.name().to_string();
        if key.algorithm() != needed {
            return Err(PolicyProblem::KeyRole { key: name(), role, got: key.algorithm(), needed });
        }
        if !self.public_keys.insert((needed, *key.public_key())) {
            return Err(PolicyProblem::DuplicateKey { key: name(), role });
        }
        if !self.key_ids.insert((name(), key.id())) {
            return Err(PolicyProblem::AmbiguousKey { key: name() });
        }
        Ok(key)
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), PolicyProblem> {
        if name == NONE {
            return Err(PolicyProblem::ReservedName);
        }
        match self.names.insert(name.to_owned(), member) {
            None => Ok(()),
            Some(_) => Err(PolicyProblem::DuplicateName { name: name.to_owned() }),
        }
    }

    fn find(&self, name: &str) -> Result<Member, PolicyProblem> {
        if name == NONE {
            return Err(PolicyProblem::ReservedName);
        }
        self.names.get(name).copied().ok_or_else(|| PolicyProblem::UnknownName { name: name.to_owned() })
    }
}

fn parse_threshold(text: &str, members: usize) -> Option<usize> {
    match text {
        "all" => Some(members),
        "any" => Some(1),
        // A leading zero or a sign is no way to write a number that others must read alike.
        number if number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0') => {
            number.parse().ok().filter(|k| *k <= members)
        }
        _ => None,
    }
}
