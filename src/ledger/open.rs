//! Opening a ledger: keys, snapshot, journal, head, index, and only then a signature.
//!
//! Recovery is the fold that the service runs, over the entries that the journal holds. Whatever is derived is checked
//! against it or made again; whatever contradicts a signature that is known refuses to start.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::behind;
use super::clock::Clock;
use super::committer::{Committer, MARKER_AFTER, frame_room};
use super::head::{self, HeadKeeper};
use super::index::Index;
use super::keyring::Keyring;
use super::layout::{DATA_FORMAT, Layout};
use super::log_key::{own_checkpoint, read_signer};
use super::open_error::{OpenError, io_error};
use super::packs::Packs;
use super::replay::{Replay, catch_up};
use super::sequencer::{Epoch, Sequencer};
use super::shared::{Parts, PoisonOnPanic, Published, Shared};
use super::snapshot::{self, Snapshot, SnapshotError};
use super::state::{Registry, State};
use super::tiles::{EdgeError, Tiles};
use super::{Ledger, Threads};
use crate::disk::{DirMode, Disk, DiskLock, create_dir_durably, read_file, remove_stale_temporaries};
use crate::journal::{
    JournalError, JournalOptions, ReadError, RecoverError, Recovered, Resume, SegmentedJournal,
};
use crate::merkle::root_at;
use crate::note::{Checkpoint, VerifierKey};
use crate::policy::{Bundle, Engine};
use crate::record::limits;

/// Entries that the sequencer may be ahead of the committer.
const ITEMS_MAX: usize = limits::BATCH_MAX_ENTRIES;
const BEHIND_MAX: usize = 8;
/// Rules are evaluated recursively: on a stack of known size, so that a deep one decides the same on every machine.
const STACK_BYTES: usize = 16 << 20;
const SNAPSHOT_BYTES: u64 = 64 << 20;

/// How to open a ledger.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// The journal's segments.
    pub journal: JournalOptions,
    /// Idle time before a marker frame; `None` writes none while running.
    pub marker_after: Option<Duration>,
    /// Journal bytes between snapshots; a restart replays at most twice as many.
    pub snapshot_bytes: u64,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl LedgerOptions {
    /// The service's options, with a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            journal: JournalOptions::default(),
            marker_after: Some(MARKER_AFTER),
            snapshot_bytes: SNAPSHOT_BYTES,
            clock,
        }
    }
}

/// What recovery did.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// Leaves.
    pub size: u64,
    /// Leaves covered by the snapshot that was used.
    pub from_snapshot: u64,
    /// The journal's own account.
    pub journal: Recovered,
    /// Index rows made again.
    pub indexed: u64,
}

/// What was restored continues the head that is known.
fn check_head(restored: &Restored, head: Option<&Checkpoint>, head_file: HeadFile) -> Result<(), OpenError> {
    let Some(head) = head else {
        return if head_file == HeadFile::Required { Err(OpenError::NoHead) } else { Ok(()) };
    };
    let root = root_at(&restored.tiles, head.size).map_err(|e| OpenError::Damaged(e.to_string()))?;
    if root == head.root { Ok(()) } else { Err(OpenError::HeadDiverges(head.size)) }
}

/// Whether a head is known already: always, but for a ledger that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadFile {
    /// Its absence is a state unknown, and nothing is signed on that.
    Required,
    /// The first one is about to be written.
    NotYet,
}

/// Keys never lie in the data directory: whoever copies one would copy the other.
pub(super) fn check_apart(layout: &Layout) -> Result<(), OpenError> {
    if layout.is_apart() {
        return Ok(());
    }
    let shown = |path: &std::path::Path| path.display().to_string();
    Err(OpenError::KeysNotApart { data: shown(&layout.data), keys: shown(&layout.keys) })
}

