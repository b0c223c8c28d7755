//! Trust policies: which logs and which witnesses the reader believes, as a C2SP tlog-policy file.
//!
//! Everything that verifies evidence starts here: what the file does not list proves nothing, however well it is signed.

mod parse;
mod verify;

use std::fmt;

use super::key::VerifierKey;
use super::signer::LogSigner;

pub use parse::{MAX_POLICY_BYTES, PolicyError, PolicyProblem};
pub use verify::{CosignedBy, InvalidCheckpoint, Quorum, TrustError, Undecided, VerifiedCheckpoint};

/// A trust policy (C2SP tlog-policy): logs, witnesses, and which of the witnesses must have cosigned.
///
/// Text form: lines `log <vkey> [url]`, `witness <name> <vkey> [url]`, `group <name> all|any|<k> <members>`, and one
/// `quorum <name>|none`. `Display` writes it in that order, without the comments it may have been read with; it parses to
/// the same policy. Where the specification allows arbitrary octets beyond ASCII, only UTF-8 is taken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPolicy {
    logs: Vec<TrustedLog>,
    witnesses: Vec<TrustedWitness>,
    groups: Vec<Group>,
    /// `None` is the line `quorum none`.
    quorum: Option<Member>,
}

/// A log that is believed. Several of them may have one name: old and new key of a log that rotates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedLog {
    /// Its key, whose name is the log's origin.
    pub key: VerifierKey,
    /// Where it is served, if the file says so.
    pub url: Option<String>,
}

/// A witness that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedWitness {
    /// What the policy calls it; not the name of its key.
    pub name: String,
    /// Its key, which cosigns with a time.
    pub key: VerifierKey,
    /// Where it takes checkpoints, if the file says so.
    pub url: Option<String>,
}

/// Some of these members, at least so many.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    /// 1 to the number of members.
    threshold: usize,
    members: Vec<Member>,
}

/// What a quorum or a group counts: by position in the policy, groups only after their members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

impl TrustPolicy {
    /// The policy that believes this one log and asks for no witness: what a new log hands out.
    #[must_use]
    pub fn of_log(signer: &LogSigner) -> TrustPolicy {
        let log = TrustedLog { key: signer.verifier().clone(), url: None };
        TrustPolicy { logs: vec![log], witnesses: Vec::new(), groups: Vec::new(), quorum: None }
    }

    /// The logs, in the order of the file.
    #[must_use]
    pub fn logs(&self) -> &[TrustedLog] {
        &self.logs
    }

    /// The witnesses, in the order of the file.
    #[must_use]
    pub fn witnesses(&self) -> &[TrustedWitness] {
        &self.witnesses
    }

    /// The name of the witness or group that must have cosigned; `None` for `quorum none`.
    #[must_use]
    pub fn quorum_name(&self) -> Option<&str> {
        self.quorum.map(|member| self.name_of(member))
    }

    fn name_of(&self, member: Member) -> &str {
        let name = match member {
            Member::Witness(at) => self.witnesses.get(at).map(|witness| &witness.name),
            Member::Group(at) => self.groups.get(at).map(|group| &group.name),
        };
        name.map_or("", String::as_str)
    }
}

impl fmt::Display for TrustPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |url: &Option<String>| url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(&log.url))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.key, url(&witness.url))?;
        }
        for group in &self.groups {
            write!(f, "group {} ", group.name)?;
            match group.threshold {
                all if all == group.members.len() => f.write_str("all")?,
                1 => f.write_str("any")?,
                some => write!(f, "{some}")?,
            }
            group.members.iter().try_for_each(|member| write!(f, " {}", self.name_of(*member)))?;
            writeln!(f)?;
        }
        writeln!(f, "quorum {}", self.quorum_name().unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests;
