//! Testimony: what applications say of users, and tool servers of results. Sealed as it is said; who says it is what it is
//! worth.

use serde_json::Value;
use uuid::Uuid;

use super::committer::{Item, Reply, SealedLeaf};
use super::error::LedgerError;
use super::index::{IntentKey, key_of};
use super::keyring::random;
use super::payload::Payload;
use super::sequencer::{Made, Sequencer, new_id};
use super::state::{CredentialDigest, PartyKind};
use crate::record::canonical::to_jcs;
use crate::record::entry::{
    ENTRY_VERSION, Entry, OutcomeEntry, OutcomeKind, OutcomeStatus, SessionEntry, SessionKind, SessionTag,
    TurnEntry, TurnKind, result_digest,
};
use crate::record::field_tree::{FieldTree, Seed};
use crate::record::session::{OutcomeRecord, SessionRecord, TurnRecord};
use crate::record::time::Timestamp;

/// Something that was said, read and checked.
pub struct Testimony {
    /// Leaf index of the registration of whoever says it.
    pub by: u64,
    /// The credential it came with, to be looked at again when its turn comes.
    pub credential: CredentialDigest,
    /// The id that makes retries safe, if one was given.
    pub id: Option<Uuid>,
    /// What is said.
    pub told: Told,
}

/// What is said.
pub enum Told {
    /// An application opens a session.
    Session {
        /// Leaf index of the agent's registration.
        agent: u64,
        /// What it says of it.
        record: SessionRecord,
    },
    /// The user spoke again.
    Turn {
        /// Leaf index of the `session` entry.
        opened: u64,
        /// Its tag.
        session: SessionTag,
        /// What the user said.
        record: TurnRecord,
    },
    /// A call came to an end. That it may run, and is one of this server, was checked against its sealed intent.
    Outcome {
        /// Leaf index of the intent.
        intent: u64,
        /// The call's number in it.
        call: u32,
        /// The intent's session.
        session: SessionTag,
        /// How the call ended.
        status: OutcomeStatus,
        /// What it answered.
        record: OutcomeRecord,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum Heard {
    /// Sealed now.
    Sealed {
        /// Its leaf.
        leaf: SealedLeaf,
        /// Opens the commitment to the record.
        seed: Seed,
    },
    /// Its id was sealed before; whether with the same words, the reader of the leaf tells.
    Known {
        /// Its leaf index.
        index: u64,
    },
}

impl Told {
    /// Who may say this.
    const fn teller(&self) -> PartyKind {
        match self {
            Self::Session { .. } | Self::Turn { .. } => PartyKind::Application,
            Self::Outcome { .. } => PartyKind::ToolServer,
        }
    }

    /// The record that is sealed, canonical.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`]
    pub fn record(&self) -> Result<Vec<u8>, LedgerError> {
        Ok(self.written()?.1)
    }

    fn written(&self) -> Result<(Value, Vec<u8>), LedgerError> {
        let value = match self {
            Self::Session { record, .. } => serde_json::to_value(record),
            Self::Turn { record, .. } => serde_json::to_value(record),
            Self::Outcome { record, .. } => serde_json::to_value(record),
        };
        let too_large = |problem: String| LedgerError::TooLarge(problem);
        let value = value.map_err(|e| too_large(e.to_string()))?;
        let bytes = to_jcs(&value).map_err(|e| too_large(e.to_string()))?;
        Ok((value, bytes))
    }
}

impl Sequencer {
    pub(super) fn testimony(&mut self, testimony: &Testimony, reply: Reply<Heard>) {
        match self.hear(testimony) {
            Ok(Ok((made, seed))) => {
                let reply = Box::new(move |sealed: Result<SealedLeaf, LedgerError>| {
                    reply(sealed.map(|leaf| Heard::Sealed { leaf, seed }));
                });
                let key = key_of(&made.entry);
                self.seal(made, key, reply);
            }
            Ok(Err(index)) => {
                let reply = Box::new(move |durable: Result<(), LedgerError>| {
                    reply(durable.map(|()| Heard::Known { index }));
                });
                self.hand_over(Item::After { intent: false, reply });
            }
            Err(error) => self.refuse(false, error, reply),
        }
    }

    /// The entry and its seed; or the leaf that holds it already.
    fn hear(&mut self, testimony: &Testimony) -> Result<Result<(Made, Seed), u64>, LedgerError> {
        let Testimony { by, credential, told, .. } = testimony;
        let registry = &self.state.registry;
        registry
            .party(told.teller(), *by)
            .filter(|party| !party.revoked && party.credential == *credential)
            .ok_or(LedgerError::NotRegistered)?;
        let given = match told {
            Told::Outcome { intent, call, .. } => Some(IntentKey::of_outcome(*intent, *call, *by)),
            Told::Session { .. } | Told::Turn { .. } => testimony.id.map(|id| IntentKey { id, agent: *by }),
        };
        if let Some(key) = given {
            let known = self.shared.index.get(&key).map_err(|e| LedgerError::Damaged(e.to_string()))?;
            if let Some(row) = known {
                return Ok(Err(row.index));
            }
        }
        let at = self.stamp()?;
        let id = testimony.id.map_or_else(|| new_id(at), Ok)?;
        self.check_follows(*by, told, at)?;
        self.make_testimony(*by, told, id, at).map(Ok)
    }

    /// What the chain would refuse, told apart.
    fn check_follows(&self, by: u64, told: &Told, at: Timestamp) -> Result<(), LedgerError> {
        let chain = &self.state.chain;
        match told {
            Told::Session { agent, record } => {
                let registered = self.state.registry.agent(*agent);
                if registered.is_none_or(|agent| agent.revoked) {
                    return Err(LedgerError::NoSuchAgent(record.agent.clone()));
                }
                let tag = self.shared.keyring.session_tag(*agent, &record.session);
                match chain.session(&tag, at) {
                    Some(open) => Err(LedgerError::SessionOpen(open.opened)),
                    None if chain.has_room_for_a_session(at) => Ok(()),
                    None => Err(LedgerError::TooManySessions),
                }
            }
            Told::Turn { opened, session, .. } => {
                let open = chain.session(session, at);
                let open = open.filter(|open| open.opened == *opened && open.application == by);
                open.map(drop).ok_or(LedgerError::SessionNotOpen)
            }
            Told::Outcome { .. } => Ok(()),
        }
    }

    fn make_testimony(
        &mut self,
        by: u64,
        told: &Told,
        id: Uuid,
        at: Timestamp,
    ) -> Result<(Made, Seed), LedgerError> {
        let (value, record) = told.written()?;
        let seed = Seed::from_bytes(*random::<32>()?);
        let tree = FieldTree::of_document(&value, &seed).map_err(|e| LedgerError::TooLarge(e.to_string()))?;
        let (v, declared) = (ENTRY_VERSION, tree.commitment());
        let entry = match told {
            Told::Session { agent, record } => Entry::Session(SessionEntry {
                v,
                kind: SessionKind::It,
                id,
                at,
                agent: *agent,
                application: by,
                session: self.shared.keyring.session_tag(*agent, &record.session),
                declared,
            }),
            Told::Turn { opened, session, .. } => {
                let (opened, session) = (*opened, *session);
                let kind = TurnKind::It;
                Entry::Turn(TurnEntry { v, kind, id, at, application: by, opened, session, declared })
            }
            Told::Outcome { intent, call, session, status, record } => Entry::Outcome(OutcomeEntry {
                v,
                kind: OutcomeKind::It,
                id,
                at,
                tool: by,
                intent: *intent,
                call: *call,
                session: *session,
                status: *status,
                result: result_digest(&seed, *call, &record.result)
                    .map_err(|e| LedgerError::TooLarge(e.to_string()))?,
                declared,
            }),
        };
        let payload = Payload {
            declared: record.clone(),
            evaluation: Vec::new(),
            declared_seed: seed.clone(),
            evaluation_seed: Seed::from_bytes([0; 32]),
            signature: None,
        };
        Ok((self.make(entry, id, at, Some(&payload), Some(record))?, seed))
    }
}