/// One process at a time.
pub(super) fn lock(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<DiskLock, OpenError> {
    let lock = disk.lock_exclusive(&layout.lock()).map_err(io_error("locking the data directory"))?;
    lock.ok_or(OpenError::Locked)
}

fn check_format(disk: &dyn Disk, layout: &Layout) -> Result<(), OpenError> {
    let text = match read_file(disk, &layout.format(), 64) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NotInitialised(layout.data.display().to_string()));
        }
        Err(error) => return Err(io_error("reading the format file")(error)),
    };
    let found = text.strip_prefix("foreseal data ").map(str::trim_end).unwrap_or("unknown");
    if found == DATA_FORMAT.to_string() {
        Ok(())
    } else {
        Err(OpenError::NewerFormat { found: found.to_owned() })
    }
}

impl Ledger {
    /// Opens a ledger and starts its threads.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was signed then.
    pub fn open(
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        options: &LedgerOptions,
    ) -> Result<(Self, OpenReport), OpenError> {
        check_format(&**disk, layout)?;
        check_apart(layout)?;
        Self::open_locked(disk, layout, options, HeadFile::Required, lock(disk, layout)?)
    }

    pub(super) fn open_locked(
        disk: &Arc<dyn Disk>,
        layout: &Layout,
        options: &LedgerOptions,
        head_file: HeadFile,
        lock: DiskLock,
    ) -> Result<(Self, OpenReport), OpenError> {
        // Snapshots are a cache: whoever has deleted them all, their directory too, gets a slower start.
        create_dir_durably(&**disk, &layout.snapshots(), DirMode::Private)
            .map_err(io_error("making the directory of snapshots"))?;
        for directory in [&layout.data, &layout.keys, &layout.snapshots(), &layout.epochs()] {
            remove_stale_temporaries(&**disk, directory).map_err(io_error("removing what a crash left"))?;
        }
        let signer = read_signer(&**disk, layout)?;
        let origin = signer.verifier().name().to_string();
        let keyring = Keyring::open(Arc::clone(disk), layout, &origin)?;
        let head = read_head(&**disk, layout, signer.verifier())?;
        let opening = Opening { disk, layout, options, keyring: &keyring, key: signer.verifier() };
        let restored = opening.restore(head.as_ref().map_or(0, |head| head.size))?;
        check_head(&restored, head.as_ref(), head_file)?;
        let index = Index::open(disk, &layout.index(), restored.tiles.size())?;
        let indexed = catch_up(disk, layout, &index, restored.tiles.size(), restored.recovered.end)?;
        let engine = engine_of(&restored.state.registry)?;
        let epoch = Epoch::new(keyring.open_epoch(restored.key_epoch)?, options.clock.now());
        let size = restored.tiles.size();
        let checkpoint =
            Checkpoint { origin: origin.clone(), size, root: restored.tiles.root(), extensions: Vec::new() };
        // From here on this process signs.
        let note = signer.sign_checkpoint(&checkpoint).map_err(|e| OpenError::LogKey(e.to_string()))?;
        head::write(&**disk, layout, &note).map_err(io_error("writing the head file"))?;
        let published = Published {
            size,
            root: checkpoint.root,
            checkpoint: note.into(),
            last_at: restored.state.chain.last_at(),
            registry: Arc::clone(&restored.state.registry),
        };
        let report = OpenReport {
            size,
            from_snapshot: restored.from_snapshot,
            journal: restored.recovered.clone(),
            indexed,
        };
        let parts = Parts {
            disk: Arc::clone(disk),
            layout: layout.clone(),
            origin,
            signer,
            clock: Arc::clone(&options.clock),
            keyring,
            tiles: restored.tiles,
            index,
            engine: Arc::clone(&engine),
        };
        let shared = Arc::new(Shared::new(parts, published));
        let running = Running {
            state: restored.state,
            engine,
            epoch,
            journal: restored.journal,
            recovered: restored.recovered,
            replayed_bytes: restored.replayed_bytes,
        };
        Ok((start(&shared, running, options, lock)?, report))
    }
}

