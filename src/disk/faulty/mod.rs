//! The simulated disk for tests: in memory, deterministic by its seed, able to fail in every way a disk can.
//!
//! # The model
//! - A file's bytes are volatile in 4 KiB pages from the write to the file's sync. On a power cut any subset of
//!   the volatile pages has reached the disk, each possibly torn between its 512-byte sectors. Its length is
//!   volatile likewise, and apart from the pages.
//! - A name (creation, removal, rename) is volatile until its directory is synced. On a power cut any subset
//!   of the volatile changes has reached the disk; a rename's two sides go together. This is harsher than any
//!   journaling file system.
//! - A failed sync makes a random part durable; the rest stays visible, is clean, and is lost
//!   with the power or when [`FaultyDisk::evict_clean_pages`] drops it from the cache.
//! - A killed process loses its handles and locks, not the system's cache.
//!
//! Not modelled: sectors that tear within themselves, directories renamed, modes, hard links, time.

mod file;
mod inode;
mod plan;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DirMode, Disk, DiskFile, DiskLock, EntryKind, Held, OpenMode};
use file::FaultyFile;
pub use plan::{Fault, Op, OpKind, OpOutcome, Survival, Trigger, Volatile};
use state::{Node, Power, State, eio, normal};

/// A disk in memory. Clones are the same disk; [`FaultyDisk::snapshot`] is another one.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    state: Shared,
}

impl FaultyDisk {
    /// An empty disk. The seed decides what survives power cuts and failed syncs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Shared::new(State::new(seed)) }
    }

    /// Plans a fault. Several may be planned; the first that fits an operation strikes it.
    pub fn inject(&self, at: Trigger, fault: Fault) {
        self.state.lock().plan(at, fault);
    }

    /// How many operations of any kind were begun since the start or restart: what [`Trigger::Any`] counts.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().ops.len() as u64
    }

    /// How many of them change something or sync: what [`Trigger::Mutation`] counts.
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.state.lock().mutations
    }

    /// All operations since the start or restart, in order.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        self.state.lock().ops.clone()
    }

    /// Limits the bytes in all files together; writes beyond do what fits and then fail. `None`: no limit.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state.lock().space = bytes;
    }

    /// The power goes; the seed decides what survives. Everything fails from then on; see
    /// [`FaultyDisk::restart`]. A second cut changes nothing.
    pub fn power_cut(&self) {
        self.state.lock().power_cut_by_seed();
    }

    /// The power goes; the caller decides for each volatile thing, asked in the order of
    /// [`FaultyDisk::volatile`].
    pub fn power_cut_with(&self, mut decide: impl FnMut(&Volatile) -> Survival) {
        self.state.lock().power_cut(&mut decide);
    }

    /// What is not durable at this moment.
    #[must_use]
    pub fn volatile(&self) -> Vec<Volatile> {
        self.state.lock().volatile()
    }

    /// The disk as the next process finds it: after a power cut what survived, otherwise what the killed process
    /// left in the system's cache. No plan, no operations, no locks. This view, its clones and its files fail
    /// from now on.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut state = self.state.lock();
        let next = state.for_next_process();
        state.power = Power::Restarted;
        Self { state: Shared::new(next) }
    }

    /// A copy of the disk as it is now, to be put back later: an older backup. The original lives on.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { state: Shared::new(self.state.lock().for_next_process()) }
    }

    /// The system drops all clean pages from its cache: what failed syncs lost shows.
    pub fn evict_clean_pages(&self) {
        self.state.lock().inodes.values_mut().for_each(inode::Inode::evict_clean);
    }

    /// Turns one bit of a file over, in cache and on disk. False if there is no such file or byte.
    #[must_use = "a test that flips nothing tests nothing"]
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let mut state = self.state.lock();
        let Some((id, at)) = state.file_id(path).zip(usize::try_from(offset).ok()) else { return false };
        state.inode_mut(id).is_ok_and(|inode| inode.flip_bit(at, bit))
    }

    /// The paths of all files, sorted, without the leading `/`.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state.lock().files().map(|(path, _)| path.to_path_buf()).collect()
    }

    /// A file's bytes as reads show them. Not an operation: counted nowhere, struck by nothing.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        Some(state.inode(state.file_id(path)?).ok()?.shown().to_vec())
    }

    /// A file's bytes as the disk holds them.
    #[must_use]
    pub fn durable_contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        Some(state.inode(state.file_id(path)?).ok()?.on_disk().to_vec())
    }

    /// Puts a durable file there, with its directories, replacing what had the name. Not an operation.
    ///
    /// # Errors
    /// `InvalidInput` for a path with `..`.
    pub fn place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let path = normal(path)?;
        self.state.lock().place(&path, bytes);
        Ok(())
    }
}

