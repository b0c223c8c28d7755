//! The committer: the one thread that writes to the journal and signs.
//!
//! Its order is the promise "sealed before allowed": frame durable, then tree, then signature, then published, and only
//! then are the waiters woken. A failure before that wakes them with what is known, and nothing is ever retried.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use super::behind::Behind;
use super::clock::Stopwatch;
use super::error::LedgerError;
use super::head::HeadKeeper;
use super::index::IntentKey;
use super::keyring::Ciphertext;
use super::shared::{Published, Shared};
use super::snapshot::{SavedResume, Snapshot};
use super::state::{Registry, State};
use super::tiles::WAITING_BUNDLES_MAX;
use crate::journal::{Append, Expected, FRAME_BYTES_MAX, Frame, Journal, Position, SealedPayload};
use crate::merkle::Hash;
use crate::note::Checkpoint;
use crate::record::decision::Outcome;
use crate::record::limits;
use crate::record::time::Timestamp;

/// Entries that wait before a frame is written without looking for more.
const ENOUGH_ENTRIES: usize = 32;
/// How long the oldest entry waits for others that are on their way.
const GATHER: Duration = Duration::from_micros(500);
/// Idle time after which a marker frame follows, so that a rotted last frame is not taken for a torn one.
const IDLE: Duration = Duration::from_millis(100);

/// Where an entry came to lie. Everything in it is durable and signed.
#[derive(Debug, Clone)]
pub struct SealedLeaf {
    /// Its leaf index.
    pub index: u64,
    /// Its bytes.
    pub entry: Arc<[u8]>,
    /// The size of the checkpoint its receipt is under.
    pub size: u64,
    /// That checkpoint, signed.
    pub checkpoint: Arc<str>,
    /// The root that was signed.
    pub root: Hash,
}

/// Told once what became of an entry.
pub(super) type Reply<T> = Box<dyn FnOnce(Result<T, LedgerError>) + Send>;

/// What the sequencer hands over, in log order.
pub(super) enum Item {
    /// An entry to seal.
    Entry(Box<EntryItem>),
    /// A reply that depends on everything before it being durable.
    After { intent: bool, reply: Reply<()> },
    /// The state after everything before it, for a snapshot.
    Snapshot(Box<State>),
}

/// An entry to seal.
pub(super) struct EntryItem {
    pub(super) entry: Arc<[u8]>,
    pub(super) at: Timestamp,
    pub(super) payload: Option<Ciphertext>,
    /// Its key in the index, if it has one.
    pub(super) key: Option<IntentKey>,
    /// What was decided, if it is an intent.
    pub(super) outcome: Option<Outcome>,
    /// The registry from this entry on, if it changes it.
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) reply: Reply<SealedLeaf>,
}

pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Box<dyn Journal>,
    pub(super) items: Receiver<Item>,
    pub(super) behind: SyncSender<Behind>,
    pub(super) head: HeadKeeper,
    /// Where the last frame begins, for snapshots to resume after.
    pub(super) last_frame: Option<Position>,
    /// Idle time before a marker; `None` writes none.
    pub(super) idle: Option<Duration>,
    /// Journal bytes between snapshots.
    pub(super) snapshot_bytes: u64,
    /// Journal bytes that no snapshot covers yet.
    pub(super) since_snapshot: u64,
    /// The sequencer was asked for a snapshot that has not come yet.
    pub(super) snapshot_asked: bool,
    /// Bytes of entries and payloads that a frame takes, if they are more than one entry's.
    pub(super) batch_bytes: usize,
    /// What did not fit the last frame.
    pub(super) held: Option<Item>,
}

/// The default idle time before a marker.
pub(super) const MARKER_AFTER: Duration = IDLE;

/// What a frame has beside its entries and payloads: header, checkpoint, padding.
const FRAME_OVERHEAD_BYTES: u64 = 8 << 10;
/// What a frame has for each entry beside its bytes and its payload's.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Bytes of entries and payloads that fit a frame in segments of this length.
pub(super) fn frame_room(segment_bytes: u64) -> usize {
    let room = segment_bytes.min(FRAME_BYTES_MAX).saturating_sub(FRAME_OVERHEAD_BYTES);
    usize::try_from(room).unwrap_or(usize::MAX)
}

/// What an entry takes of a frame's room.
pub(super) fn entry_room(entry: usize, payload: Option<&Ciphertext>) -> usize {
    entry
        .saturating_add(payload.map_or(0, |payload| payload.bytes.len()))
        .saturating_add(ENTRY_OVERHEAD_BYTES)
}

