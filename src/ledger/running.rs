//! The handle on a running ledger: what others may ask of it.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use super::admin::Admin;
use super::behind::Behind;
use super::clock::Stopwatch;
use super::committer::{Reply, SealedLeaf};
use super::error::LedgerError;
use super::layout::Layout;
use super::measures::Measures;
use super::sequencer::{Admitted, Command, IntentReply};
use super::shared::{News, Published, Shared};
use super::testimony::{Heard, Testimony};
use crate::disk::DiskLock;
use crate::evidence::Receipt;
use crate::merkle::{
    Hash, TilePath, consistency_proof, inclusion_proof, leaf_hash, root_at, verify_consistency,
    verify_inclusion,
};
use crate::note::{Checkpoint, SignedNote, VerifierKey};
use crate::policy::Engine;
use crate::record::entry::RefusedCounts;
use crate::record::limits;

/// A running ledger. Dropping it, or [`Ledger::stop`], seals what is in hand and ends the threads.
pub struct Ledger {
    pub(super) shared: Arc<Shared>,
    to_sequencer: SyncSender<Command>,
    /// Held while a command is sent, so that none comes behind the end.
    accepting: RwLock<bool>,
    threads: Mutex<Option<Threads>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("origin", &self.shared.origin).finish_non_exhaustive()
    }
}

/// The threads of a ledger, and its lock.
pub(crate) struct Threads {
    pub(super) sequencer: JoinHandle<()>,
    pub(super) committer: JoinHandle<()>,
    pub(super) behind: JoinHandle<()>,
    pub(super) to_behind: SyncSender<Behind>,
    pub(super) lock: DiskLock,
}

impl Ledger {
    pub(super) fn running(shared: Arc<Shared>, to_sequencer: SyncSender<Command>, threads: Threads) -> Self {
        Self { shared, to_sequencer, accepting: RwLock::new(true), threads: Mutex::new(Some(threads)) }
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// The log's public key.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.shared.signer.verifier()
    }

