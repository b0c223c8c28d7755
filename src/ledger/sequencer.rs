//! The sequencer: the one thread that owns the state and decides.
//!
//! Log order is decision order. Each command sees the state after everything before it, durable or not yet; its reply
//! waits in the committer's queue behind whatever it depends on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use uuid::Uuid;

use super::admin::Admin;
use super::clock::Stopwatch;
use super::committer::{EntryItem, Item, Reply, SealedLeaf, entry_room};
use super::deciding::{self, Question, delta_of};
use super::error::LedgerError;
use super::index::IntentKey;
use super::keyring::{Ciphertext, random};
use super::payload::Payload;
use super::shared::Shared;
use super::state::{CredentialDigest, FoldKey, Sealed, State};
use super::testimony::{Heard, Testimony};
use crate::merkle::Hash;
use crate::policy::signals::Signals;
use crate::policy::{ENGINE_VERSION, Engine, Evaluated};
use crate::record::decision::Decision;
use crate::record::entry::{
    ENTRY_VERSION, Entry, IntentEntry, IntentKind, RefusedEntry, RefusedKind, SealedCall, changed_call_digest,
};
use crate::record::evaluation::document_of;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::limits;
use crate::record::time::Timestamp;

/// What the sequencer is told to do, in the order it will happen.
pub(super) enum Command {
    Intent(Box<Admitted>, IntentReply),
    Admin(Box<Admin>, Reply<SealedLeaf>),
    Testimony(Box<Testimony>, Reply<Heard>),
    /// Seals the counts of refusals, if there are any.
    SealRefused,
    /// Everything before it is decided; the sequencer ends.
    Stop,
}

/// An intent that has been read, authenticated and, if it is signed, verified.
pub struct Admitted {
    /// Leaf index of the agent's registration.
    pub agent: u64,
    /// The credential it came with, to be looked at again when its turn comes.
    pub credential: CredentialDigest,
    /// The declared document.
    pub intent: Intent,
    /// Its exact bytes.
    pub body: Vec<u8>,
    /// Its seed.
    pub seed: Seed,
    /// The commitment to it.
    pub declared: Commitment,
    /// One per call ([`crate::record::entry::call_digest`]).
    pub call_digests: Vec<Hash>,
    /// The agent's signature and the key it verified under.
    pub signature: Option<VerifiedSignature>,
    /// What could be seen of its calls before its turn.
    pub signals: Option<SignalsAhead>,
}

/// Signals of an intent's calls, computed before its turn.
pub struct SignalsAhead {
    /// Whose bundle says what of the arguments is parsed.
    pub engine: Arc<Engine>,
    /// One per call.
    pub signals: Vec<Signals>,
}

/// An agent's signature, and the public key it verified under.
pub type VerifiedSignature = ([u8; 64], [u8; 32]);

/// What became of an intent.
#[derive(Debug)]
pub enum Accepted {
    /// Sealed now.
    Sealed {
        /// Its leaf.
        leaf: SealedLeaf,
        /// Its id.
        id: Uuid,
        /// What was decided.
        decision: Decision,
        /// When a hold ends, as sealed.
        expires: Option<Timestamp>,
    },
    /// Its id was sealed before; whether with the same body, the reader of the leaf tells.
    Known {
        /// Its leaf index.
        index: u64,
    },
}

/// Told once what became of an intent.
pub type IntentReply = Reply<Accepted>;

pub(super) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
    pub(super) engine: Arc<Engine>,
    pub(super) fold_key: FoldKey,
    pub(super) epoch: Epoch,
    pub(super) commands: Receiver<Command>,
    pub(super) items: SyncSender<Item>,
    /// What an entry may take of a frame ([`entry_room`]).
    pub(super) entry_room: usize,
}

/// The open key epoch.
pub(super) struct Epoch {
    number: u32,
    payloads: u64,
    opened: Timestamp,
}

impl Epoch {
    pub(super) fn new(number: u32, opened: Timestamp) -> Self {
        Self { number, payloads: 0, opened }
    }
}

/// An entry that was decided and encoded, on its way to the committer.
pub(super) struct Made {
    pub(super) entry: Entry,
    pub(super) bytes: Vec<u8>,
    pub(super) payload: Option<Ciphertext>,
    /// The declared document of an entry that is not an intent, which the state fold needs.
    pub(super) record: Option<Vec<u8>>,
    /// An intent, and the steps of the plan that its calls are.
    pub(super) decided: Option<(Intent, Vec<Option<usize>>)>,
}

