//! Single leaves with their proofs, and what of the documents behind leaves is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::merkle::{Hash, leaf_hash, verify_inclusion};
use crate::note::Checkpoint;
use crate::record::decision::Outcome;
use crate::record::entry::{Entry, IntentEntry, SealedCall};
use crate::record::evaluation::groups_of;
use crate::record::field_tree::{Commitment, Disclosure, FieldOpening, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::statement::{AgentKey, statement};

/// A leaf outside of the range (or not only in it), with its own inclusion proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenLeaf {
    /// Its index.
    pub index: u64,
    /// Its bytes.
    pub entry: String,
    /// Audit path to the checkpoint's root, leaf sibling first.
    pub proof: Vec<Hash>,
    /// What is shown of its record, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Opened>,
}

/// What is shown of a document, so that it can be held against the commitment in its leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Opened {
    /// All of it.
    Whole {
        /// Its exact bytes.
        document: String,
        /// Its seed, base64.
        seed: String,
    },
    /// Single fields.
    Fields(Vec<FieldOpening>),
}

/// What is shown of an intent in the range. One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revealed {
    /// Its leaf index.
    pub index: u64,
    /// Of the declared document.
    pub declared: Opened,
    /// Of the evaluation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evaluation: Option<Opened>,
    /// The agent's signature, base64; with a whole document only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<String>,
}

/// How a document was cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// By its scalars: declared documents and records.
    Scalars,
    /// By groups: evaluations.
    Groups,
}

impl ProvenLeaf {
    /// Verifies the inclusion, and only then reads the entry.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<Entry, String> {
        let leaf = leaf_hash(self.entry.as_bytes());
        verify_inclusion(&leaf, self.index, checkpoint.size, &self.proof, &checkpoint.root)
            .map_err(|e| format!("leaf {}: {e}", self.index))?;
        Entry::parse(self.entry.as_bytes()).map_err(|e| format!("leaf {}: {e}", self.index))
    }

    /// What is shown of the record, held against the commitment in the leaf.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn record(&self, commitment: &Commitment) -> Result<Value, String> {
        let record =
            self.record.as_ref().ok_or_else(|| format!("leaf {}: its record is missing", self.index))?;
        record.verify(commitment, Cut::Scalars).map_err(|e| format!("the record of leaf {}: {e}", self.index))
    }
}

impl Opened {
    /// Holds what is shown against the commitment. Gives the document, with `null` where fields are withheld.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(&self, commitment: &Commitment, cut: Cut) -> Result<Value, String> {
        match self {
            Self::Whole { document, seed } => {
                let seed = Seed::from_base64(seed).map_err(|e| e.to_string())?;
                let limits = JsonLimits { max_bytes: document.len(), ..JsonLimits::default() };
                let document = parse_with(document.as_bytes(), &limits).map_err(|e| e.to_string())?;
                let tree = match cut {
                    Cut::Scalars => FieldTree::of_document(&document, &seed),
                    Cut::Groups => FieldTree::of_groups(groups_of(&document), &seed),
                };
                if tree.map_err(|e| e.to_string())?.commitment() == *commitment {
                    Ok(document)
                } else {
                    Err("it is not the document that the leaf commits to".to_owned())
                }
            }
            Self::Fields(openings) => {
                let shown = Disclosure::assemble(commitment, openings).map_err(|e| e.to_string())?;
                let fields =
                    || shown.fields().map(|(path, value)| (path.to_owned(), value.clone())).collect();
                Ok(shown.document().unwrap_or_else(|| Value::Object(fields())))
            }
        }
    }

    /// Whether all of the document is shown.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    /// Whether uniqueness and absence of fields can be told.
    #[must_use]
    pub fn has_shape(&self) -> bool {
        match self {
            Self::Whole { .. } => true,
            Self::Fields(fields) => fields.iter().any(|field| field.index == 0),
        }
    }

    /// The paths that are shown one by one; `None` when all are.
    #[must_use]
    pub fn paths(&self) -> Option<Vec<&str>> {
        match self {
            Self::Whole { .. } => None,
            Self::Fields(fields) => Some(fields.iter().map(|field| field.path.as_str()).collect()),
        }
    }
}