    /// Where it lives.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// What is durable and signed.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.shared.published()
    }

    /// Why nothing is sealed any more, if that is so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.shared.poisoned()
    }

    /// Calls `told` whenever more is published and when nothing is sealed any more, on the thread that found out: it must
    /// be quick and must not ask the ledger anything.
    pub fn watch(&self, told: impl Fn(News) + Send + Sync + 'static) {
        self.shared.watch(Box::new(told));
    }

    /// Whether the clock is one that intents are decided by.
    ///
    /// # Errors
    /// [`LedgerError::ClockBehind`], [`LedgerError::ClockAhead`].
    pub fn check_clock(&self) -> Result<(), LedgerError> {
        self.shared.clock.stamp(self.published().last_at).map(drop)
    }

    /// By how many milliseconds the clock stands behind the last sealed entry.
    #[must_use]
    pub fn clock_behind_ms(&self) -> i64 {
        let now = self.shared.clock.wall();
        self.published().last_at.map_or(0, |last| last.millis_since(now).max(0))
    }

    /// Intents in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.shared.in_hand.load(Ordering::Relaxed)
    }

    /// Index rows that wait to be written.
    #[must_use]
    pub fn index_lag_rows(&self) -> usize {
        self.shared.index.waiting()
    }

    /// Milliseconds since the last sealed leaf, by the clock; 0 for an empty log.
    #[must_use]
    pub fn checkpoint_age_ms(&self) -> i64 {
        let now = self.shared.clock.wall();
        self.published().last_at.map_or(0, |last| now.millis_since(last).max(0))
    }

    /// Counters since the start.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.shared.measures
    }

    /// The engine that decides next.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.shared.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a place in the queue for an intent that is about to be read.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`], [`LedgerError::Poisoned`].
    pub fn admit(&self) -> Result<Admission, LedgerError> {
        if let Some(reason) = self.shared.poisoned() {
            return Err(LedgerError::Poisoned(reason.to_owned()));
        }
        let admission =
            Admission { shared: Arc::clone(&self.shared), submitted: false, admitted: Stopwatch::start() };
        self.shared.upstream.fetch_add(1, Ordering::AcqRel);
        if self.shared.in_hand.fetch_add(1, Ordering::AcqRel) >= limits::QUEUE_MAX_INTENTS {
            return Err(LedgerError::Overloaded);
        }
        Ok(admission)
    }

    /// Hands an intent to the sequencer. `reply` is called once, on another thread, when its fate is durable.
    pub fn submit(&self, admission: Admission, admitted: Admitted, reply: IntentReply) {
        let mut admission = admission;
        admission.submitted = true;
        let reply: IntentReply = told_once(Box::new(move |accepted| {
            drop(admission);
            reply(accepted);
        }));
        if let Err(unsent) = self.send(Command::Intent(Box::new(admitted), reply)) {
            self.shared.upstream.fetch_sub(1, Ordering::AcqRel);
            refuse_unsent(unsent);
        }
    }

    /// Seals an administrative change. `reply` is called once, on another thread.
    pub fn administer(&self, admin: Admin, reply: Reply<SealedLeaf>) {
        if let Some(reason) = self.shared.poisoned() {
            return reply(Err(LedgerError::Poisoned(reason.to_owned())));
        }
        let reply = told_once(reply);
        if let Err(unsent) = self.send(Command::Admin(Box::new(admin), reply)) {
            refuse_unsent(unsent);
        }
    }

    /// Seals what an application or a tool server says. `reply` is called once, on another thread.
    pub fn testify(&self, testimony: Testimony, reply: Reply<Heard>) {
        if let Some(reason) = self.shared.poisoned() {
            return reply(Err(LedgerError::Poisoned(reason.to_owned())));
        }
        let reply = told_once(reply);
        if let Err(unsent) = self.send(Command::Testimony(Box::new(testimony), reply)) {
            refuse_unsent(unsent);
        }
    }

    fn send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        let accepting = self.accepting.read().unwrap_or_else(PoisonError::into_inner);
        if *accepting {
            self.to_sequencer.try_send(command)
        } else {
            Err(TrySendError::Disconnected(command))
        }
    }

    /// Counts requests that were refused before anything was sealed.
    pub fn count_refused(&self, count: impl FnOnce(&mut RefusedCounts)) {
        count(&mut self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).counts);
    }

    /// The receipt for a leaf under a signed checkpoint of `size` leaves. The proof is verified before it is given.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Damaged`].
    pub fn receipt(
        &self,
        index: u64,
        entry: &[u8],
        size: u64,
        checkpoint: &str,
    ) -> Result<Receipt, LedgerError> {
        // Against what was signed, not against what the same tiles say: a wrong node would cancel out.
        let note: SignedNote = checkpoint.parse().map_err(|e| LedgerError::Damaged(format!("{e}")))?;
        let signed = Checkpoint::parse(&note.text).map_err(|e| LedgerError::Damaged(e.to_string()))?;
        if signed.size != size {
            return Err(LedgerError::Damaged(format!(
                "the checkpoint is of size {}, not {size}",
                signed.size
            )));
        }
        let path = self.proven_path(index, entry, size, &signed.root)?;
        Ok(Receipt { extra: None, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// The receipt for what was sealed just now: as [`Ledger::receipt`], under the root that its checkpoint was signed
    /// over.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn receipt_of_sealed(&self, leaf: &SealedLeaf) -> Result<Receipt, LedgerError> {
        let path = self.proven_path(leaf.index, &leaf.entry, leaf.size, &leaf.root)?;
        Ok(Receipt { extra: None, index: leaf.index, path, checkpoint: leaf.checkpoint.to_string() })
    }

    fn proven_path(
        &self,
        index: u64,
        entry: &[u8],
        size: u64,
        root: &Hash,
    ) -> Result<Vec<Hash>, LedgerError> {
        let path = self.inclusion(index, size)?;
        verify_inclusion(&leaf_hash(entry), index, size, &path, root)
            .map_err(|e| LedgerError::Damaged(format!("the tiles do not prove leaf {index}: {e}")))?;
        Ok(path)
    }

    fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        inclusion_proof(&self.shared.tiles, index, size).map_err(|e| LedgerError::Damaged(e.to_string()))
    }

    fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        let published = self.published();
        if size == published.size {
            return Ok(published.root);
        }
        root_at(&self.shared.tiles, size).map_err(|e| LedgerError::Damaged(e.to_string()))
    }

    /// An inclusion proof within the published log, verified before it is given; `None` outside of it.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        if size > self.published().size || index >= size {
            return Ok(None);
        }
        let Some(entry) = self.entry(index)? else { return Ok(None) };
        let path = self.inclusion(index, size)?;
        verify_inclusion(&leaf_hash(&entry), index, size, &path, &self.root_at(size)?)
            .map_err(|e| LedgerError::Damaged(format!("the tiles do not prove leaf {index}: {e}")))?;
        Ok(Some(path))
    }

    /// A consistency proof within the published log, verified before it is given; `None` outside of it.
    ///
    /// # Errors
    /// As [`Ledger::receipt`].
    pub fn consistency_proof(&self, from: u64, to: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        if to > self.published().size || from > to {
            return Ok(None);
        }
        let proof = consistency_proof(&self.shared.tiles, from, to)
            .map_err(|e| LedgerError::Damaged(e.to_string()))?;
        verify_consistency(from, &self.root_at(from)?, to, &self.root_at(to)?, &proof)
            .map_err(|e| LedgerError::Damaged(format!("the tiles do not prove {from} -> {to}: {e}")))?;
        Ok(Some(proof))
    }

    /// A published leaf's bytes.
    ///
    /// # Errors
    /// [`LedgerError::Read`]
    pub fn entry(&self, index: u64) -> Result<Option<Arc<[u8]>>, LedgerError> {
        if index >= self.published().size {
            return Ok(None);
        }
        Ok(self.shared.tiles.entry(index)?)
    }

    /// Published leaves from `from` on, below `to` and up to the end of their bundle, each checked against the tree: at
    /// most 256, as many as have `bytes_max` together and one at least, none beyond the published log.
    ///
    /// # Errors
    /// [`LedgerError::Read`]
    pub fn entries(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Arc<[u8]>>, LedgerError> {
        Ok(self.shared.tiles.entries(from, to.min(self.published().size), bytes_max)?)
    }

    /// A tile or entry bundle of the published log.
    ///
    /// # Errors
    /// [`LedgerError::Read`]
    pub fn resource(&self, path: &TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.shared.tiles.resource(path, self.published().size)?)
    }

    /// The checkpoint of a published size, as it was signed when the log had that size. The tiles that give its root are
    /// proven against the published root before anything is signed.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`]
    pub fn checkpoint_at(&self, size: u64) -> Result<Arc<str>, LedgerError> {
        let published = self.published();
        if size == published.size {
            return Ok(Arc::clone(&published.checkpoint));
        }
        if size > published.size {
            return Err(LedgerError::Damaged(format!("size {size} is not published")));
        }
        let root = self.root_at(size)?;
        let proof = consistency_proof(&self.shared.tiles, size, published.size)
            .map_err(|e| LedgerError::Damaged(e.to_string()))?;
        verify_consistency(size, &root, published.size, &published.root, &proof).map_err(|e| {
            LedgerError::Damaged(format!("the tiles do not prove {size} -> {}: {e}", published.size))
        })?;
        let checkpoint =
            Checkpoint { origin: self.shared.origin.clone(), size, root, extensions: Vec::new() };
        // Ed25519 is deterministic: the same statement gets the same bytes again.
        let note = self.shared.signer.sign_checkpoint(&checkpoint);
        note.map(Into::into).map_err(|e| LedgerError::Damaged(e.to_string()))
    }

    /// Seals what is in hand, writes what is behind, and ends. Later submissions are refused.
    pub fn stop(&self) {
        let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        *self.accepting.write().unwrap_or_else(PoisonError::into_inner) = false;
        let _ = self.to_sequencer.send(Command::Stop);
        let decided = threads.sequencer.join();
        let committed = threads.committer.join();
        let _ = threads.to_behind.send(Behind::Stop);
        let written = threads.behind.join();
        let whole = decided.is_ok() && committed.is_ok() && written.is_ok();
        let clean = whole && self.shared.poisoned().is_none();
        if let Err(error) = self.shared.index.close(clean) {
            self.shared.poison(format!("closing the index: {error}"));
        }
        // The lock goes last: from here on nothing of this process touches the files.
        drop(threads.lock);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A reply that is called even if everyone who held it is gone: a thread that fails must leave nobody waiting.
fn told_once<T: 'static>(reply: Reply<T>) -> Reply<T> {
    struct Told<T>(Option<Reply<T>>);
    impl<T> Drop for Told<T> {
        fn drop(&mut self) {
            if let Some(reply) = self.0.take() {
                let what = "the ledger ended before it told what became of this";
                reply(Err(LedgerError::OutcomeUnknown(what.to_owned())));
            }
        }
    }
    let mut told = Told(Some(reply));
    Box::new(move |outcome| {
        if let Some(reply) = told.0.take() {
            reply(outcome);
        }
    })
}

/// A command that found no place, or no sequencer: whoever waits is told.
fn refuse_unsent(unsent: TrySendError<Command>) {
    let (command, error) = match unsent {
        TrySendError::Full(command) => (command, LedgerError::Overloaded),
        TrySendError::Disconnected(command) => (command, LedgerError::Stopping),
    };
    match command {
        Command::Intent(_, reply) => reply(Err(error)),
        Command::Admin(_, reply) => reply(Err(error)),
        Command::Testimony(_, reply) => reply(Err(error)),
        Command::SealRefused | Command::Stop => {}
    }
}

/// A place in the queue; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    shared: Arc<Shared>,
    submitted: bool,
    admitted: Stopwatch,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.in_hand.fetch_sub(1, Ordering::AcqRel);
        if self.submitted {
            let took = u64::try_from(self.admitted.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.shared.measures.answer_us.observe(took);
        } else {
            self.shared.upstream.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