impl Sequencer {
    pub(super) fn run(mut self) {
        while let Ok(command) = self.commands.recv() {
            match command {
                Command::Intent(admitted, reply) => self.intent(*admitted, reply),
                Command::Admin(admin, reply) => self.admin(&admin, reply),
                Command::Testimony(testimony, reply) => self.testimony(&testimony, reply),
                Command::SealRefused => self.seal_refused(),
                Command::Stop => break,
            }
            if self.shared.snapshot_wanted.swap(false, Ordering::Relaxed) {
                self.hand_over(Item::Snapshot(Box::new(self.state.clone())));
            }
        }
        // What came after the stop is told so; it was never looked at.
        for command in self.commands.try_iter() {
            match command {
                Command::Intent(_, reply) => reply(Err(LedgerError::Stopping)),
                Command::Admin(_, reply) => reply(Err(LedgerError::Stopping)),
                Command::Testimony(_, reply) => reply(Err(LedgerError::Stopping)),
                Command::SealRefused | Command::Stop => {}
            }
        }
        self.seal_refused();
    }

    pub(super) fn hand_over(&self, item: Item) {
        // The committer outlives the sequencer; if it does not, it has failed and whoever waits is told by the drop.
        let _ = self.items.send(item);
    }

    /// The time of the next entry: the clock's, unless it stands slightly behind the last entry.
    pub(super) fn stamp(&self) -> Result<Timestamp, LedgerError> {
        self.shared.clock.stamp(self.state.chain.last_at())
    }

    fn intent(&mut self, admitted: Admitted, reply: IntentReply) {
        match self.decide(admitted) {
            Ok(Decided::Known(index)) => {
                let reply = Box::new(move |durable: Result<(), LedgerError>| {
                    reply(durable.map(|()| Accepted::Known { index }));
                });
                self.hand_over(Item::After { intent: true, reply });
            }
            Ok(Decided::New { made, key, decision }) => {
                let id = key.id;
                let expires = match &made.entry {
                    Entry::Intent(entry) => entry.expires,
                    _ => None,
                };
                let reply = Box::new(move |sealed: Result<SealedLeaf, LedgerError>| {
                    reply(sealed.map(|leaf| Accepted::Sealed { leaf, id, decision, expires }));
                });
                self.seal(*made, Some(key), reply);
            }
            Err(error) => self.refuse(true, error, reply),
        }
    }

