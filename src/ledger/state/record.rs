//! Records: the declared documents of administrative entries.

use std::collections::BTreeMap;

use serde_json::Value;

use super::StateError;
use super::registry::CredentialDigest;
use crate::record::json;

/// The declared document of an administrative entry.
pub(super) struct Record {
    index: u64,
    kind: &'static str,
    members: serde_json::Map<String, Value>,
}

impl Record {
    pub(super) fn parse(index: u64, kind: &'static str, bytes: Option<&[u8]>) -> Result<Self, StateError> {
        let problem = |problem| StateError::Record { index, kind, problem };
        let bytes = bytes.ok_or_else(|| problem("is missing"))?;
        let limits = json::JsonLimits { max_bytes: RECORD_MAX_BYTES, ..json::JsonLimits::default() };
        match json::parse_with(bytes, &limits) {
            Ok(Value::Object(members)) => Ok(Self { index, kind, members }),
            _ => Err(problem("is no JSON object")),
        }
    }

    fn problem(&self, problem: &'static str) -> StateError {
        StateError::Record { index: self.index, kind: self.kind, problem }
    }

    pub(super) fn text(&self, key: &str) -> Result<String, StateError> {
        let text = self.members.get(key).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| self.problem("lacks a name or digest"))
    }

    pub(super) fn credential(&self) -> Result<CredentialDigest, StateError> {
        let text = self.members.get("credential").and_then(Value::as_str).unwrap_or_default();
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| self.problem("lacks its credential digest"))?;
        Ok(CredentialDigest(digest))
    }

    pub(super) fn roles(&self) -> Result<Vec<String>, StateError> {
        let roles = self.members.get("roles").and_then(Value::as_array);
        let roles = roles.ok_or_else(|| self.problem("lacks its roles"))?;
        let mut roles: Vec<String> = roles.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        roles.sort();
        Ok(roles)
    }

    pub(super) fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, StateError> {
        let files = self.members.get("files").and_then(Value::as_object);
        let files = files.ok_or_else(|| self.problem("lacks its files"))?;
        let text = |(path, text): (&String, &Value)| {
            text.as_str().map(|text| (path.clone(), text.as_bytes().to_vec()))
        };
        files
            .iter()
            .map(text)
            .collect::<Option<_>>()
            .ok_or_else(|| self.problem("has a file that is no text"))
    }
}

/// A policy bundle with every byte escaped stays below this.
const RECORD_MAX_BYTES: usize = 8 << 20;