/// What the threads start with.
struct Running {
    state: State,
    engine: Arc<Engine>,
    epoch: Epoch,
    journal: SegmentedJournal,
    recovered: Recovered,
    replayed_bytes: u64,
}

fn start(
    shared: &Arc<Shared>,
    running: Running,
    options: &LedgerOptions,
    lock: DiskLock,
) -> Result<Ledger, OpenError> {
    let (to_sequencer, commands) = sync_channel(limits::QUEUE_MAX_INTENTS);
    let (to_committer, items) = sync_channel(ITEMS_MAX);
    let (to_behind, work) = sync_channel(BEHIND_MAX);
    let poisoned = Arc::clone(shared);
    let room = frame_room(options.journal.segment_bytes);
    let head = HeadKeeper::start(Arc::clone(&shared.disk), shared.layout.clone(), move |error| {
        poisoned.poison(format!("writing the head file: {error}"));
    });
    let sequencer = Sequencer {
        shared: Arc::clone(shared),
        state: running.state,
        fold_key: shared.keyring.fold_key(),
        engine: running.engine,
        epoch: running.epoch,
        commands,
        items: to_committer,
        entry_room: room,
    };
    let committer = Committer {
        shared: Arc::clone(shared),
        journal: Box::new(running.journal),
        items,
        behind: to_behind.clone(),
        head,
        last_frame: running.recovered.last_frame,
        idle: options.marker_after,
        snapshot_bytes: options.snapshot_bytes,
        since_snapshot: running.replayed_bytes,
        snapshot_asked: false,
        batch_bytes: room.min(limits::BATCH_MAX_BYTES),
        held: None,
    };
    let behind_shared = Arc::clone(shared);
    let behind_to = to_sequencer.clone();
    let threads = Threads {
        sequencer: spawn(shared, "sequencer", move || sequencer.run())?,
        committer: spawn(shared, "committer", move || committer.run())?,
        behind: spawn(shared, "behind", move || behind::run(&behind_shared, &work, &behind_to))?,
        to_behind,
        lock,
    };
    Ok(Ledger::running(Arc::clone(shared), to_sequencer, threads))
}

fn spawn(
    shared: &Arc<Shared>,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, OpenError> {
    let guard = PoisonOnPanic(Arc::clone(shared));
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    let run = move || {
        let _guard = guard;
        run();
    };
    thread.spawn(run).map_err(io_error("starting a thread"))
}

/// Whether an error says that a file is not what it should be, and not that it could not be read this time.
fn shows_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), FileTooLarge | InvalidData | NotFound | UnexpectedEof)
}

/// Whether the journal was read, and does not hold the frame that the snapshot continues after.
fn is_of_another_journal(error: &RecoverError) -> bool {
    match error {
        RecoverError::ResumeMismatch { .. } => true,
        RecoverError::Read(ReadError::Disk { source, .. }) => shows_damage(source),
        RecoverError::Read(_) => true,
        _ => false,
    }
}

fn engine_of(registry: &Registry) -> Result<Arc<Engine>, OpenError> {
    let files = registry.policy().map(|policy| policy.files.clone()).unwrap_or_default();
    Ok(Arc::new(Engine::new(Bundle::load(files)?)?))
}

fn read_head(disk: &dyn Disk, layout: &Layout, key: &VerifierKey) -> Result<Option<Checkpoint>, OpenError> {
    let Some(note) = head::read(disk, layout).map_err(io_error("reading the head file"))? else {
        return Ok(None);
    };
    own_checkpoint(&note, key).map(Some).map_err(OpenError::HeadFile)
}

/// What recovery is given.
struct Opening<'a> {
    disk: &'a Arc<dyn Disk>,
    layout: &'a Layout,
    options: &'a LedgerOptions,
    keyring: &'a Keyring,
    key: &'a VerifierKey,
}

