//! Where the documents of a decision come from: a service, a data directory, or a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use uuid::Uuid;

use super::super::files;
use super::super::output::Failure;
use super::Explain;
use crate::ledger::find_at_rest::for_each_wanted;
use crate::ledger::layout::Layout;
use crate::record::decision::Outcome;
use crate::record::entry::{Entry, IntentEntry};
use crate::record::intent::Intent;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::time::Timestamp;

/// What an explanation is made of.
pub(super) struct Documents {
    pub(super) id: String,
    pub(super) index: Option<u64>,
    pub(super) evaluation: Value,
    pub(super) outcome: Option<Outcome>,
    pub(super) expires: Option<Timestamp>,
    /// Leaf index of the policy that decided.
    pub(super) policy: Option<u64>,
    /// Its files; none where no policy was active.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Documents {
    pub(super) fn read(what: &Explain) -> Result<Self, Failure> {
        match (&what.answer, &what.policies, &what.directory, what.id) {
            (Some(answer), Some(policies), ..) => Self::of_file(answer, policies),
            (_, _, Some(directory), Some(id)) => Self::at_rest(what, directory, id),
            (_, _, _, Some(id)) => Self::of_service(what, id),
            _ => Err(Failure::new("no intent is named", "give its ID")),
        }
    }

    fn of_file(answer: &Path, policies: &Path) -> Result<Self, Failure> {
        let document = json(&files::read(answer)?, &answer.display().to_string())?;
        Self::of_payload(&document, None, files::read_bundle(policies)?)
    }

    /// From what `GET /v1/intents/{id}/payload` answers.
    fn of_payload(
        document: &Value,
        entry: Option<IntentEntry>,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, Failure> {
        let evaluation = document.get("evaluation").filter(|evaluation| evaluation.is_object()).ok_or_else(|| {
            let hint = "an answer alone does not say on which facts was decided: save what an operator gets from GET /v1/intents/ID/payload";
            Failure::new("the file holds no evaluation", hint)
        })?;
        Ok(Self {
            id: document.get("id").and_then(Value::as_str).unwrap_or("unnamed").to_owned(),
            index: document.get("index").and_then(Value::as_u64),
            evaluation: evaluation.clone(),
            outcome: entry.as_ref().map(|entry| entry.outcome),
            expires: entry.as_ref().and_then(|entry| entry.expires),
            policy: entry.and_then(|entry| entry.policy),
            files,
        })
    }

    fn at_rest(what: &Explain, directory: &Path, id: Uuid) -> Result<Self, Failure> {
        let disk = files::disk();
        let layout = Layout::new(directory, what.keys.as_deref());
        let unread = |error: String| {
            let hint = "--dir takes a data directory, with its keys in <DIR>.keys or --keys";
            Failure::new(format!("{}: {error}", directory.display()), hint)
        };
        let mut found = Vec::new();
        let is_meant = |_: u64, entry: &Entry| matches!(entry, Entry::Intent(intent) if intent.id == id);
        for_each_wanted(&disk, &layout, &is_meant, &mut |index, entry, payload| {
            let by = Intent::parse(&payload.declared).map(|intent| intent.agent);
            if let (Entry::Intent(entry), Ok(by)) = (entry, by) {
                found.push((index, entry, by, payload.evaluation.clone()));
            }
        })
        .map_err(unread)?;
        found.retain(|(_, _, by, _)| what.agent.as_ref().is_none_or(|agent| agent == by));
        let (index, entry, _, evaluation) = match (found.pop(), found.len()) {
            (Some(found), 0) => found,
            (Some(_), _) => {
                return Err(Failure::new("several agents used this id", "say which with --agent NAME"));
            }
            (None, _) => return Err(Failure::new(format!("no intent {id} is sealed here"), "check the id")),
        };
        let mut record = None;
        if let Some(policy) = entry.policy {
            let is_policy = |index: u64, _: &Entry| index == policy;
            for_each_wanted(&disk, &layout, &is_policy, &mut |_, _, payload| {
                record = Some(payload.declared.clone());
            })
            .map_err(unread)?;
        }
        let bundle = match record {
            Some(record) => texts(&json(&record, "the policy's record")?)?,
            None => BTreeMap::new(),
        };
        let evaluation = json(&evaluation, "the evaluation")?;
        let document = serde_json::json!({ "id": id, "index": index, "evaluation": evaluation });
        Self::of_payload(&document, Some(entry), bundle)
    }

    #[cfg(feature = "server")]
    fn of_service(what: &Explain, id: Uuid) -> Result<Self, Failure> {
        use super::super::agent::{connect, get};
        use base64::Engine as _;
        let remote = connect(&what.connection)?;
        let whose = match &what.agent {
            Some(agent) if crate::record::intent::is_id(agent) => format!("?agent={agent}"),
            Some(agent) => return Err(super::super::agent::no_name(agent)),
            None => String::new(),
        };
        let ask = |path: String| get(&what.connection, &remote, &path);
        let document = ask(format!("/v1/intents/{id}/payload{whose}"))?;
        let answer = ask(format!("/v1/intents/{id}{whose}"))?;
        let leaf = answer.get("entry").and_then(Value::as_str).unwrap_or_default();
        let leaf = base64::engine::general_purpose::STANDARD.decode(leaf).unwrap_or_default();
        let Ok(Entry::Intent(entry)) = Entry::parse(&leaf) else {
            return Err(Failure::new(
                "the answer holds no intent's entry",
                "check that --url is a Foreseal service",
            ));
        };
        let bundle = match entry.policy {
            Some(policy) => texts(&ask(format!("/v1/policies/{policy}"))?)?,
            None => BTreeMap::new(),
        };
        Self::of_payload(&document, Some(entry), bundle)
    }

    #[cfg(not(feature = "server"))]
    fn of_service(_: &Explain, _: Uuid) -> Result<Self, Failure> {
        Err(Failure::new(
            "this build asks no service",
            "give --dir DIR, or --answer FILE with --policies DIR",
        ))
    }
}

fn json(bytes: &[u8], what: &str) -> Result<Value, Failure> {
    let limits = JsonLimits { max_bytes: bytes.len(), ..JsonLimits::default() };
    parse_with(bytes, &limits)
        .map_err(|error| Failure::new(format!("{what}: {error}"), "check that it is the right file"))
}

/// The member `files` of a policy.
fn texts(policy: &Value) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let files = policy.get("files").and_then(Value::as_object).into_iter().flatten();
    let text = |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.as_bytes().to_vec()));
    files.map(text).collect::<Option<_>>().ok_or_else(|| {
        Failure::new("the policy's record holds a file that is no text", "run `foreseal fsck`")
    })
}