/// The state behind its lock, shared by the disk's clones, files and locks.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// A test that panicked elsewhere must still be able to print the operations.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation under the plan. `effect` is told of faults that only it can carry out
    /// ([`Fault::Torn`], [`Fault::FailSync`]). `lie` is what to answer when nothing is done, if that is possible.
    fn run<T>(
        &self,
        op: (OpKind, &Path, u64, u64),
        lie: Option<T>,
        effect: impl FnOnce(&mut State, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        let (kind, path, offset, len) = op;
        let Some(fault) = state.begin(kind, path, offset, len)? else {
            let result = effect(&mut state, None);
            state.end(match &result {
                Ok(_) => OpOutcome::Done,
                Err(error) => OpOutcome::Failed(error.to_string()),
            });
            return result;
        };
        state.end(OpOutcome::Struck(fault));
        match fault {
            Fault::Torn { .. } if kind == OpKind::Write => effect(&mut state, Some(fault)),
            Fault::FailSync if kind.is_sync() => effect(&mut state, Some(fault)),
            Fault::Error | Fault::Torn { .. } | Fault::FailSync => Err(eio("EIO")),
            Fault::ErrorButDone => {
                effect(&mut state, None)?;
                Err(eio("EIO, though it was done"))
            }
            Fault::Lie => lie.ok_or_else(|| eio("EIO")),
            Fault::PowerCut => {
                if !kind.is_sync() {
                    // An operation that fails by itself changes nothing; the power goes all the same.
                    let _ = effect(&mut state, None);
                }
                state.power_cut_by_seed();
                Err(eio("the power is gone"))
            }
            Fault::NoSpace => Err(io::ErrorKind::StorageFull.into()),
            Fault::Freeze => {
                state.power = Power::Frozen;
                Err(eio("the disk is gone"))
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let path = normal(path)?;
        let kind = match mode {
            OpenMode::Read => OpKind::OpenRead,
            OpenMode::ReadWrite => OpKind::OpenWrite,
            OpenMode::CreateNew(_) => OpKind::CreateNew,
        };
        let inode = self.state.run((kind, &path, 0, 0), None, |state, _| {
            match (kind == OpKind::CreateNew, state.lookup(&path)) {
                (true, Some(_)) => Err(io::ErrorKind::AlreadyExists.into()),
                (true, None) => {
                    state.parent_directory(&path)?;
                    Ok(state.create_file(&path))
                }
                (false, Some(Node::File(id))) => Ok(id),
                (false, Some(Node::Directory)) => Err(io::ErrorKind::IsADirectory.into()),
                (false, None) => Err(state.missing(&path)),
            }
        })?;
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(FaultyFile { state: self.state.clone(), path: path.into(), inode, writable }))
    }

    fn create_dir_all(&self, path: &Path, _mode: DirMode) -> io::Result<()> {
        let path = normal(path)?;
        self.state.run((OpKind::CreateDir, &path, 0, 0), None, |state, _| {
            let mut above = path.ancestors().collect::<Vec<_>>();
            above.reverse();
            for dir in above {
                match state.lookup(dir) {
                    Some(Node::Directory) => {}
                    Some(Node::File(_)) if *dir == path => return Err(io::ErrorKind::AlreadyExists.into()),
                    Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                    None => state.change(&[(dir, Some(Node::Directory))]),
                }
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from)?, normal(to)?);
        self.state.run((OpKind::Rename, &from, 0, 0), None, |state, _| {
            state.parent_directory(&from)?;
            state.parent_directory(&to)?;
            let id = match state.lookup(&from) {
                Some(Node::File(id)) => id,
                Some(Node::Directory) => return Err(io::ErrorKind::Unsupported.into()),
                None => return Err(state.missing(&from)),
            };
            if state.lookup(&to) == Some(Node::Directory) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if from != to {
                state.change(&[(&from, None), (&to, Some(Node::File(id)))]);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path)?;
        self.state.run((OpKind::Remove, &path, 0, 0), None, |state, _| match state.lookup(&path) {
            Some(Node::File(_)) => {
                state.change(&[(&path, None)]);
                Ok(())
            }
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(state.missing(&path)),
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = normal(path)?;
        self.state.run((OpKind::ReadDir, &path, 0, 0), None, |state, _| {
            state.directory(&path)?;
            let mut names = state.children(&path);
            names.sort_unstable();
            Ok(names)
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = normal(path)?;
        self.state.run((OpKind::SyncDir, &path, 0, 0), Some(()), |state, fault| {
            state.directory(&path)?;
            if fault.is_some() {
                state.fail_sync_dir(&path);
                return Err(eio("EIO from fsync of a directory"));
            }
            state.sync_dir(&path);
            Ok(())
        })
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let path = normal(path)?;
        self.state.run((OpKind::Kind, &path, 0, 0), None, |state, _| {
            Ok(state.lookup(&path).map(|node| match node {
                Node::File(_) => EntryKind::File,
                Node::Directory => EntryKind::Directory,
            }))
        })
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        let path = normal(path)?;
        let taken = self.state.run((OpKind::Lock, &path, 0, 0), None, |state, _| {
            match state.lookup(&path) {
                Some(Node::File(_)) => {}
                Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
                None => {
                    state.parent_directory(&path)?;
                    state.create_file(&path);
                }
            }
            Ok(state.locks.insert(path.clone()))
        })?;
        Ok(taken.then(|| DiskLock::holding(HeldLock { state: self.state.clone(), path })))
    }
}

struct HeldLock {
    state: Shared,
    path: PathBuf,
}

impl Held for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.path);
    }
}