impl Committer {
    /// Runs until the sequencer is gone and everything it sent is sealed or refused.
    pub(super) fn run(mut self) {
        // What a crash left as the last frame gets its marker too.
        let mut marker_due = self.last_frame.is_some();
        loop {
            let first = match (self.held.take(), self.idle.filter(|_| marker_due)) {
                (Some(held), _) => held,
                (None, Some(idle)) => match self.items.recv_timeout(idle) {
                    Ok(item) => item,
                    Err(RecvTimeoutError::Timeout) => {
                        marker_due = false;
                        self.since_snapshot += self.commit(Batch::default());
                        self.ask_for_snapshot();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
                (None, None) => match self.items.recv() {
                    Ok(item) => item,
                    Err(_) => break,
                },
            };
            let batch = self.gather(first);
            let snapshot = batch.snapshot.is_some();
            if batch.has_entries() {
                marker_due = true;
                self.since_snapshot += self.commit(batch);
            } else {
                self.release(batch);
            }
            if snapshot {
                self.since_snapshot = 0;
                self.snapshot_asked = false;
            }
            self.ask_for_snapshot();
        }
        if marker_due {
            // A clean end leaves no frame that could be taken for a torn one.
            self.commit(Batch::default());
        }
    }

    /// Asks for the state once, when enough of the journal is covered by no snapshot; the answer comes behind what is
    /// already on its way here.
    fn ask_for_snapshot(&mut self) {
        self.shared.measures.replay_bytes.store(self.since_snapshot, Ordering::Relaxed);
        if !self.snapshot_asked && self.since_snapshot > self.snapshot_bytes {
            self.snapshot_asked = true;
            self.shared.snapshot_wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Takes what waits, and what is about to come as long as that is soon.
    fn gather(&mut self, first: Item) -> Batch {
        let started = Stopwatch::start();
        let mut batch = Batch::default();
        let mut next = Some(first);
        loop {
            if let Some(item) = next.take() {
                if !batch.has_room_for(&item, self.batch_bytes) {
                    self.held = Some(item);
                    return batch;
                }
                self.arrived(&item);
                batch.push(item);
                if batch.is_full() {
                    return batch;
                }
            }
            next = self.items.try_recv().ok();
            if next.is_some() {
                continue;
            }
            let waited = started.elapsed();
            let nobody_comes = self.shared.upstream.load(Ordering::Acquire) == 0;
            if !batch.has_entries() || nobody_comes || batch.entries() >= ENOUGH_ENTRIES || waited >= GATHER {
                return batch;
            }
            next = self.items.recv_timeout(GATHER.saturating_sub(waited)).ok();
        }
    }

    fn arrived(&self, item: &Item) {
        let intent = match item {
            Item::Entry(entry) => entry.outcome.is_some(),
            Item::After { intent, .. } => *intent,
            Item::Snapshot(_) => false,
        };
        if intent {
            self.shared.upstream.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Answers what needed no write.
    fn release(&self, batch: Batch) {
        if let Some(reason) = self.shared.poisoned() {
            return batch.fail_all(|| LedgerError::Poisoned(reason.to_owned()));
        }
        let (snapshot, waiting) = (batch.snapshot, batch.items);
        for item in waiting {
            if let Item::After { reply, .. } = item {
                reply(Ok(()));
            }
        }
        self.hand_over(snapshot);
    }

    /// Seals a batch. Returns the journal bytes written.
    fn commit(&mut self, batch: Batch) -> u64 {
        if let Some(reason) = self.shared.poisoned() {
            let reason = reason.to_owned();
            batch.fail_all(|| LedgerError::Poisoned(reason.clone()));
            return 0;
        }
        let published = self.shared.published();
        let frame = batch.frame(published.size, &published.checkpoint, self.journal.head().epoch);
        let expected = Expected { epoch: frame.epoch, size: published.size };
        let bytes = frame.encoded_len().unwrap_or_default() as u64;
        let started = Stopwatch::start();
        let appended = self.journal.append(&expected, &frame);
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.measures.journal_us.observe(took);
        let failure = match appended {
            Append::Appended(position) => match self.publish(&batch, position, &published) {
                Ok(published) => {
                    self.last_frame = Some(position);
                    self.wake(batch, &published);
                    return bytes;
                }
                Err(error) => error,
            },
            Append::Unknown(error) => error.to_string(),
            Append::Conflict { head } => {
                format!("another writer is at size {}, epoch {}", head.size, head.epoch)
            }
            Append::Refused(error) => error.to_string(),
        };
        self.shared.poison(failure.clone());
        batch.fail_all(|| LedgerError::OutcomeUnknown(failure.clone()));
        0
    }

    /// Tree, signature, index, published: in this order, after the frame is durable.
    fn publish(&self, batch: &Batch, frame: Position, before: &Published) -> Result<Arc<Published>, String> {
        let entries: Vec<Arc<[u8]>> = batch.sealed().map(|item| Arc::clone(&item.entry)).collect();
        if entries.is_empty() {
            return Ok(Arc::new(before.clone()));
        }
        let waiting = self.shared.tiles.append(&entries).map_err(|e| e.to_string())?;
        let size = self.shared.tiles.size();
        let root = self.shared.tiles.root();
        let checkpoint =
            Checkpoint { origin: self.shared.origin.clone(), size, root, extensions: Vec::new() };
        let checkpoint = self.shared.signer.sign_checkpoint(&checkpoint).map_err(|e| e.to_string())?;
        let keys = batch.sealed().zip(before.size..).filter_map(|(item, index)| Some((item.key?, index)));
        let rows = self.shared.index.place(keys, frame);
        let published = Published {
            size,
            root,
            checkpoint: checkpoint.into(),
            last_at: batch.sealed().last().map(|item| item.at).or(before.last_at),
            registry: batch
                .sealed()
                .filter_map(|item| item.registry.clone())
                .last()
                .unwrap_or_else(|| Arc::clone(&before.registry)),
        };
        self.shared.publish(published);
        let published = self.shared.published();
        self.head.publish(Arc::clone(&published.checkpoint));
        self.shared.measures.batch_entries.observe(entries.len() as u64);
        batch
            .sealed()
            .filter_map(|item| item.outcome)
            .for_each(|outcome| self.shared.measures.sealed(outcome));
        if waiting > WAITING_BUNDLES_MAX {
            // The writer is behind: wait for it rather than let memory grow.
            let _ = self.behind.send(Behind::Write);
        } else if waiting > 0 || rows >= super::index::RUN_ROWS {
            let _ = self.behind.try_send(Behind::Write);
        }
        Ok(published)
    }

    fn wake(&self, batch: Batch, published: &Published) {
        let mut index = published.size - batch.sealed().count() as u64;
        for item in batch.items {
            match item {
                Item::Entry(item) => {
                    let leaf = SealedLeaf {
                        index,
                        entry: item.entry,
                        size: published.size,
                        checkpoint: Arc::clone(&published.checkpoint),
                        root: published.root,
                    };
                    index += 1;
                    (item.reply)(Ok(leaf));
                }
                Item::After { reply, .. } => reply(Ok(())),
                Item::Snapshot(_) => {}
            }
        }
        self.hand_over(batch.snapshot);
    }

    fn hand_over(&self, state: Option<Box<State>>) {
        let (Some(state), Some(frame)) = (state, self.last_frame) else { return };
        let resume = SavedResume::after(frame, self.journal.head().last_frame_hash);
        let key_epoch = self.shared.keyring.last_epoch();
        let snapshot = Snapshot { edge: self.shared.tiles.save(), state: *state, resume, key_epoch };
        let _ = self.behind.send(Behind::Snapshot(Box::new(snapshot)));
    }
}

/// What goes into one frame.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    entries: usize,
    bytes: usize,
    snapshot: Option<Box<State>>,
}

impl Batch {
    fn push(&mut self, item: Item) {
        match item {
            Item::Entry(entry) => {
                self.entries += 1;
                self.bytes += entry_room(entry.entry.len(), entry.payload.as_ref());
                self.items.push(Item::Entry(entry));
            }
            Item::Snapshot(state) => self.snapshot = Some(state),
            after @ Item::After { .. } => self.items.push(after),
        }
    }

    /// A snapshot is of the state after this frame, so nothing may follow it in the frame.
    fn is_full(&self) -> bool {
        self.snapshot.is_some() || self.entries >= limits::BATCH_MAX_ENTRIES
    }

    /// The first entry always has room: what no frame can hold the sequencer has refused.
    fn has_room_for(&self, item: &Item, batch_bytes: usize) -> bool {
        match item {
            Item::Entry(item) if self.entries > 0 => {
                let more = entry_room(item.entry.len(), item.payload.as_ref());
                self.bytes.saturating_add(more) <= batch_bytes
            }
            _ => true,
        }
    }

    fn entries(&self) -> usize {
        self.entries
    }

    fn has_entries(&self) -> bool {
        self.entries > 0
    }

    fn sealed(&self) -> impl Iterator<Item = &EntryItem> {
        self.items.iter().filter_map(|item| match item {
            Item::Entry(entry) => Some(&**entry),
            _ => None,
        })
    }

    fn frame(&self, first_index: u64, checkpoint: &str, epoch: u64) -> Frame {
        let payload = |(entry, item): (u32, &EntryItem)| {
            item.payload.as_ref().map(|payload| SealedPayload {
                entry,
                key_epoch: payload.epoch,
                aead: payload.aead,
                kid: payload.kid,
                ciphertext: payload.bytes.clone(),
            })
        };
        Frame {
            epoch,
            first_index,
            checkpoint: checkpoint.as_bytes().to_vec(),
            entries: self.sealed().map(|item| item.entry.to_vec()).collect(),
            payloads: (0..).zip(self.sealed()).filter_map(payload).collect(),
        }
    }

    fn fail_all(self, error: impl Fn() -> LedgerError) {
        for item in self.items {
            match item {
                Item::Entry(item) => (item.reply)(Err(error())),
                Item::After { reply, .. } => reply(Err(error())),
                Item::Snapshot(_) => {}
            }
        }
    }
}