/// What recovery made.
struct Restored {
    state: State,
    tiles: Tiles,
    journal: SegmentedJournal,
    recovered: Recovered,
    from_snapshot: u64,
    replayed_bytes: u64,
    /// The highest key epoch that payloads name.
    key_epoch: Option<u32>,
}

impl Opening<'_> {
    /// From the newest snapshot that fits, or from the beginning.
    fn restore(&self, known_size: u64) -> Result<Restored, OpenError> {
        let files =
            snapshot::list(&**self.disk, &self.layout.snapshots()).map_err(io_error("listing snapshots"))?;
        let mut known_size = known_size;
        for file in files.iter().rev() {
            let read = snapshot::read(&**self.disk, file, self.keyring);
            // A file that cannot be read now may be read next time: it is no reason to throw it away.
            let read = match read {
                Err(SnapshotError::Io(error)) if !shows_damage(&error) => {
                    return Err(io_error("reading a snapshot")(error));
                }
                read => read.ok(),
            };
            if let Some(snapshot) = read {
                // It was written when its leaves were durable and signed: a journal that holds fewer is an older copy.
                known_size = known_size.max(snapshot.edge.size);
                match Tiles::from_saved(self.packs()?, &snapshot.edge) {
                    Ok(tiles) => match self.replay(tiles, &snapshot, known_size) {
                        // The journal does not hold the frame that the snapshot continues after: another may fit.
                        Err(OpenError::Journal(JournalError::Recover(error)))
                            if is_of_another_journal(&error) => {}
                        other => return other,
                    },
                    Err(EdgeError::Unread(why)) => return Err(OpenError::Damaged(why)),
                    Err(EdgeError::Unfit(_)) => {}
                }
            }
            self.discard(file)?;
        }
        self.replay_from(Tiles::empty(self.packs()?), State::default(), &Resume::Beginning, None, known_size)
    }

    /// Removes a snapshot that was passed over. The tiles below it are about to be written again and not synced before
    /// the next snapshot: if that is cut short, this one must not vouch for them.
    fn discard(&self, snapshot: &Path) -> Result<(), OpenError> {
        let removed = self.disk.remove(snapshot);
        removed
            .and_then(|()| self.disk.sync_dir(&self.layout.snapshots()))
            .map_err(io_error("removing a snapshot that does not fit"))
    }

    fn packs(&self) -> Result<Packs, OpenError> {
        let packs = Packs::open(Arc::clone(self.disk), &self.layout.tiles());
        packs.and_then(|packs| packs.prepare().map(|()| packs)).map_err(io_error("opening the tiles"))
    }

    fn replay(&self, tiles: Tiles, snapshot: &Snapshot, known_size: u64) -> Result<Restored, OpenError> {
        let (state, resume) = (snapshot.state.clone(), snapshot.resume.resume());
        self.replay_from(tiles, state, &resume, snapshot.key_epoch, known_size)
    }

    fn replay_from(
        &self,
        tiles: Tiles,
        state: State,
        resume: &Resume,
        mut key_epoch: Option<u32>,
        known_size: u64,
    ) -> Result<Restored, OpenError> {
        let from_snapshot = tiles.size();
        let (keyring, fold_key) = (self.keyring, self.keyring.fold_key());
        let mut replay = Replay { state, tiles, keyring, fold_key, key: self.key, bytes: 0 };
        let (journal, recovered) = SegmentedJournal::open(
            Arc::clone(self.disk),
            &self.layout.journal(),
            &self.options.journal,
            self.keyring.frame_key(),
            resume,
            known_size,
            &mut |_, frame| {
                key_epoch = key_epoch.max(frame.payloads().map(|payload| payload.key_epoch).max());
                replay.frame(frame)
            },
        )?;
        replay.tiles.write_behind().map_err(io_error("writing tiles"))?;
        let Replay { state, tiles, bytes: replayed_bytes, .. } = replay;
        Ok(Restored { state, tiles, journal, recovered, from_snapshot, replayed_bytes, key_epoch })
    }
}
