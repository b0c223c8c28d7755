//! placeholder
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    Email,
    Iban,
    Text,
    Id,
    Url,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    pub at: String,
    pub kind: ValueType,
}
#[derive(Debug, Clone, PartialEq)]
pub struct OutputLabels {
    pub authoritative: Vec<Destination>,
    pub untrusted: bool,
    pub sensitive: bool,
}
#[derive(Debug, Clone, PartialEq)]
pub struct FingerprintKey([u8; 32]);
impl FingerprintKey {
    pub fn from_bytes(b: [u8; 32]) -> Self {
        Self(b)
    }
    pub fn of_plan(&self, jcs: &[u8]) -> [u8; 16] {
        use sha2::Digest;
        let h = sha2::Sha256::digest(jcs);
        let mut o = [0; 16];
        o.copy_from_slice(&h[..16]);
        o
    }
}
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pub words: BTreeSet<String>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destinations {
    None,
    Grounded,
    Ungrounded,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Grounding {
    pub destinations: Destinations,
    pub ungrounded: BTreeSet<String>,
    pub tainted: BTreeSet<String>,
    pub user_only: bool,
    pub payload_tainted: bool,
}
impl Memory {
    pub fn ground(&self, _k: &FingerprintKey, d: &[Destination], _p: &[String], args: &Value) -> Grounding {
        let mut ungrounded = BTreeSet::new();
        let mut any = false;
        for d in d {
            if let Ok(p) = super::pattern::Pattern::parse(&d.at) {
                p.visit(args, &mut |path, v| {
                    any = true;
                    if !v.as_str().is_some_and(|v| self.words.contains(v)) {
                        ungrounded.insert(path.to_owned());
                    }
                });
            }
        }
        Grounding {
            destinations: if !any {
                Destinations::None
            } else if ungrounded.is_empty() {
                Destinations::Grounded
            } else {
                Destinations::Ungrounded
            },
            ungrounded,
            tainted: BTreeSet::new(),
            user_only: false,
            payload_tainted: false,
        }
    }
}