    /// A refusal may depend on what is pending (an id just used), so it waits like an answer.
    pub(super) fn refuse<T: 'static>(&self, intent: bool, error: LedgerError, reply: Reply<T>) {
        let reply = Box::new(move |durable: Result<(), LedgerError>| reply(durable.and(Err(error))));
        self.hand_over(Item::After { intent, reply });
    }

    fn decide(&mut self, admitted: Admitted) -> Result<Decided, LedgerError> {
        let registry = Arc::clone(&self.state.registry);
        registry
            .agent(admitted.agent)
            .filter(|agent| !agent.revoked && agent.credential == admitted.credential)
            // Signed by the key of today, or unsigned by an agent that has none: a rotation may have come between.
            .filter(|agent| agent.key == admitted.signature.map(|(_, verified_under)| verified_under))
            .ok_or(LedgerError::NotRegistered)?;
        let given = admitted.intent.id.map(|id| IntentKey { id, agent: admitted.agent });
        if let Some(key) = &given {
            let known = self.shared.index.get(key).map_err(|e| LedgerError::Damaged(e.to_string()))?;
            if let Some(row) = known {
                return Ok(Decided::Known(row.index));
            }
        }
        // What is sealed is answered whatever the clock says; what is not, only by a clock that stands.
        let at = self.stamp()?;
        let key = match given {
            Some(key) => key,
            None => IntentKey { id: new_id(at)?, agent: admitted.agent },
        };
        // Only for what would be sealed now: asking again for what is sealed gets the same answer at any time.
        let signer = self.check_window(&admitted, at)?;
        let deciding = Stopwatch::start();
        let evaluated = self.evaluate(&admitted, signer.is_some(), at).ok_or(LedgerError::NotRegistered)?;
        let took = u64::try_from(deciding.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.measures.decide_us.observe(took);
        let made = self.make_intent(admitted, key, at, signer, &evaluated)?;
        Ok(Decided::New { made: Box::new(made), key, decision: evaluated.decision })
    }

    /// The replay window of signed intents; the leaf that registered the key it was verified under.
    fn check_window(&self, admitted: &Admitted, at: Timestamp) -> Result<Option<u64>, LedgerError> {
        if admitted.signature.is_none() {
            return Ok(None);
        }
        let created = admitted.intent.created.ok_or(LedgerError::CreatedOutsideWindow)?;
        if created.millis_since(at).abs() > limits::CREATED_WINDOW_MS {
            return Err(LedgerError::CreatedOutsideWindow);
        }
        let id_time = admitted.intent.id.and_then(time_of).ok_or(LedgerError::IdOutsideWindow)?;
        if id_time.millis_since(at).abs() > limits::ID_WINDOW_MS {
            return Err(LedgerError::IdOutsideWindow);
        }
        Ok(self.state.chain.agent(admitted.agent).and_then(|links| links.signer))
    }

    fn evaluate(&self, admitted: &Admitted, signed: bool, at: Timestamp) -> Option<Evaluated> {
        // Signals that were computed for another bundle's tools are none of this one's.
        let ahead = admitted.signals.as_ref().filter(|ahead| Arc::ptr_eq(&ahead.engine, &self.engine));
        let question = Question {
            intent: &admitted.intent,
            agent: admitted.agent,
            session: self.shared.keyring.session_tag(admitted.agent, &admitted.intent.session),
            signed,
            at,
            signals: ahead.map(|ahead| ahead.signals.as_slice()),
        };
        deciding::decide(&self.engine, &self.state, &self.fold_key, &question)
    }

    fn make_intent(
        &mut self,
        admitted: Admitted,
        key: IntentKey,
        at: Timestamp,
        signer: Option<u64>,
        evaluated: &Evaluated,
    ) -> Result<Made, LedgerError> {
        let evaluation_seed = Seed::from_bytes(*random::<32>()?);
        let evaluation = document_of(&evaluated.evaluation);
        let tree = FieldTree::of_written(&evaluated.evaluation, &evaluation_seed)
            .map_err(|e| LedgerError::TooLarge(e.to_string()))?;
        let links = self.state.chain.agent(admitted.agent).ok_or(LedgerError::NotRegistered)?;
        let decision = &evaluated.decision;
        let expires =
            decision.expires.and_then(|ms| i64::try_from(ms).ok()).and_then(|ms| at.checked_add_millis(ms));
        let calls = sealed_calls(decision, &admitted)?;
        let entry = Entry::Intent(IntentEntry {
            v: ENTRY_VERSION,
            kind: IntentKind::It,
            id: key.id,
            at,
            agent: key.agent,
            atomic: admitted.intent.atomic,
            session: self.shared.keyring.session_tag(key.agent, &admitted.intent.session),
            seq: links.next_seq,
            prev: links.last,
            declared: admitted.declared,
            delta: delta_of(&admitted.intent),
            evaluation: tree.commitment(),
            signer,
            outcome: decision.outcome,
            expires,
            calls,
            policy: self.state.chain.policy(),
            engine: ENGINE_VERSION,
        });
        let payload = Payload {
            declared: admitted.body,
            evaluation,
            declared_seed: admitted.seed,
            evaluation_seed,
            signature: admitted.signature.map(|(signature, _)| signature),
        };
        let made = self.make(entry, key.id, at, Some(&payload), None)?;
        Ok(Made { decided: Some((admitted.intent, evaluated.steps.clone())), ..made })
    }

    /// Encodes an entry and seals its payload.
    pub(super) fn make(
        &mut self,
        entry: Entry,
        id: Uuid,
        at: Timestamp,
        payload: Option<&Payload>,
        record: Option<Vec<u8>>,
    ) -> Result<Made, LedgerError> {
        let bytes = entry
            .encode()
            .map_err(|e| LedgerError::TooLarge(e.to_string()))?
            .ok_or_else(|| LedgerError::Damaged("an entry of no known type was made".to_owned()))?;
        let payload = match payload {
            Some(payload) => Some(self.seal_payload(id, at, payload)?),
            None => None,
        };
        let room = entry_room(bytes.len(), payload.as_ref());
        if room > self.entry_room {
            return Err(LedgerError::TooLarge(format!(
                "entry and payload take {room} bytes, a journal frame has room for {}",
                self.entry_room
            )));
        }
        Ok(Made { entry, bytes, payload, record, decided: None })
    }

    fn seal_payload(
        &mut self,
        id: Uuid,
        at: Timestamp,
        payload: &Payload,
    ) -> Result<Ciphertext, LedgerError> {
        let old = self.epoch.payloads >= limits::EPOCH_PAYLOADS_MAX
            || at.millis_since(self.epoch.opened) > limits::EPOCH_MAX_MS;
        if old {
            let opened = self.shared.keyring.open_epoch(Some(self.epoch.number)).inspect_err(|error| {
                // The one write of this thread: after one that failed nothing is sealed, here as everywhere.
                self.shared.poison(format!("opening a key epoch: {error}"));
            });
            self.epoch = Epoch::new(opened?, at);
        }
        self.epoch.payloads += 1;
        Ok(self.shared.keyring.seal(self.epoch.number, id.as_bytes(), payload)?)
    }

    /// Folds an entry into the pending state and hands it to the committer.
    pub(super) fn seal(&mut self, made: Made, key: Option<IntentKey>, reply: Reply<SealedLeaf>) {
        let index = self.state.chain.size();
        let before = Arc::clone(&self.state.registry);
        let sealed = match (&made.decided, &made.record) {
            (Some((intent, steps)), _) => Sealed::Decided(intent, steps),
            (None, Some(record)) => Sealed::Declared(record),
            (None, None) => Sealed::Nothing,
        };
        if let Err(error) = self.state.apply(&made.entry, &sealed, &self.fold_key) {
            // What we made does not follow from what we hold: a defect, and nothing may be sealed on top of it.
            self.shared.poison(format!("an entry that does not follow was made: {error}"));
            let intent = matches!(made.entry, Entry::Intent(_));
            return self.refuse(intent, LedgerError::Damaged(error.to_string()), reply);
        }
        if let Some(key) = key {
            self.shared.index.announce(key, index);
        }
        let outcome = match &made.entry {
            Entry::Intent(intent) => Some(intent.outcome),
            _ => None,
        };
        let changed = !Arc::ptr_eq(&before, &self.state.registry);
        self.hand_over(Item::Entry(Box::new(EntryItem {
            at: made.entry.at().or(self.state.chain.last_at()).unwrap_or(Timestamp::MIN),
            entry: made.bytes.into(),
            payload: made.payload,
            key,
            outcome,
            registry: changed.then(|| Arc::clone(&self.state.registry)),
            reply,
        })));
    }

    /// Seals the counts of refusals since the last time, if there are any and the clock stands.
    fn seal_refused(&mut self) {
        let Ok(at) = self.stamp() else { return };
        let taken = {
            let mut refused = self.shared.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if refused.counts.is_empty() {
                return;
            }
            let since = std::mem::replace(&mut refused.since, at);
            (std::mem::take(&mut refused.counts), since)
        };
        let (counts, since) = taken;
        let Ok(id) = new_id(at) else { return };
        let entry = Entry::Refused(RefusedEntry {
            v: ENTRY_VERSION,
            kind: RefusedKind::It,
            id,
            at,
            since: since.min(at),
            counts,
        });
        if let Ok(made) = self.make(entry, id, at, None, None) {
            self.seal(made, None, Box::new(|_| ()));
        }
    }
}

enum Decided {
    Known(u64),
    New { made: Box<Made>, key: IntentKey, decision: Decision },
}

/// A new UUIDv7 (RFC 9562 §5.7) at a time.
pub(super) fn new_id(at: Timestamp) -> Result<Uuid, LedgerError> {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let random = random::<10>()?;
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// The time in a UUIDv7.
fn time_of(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let millis = seconds.checked_mul(1_000)?.checked_add(u64::from(nanos) / 1_000_000)?;
    Timestamp::from_millis(i64::try_from(millis).ok()?).ok()
}

/// The verdicts as the leaf says them: of a call that was changed, the digest is that of the one that may run.
fn sealed_calls(decision: &Decision, admitted: &Admitted) -> Result<Vec<SealedCall>, LedgerError> {
    let calls = decision.calls.iter().zip(&admitted.intent.calls).zip(&admitted.call_digests).zip(0u32..);
    calls
        .map(|(((decided, declared), digest), i)| {
            let digest = match &decided.args {
                None => *digest,
                Some(args) => changed_call_digest(&admitted.seed, i, declared, args)
                    .map_err(|e| LedgerError::TooLarge(e.to_string()))?,
            };
            Ok(SealedCall { outcome: decided.outcome, digest })
        })
        .collect()
}