/// What a bundle's other files say of the agent of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// Its name.
    pub name: String,
    /// Its public key, where the entry registered one.
    pub key: Option<Hash>,
}

impl Revealed {
    /// Holds what is shown against the leaf. `agent` registered the agent, `signer` its key. Returns whether the
    /// agent's signature was verified.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(
        &self,
        entry: &IntentEntry,
        origin: &str,
        agent: Option<&KnownAgent>,
        signer: Option<&KnownAgent>,
    ) -> Result<bool, String> {
        self.declared.verify(&entry.declared, Cut::Scalars).map_err(|e| format!("declared: {e}"))?;
        let evaluation = match &self.evaluation {
            Some(evaluation) => {
                Some(check_evaluation(evaluation, entry).map_err(|e| format!("evaluation: {e}"))?)
            }
            None => None,
        };
        let Opened::Whole { document, seed } = &self.declared else {
            return match &self.signature {
                None => Ok(false),
                Some(_) => Err("a signature needs the whole document".to_owned()),
            };
        };
        let intent = Intent::parse(document.as_bytes()).map_err(|e| e.to_string())?;
        let seed = Seed::from_base64(seed).map_err(|e| e.to_string())?;
        if agent.is_none_or(|agent| agent.name != intent.agent) {
            return Err("it was declared by another agent than the leaf's".to_owned());
        }
        if intent.id.is_some_and(|id| id != entry.id) {
            return Err("it was declared under another id than the leaf's".to_owned());
        }
        let changed = |i: u32| evaluation.as_ref()?.pointer(&format!("/requests/{i}/changed/args"));
        // Of a modified call only the evaluation says what it became.
        let unknown = |sealed: &SealedCall| sealed.outcome == Outcome::Modify && evaluation.is_none();
        let mut calls = intent.calls.iter().zip(&entry.calls).zip(0u32..);
        if intent.calls.len() != entry.calls.len()
            || !calls.all(|((call, sealed), i)| unknown(sealed) || sealed.is_of(&seed, i, call, changed(i)))
        {
            return Err("its calls are not the sealed ones".to_owned());
        }
        self.check_signature(entry, &intent, origin, signer)
    }

    fn check_signature(
        &self,
        entry: &IntentEntry,
        intent: &Intent,
        origin: &str,
        signer: Option<&KnownAgent>,
    ) -> Result<bool, String> {
        let (Some(_), signature) = (entry.signer, &self.signature) else {
            return if self.signature.is_none() {
                Ok(false)
            } else {
                Err("the leaf names no signer".to_owned())
            };
        };
        let signature = signature.as_ref().ok_or_else(|| "the agent's signature is missing".to_owned())?;
        let signature: Option<[u8; 64]> =
            STANDARD.decode(signature).ok().and_then(|bytes| bytes.try_into().ok());
        let signature =
            signature.ok_or_else(|| "the agent's signature is not 64 bytes of base64".to_owned())?;
        let key =
            signer.and_then(|signer| signer.key).ok_or_else(|| "the agent's key is missing".to_owned())?;
        let key = AgentKey::from_bytes(key.as_bytes()).map_err(|e| e.to_string())?;
        let statement = statement(intent, &entry.declared, origin).map_err(|e| e.to_string())?;
        key.verify(&statement, &signature).map_err(|e| e.to_string())?;
        Ok(true)
    }
}

/// The evaluation, held against the leaf.
fn check_evaluation(evaluation: &Opened, entry: &IntentEntry) -> Result<Value, String> {
    if !evaluation.is_whole() {
        return Err("it is shown whole or not at all".to_owned());
    }
    let document = evaluation.verify(&entry.evaluation, Cut::Groups)?;
    let verdicts = document.get("verdicts").and_then(Value::as_array);
    let outcome = |verdict: &Value| verdict.get("outcome")?.as_str().map(str::to_owned);
    let verdicts = verdicts.into_iter().flatten().map(outcome);
    if verdicts.eq(entry.calls.iter().map(|call| Some(call.outcome.as_str().to_owned()))) {
        Ok(document)
    } else {
        Err("its verdicts are not the sealed ones".to_owned())
    }
}
