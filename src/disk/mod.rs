//! Files, directories, locks and fsync: the one room that touches `std::fs`.
//!
//! **Does**: name the handful of file operations that the rest of the crate needs ([`Disk`], [`DiskFile`]),
//! perform them on the machine ([`RealDisk`]) or in memory with every fault a disk can have ([`FaultyDisk`]),
//! and offer the few sequences whose order matters ([`write_file_atomically`], [`create_dir_durably`]).
//!
//! **Does not**: know what the bytes mean, retry anything, buffer, or decide what a failure is worth. In
//! particular a failed sync is handed up as it is: whoever gets one must stop writing (promise 3).
//!
//! **May use**: no other room.
//!
//! **Invariants**
//! - Nothing is durable before the matching sync returned `Ok`: bytes and length by
//!   [`DiskFile::sync_data`], names by [`Disk::sync_dir`] of the directory that holds them.
//! - Everything here is usable as `Arc<dyn Disk>`, from any thread.
//! - [`RealDisk`] and [`FaultyDisk`] without faults answer the same (`tests/disk_faults.rs`).
//!
//! Unix only, for positioned reads and writes and for file modes.

mod faulty;
mod real;
mod scratch;
mod whole_file;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use faulty::{Fault, FaultyDisk, Op, OpKind, OpOutcome, Survival, Trigger, Volatile};
pub use real::RealDisk;
pub use scratch::{ScratchDirectory, bytes_below, system_text};
pub use whole_file::{
    TEMPORARY_SUFFIX, create_dir_durably, read_file, remove_stale_temporaries, temporary_path,
    write_file_atomically, write_new_file,
};

/// Who may read a file that is created. An existing file keeps the mode it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// As the process's umask says.
    Shared,
    /// Owner only, 0600: whatever holds a secret.
    Private,
}

/// Who may enter a directory that is created. An existing directory keeps the mode it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirMode {
    /// As the process's umask says.
    Shared,
    /// Owner only, 0700: whatever holds secrets.
    Private,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A file that must not exist yet, for reading and writing.
    CreateNew(FileMode),
}

/// What a path names. Symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something else: a socket, a device.
    Other,
}

/// A disk: names, and the files behind them.
///
/// Every method may fail with whatever the operating system says; what is listed per method is what callers
/// may rely on. No method makes anything durable but [`Disk::sync_dir`].
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens or creates one file.
    ///
    /// # Errors
    /// `NotFound` (for `CreateNew`: the directory is missing), `AlreadyExists` for `CreateNew`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and those above it that are missing. An existing directory is fine.
    /// Not durable: see [`create_dir_durably`].
    ///
    /// # Errors
    /// If a file is in the way.
    fn create_dir_all(&self, path: &Path, mode: DirMode) -> io::Result<()>;

    /// Gives a *file* another name, replacing what had that name, atomically for whoever looks.
    /// Renaming directories is not part of this seam.
    ///
    /// # Errors
    /// `NotFound`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Handles that are open stay usable.
    ///
    /// # Errors
    /// `NotFound`; directories are refused.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted by byte order.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`; `InvalidData` for a name that is not UTF-8 (nothing of ours has one).
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes all names created, changed and removed in this directory durable.
    ///
    /// # Errors
    /// After an error nothing is known about them.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// What a path names; `None` if nothing.
    ///
    /// # Errors
    /// If it cannot be told, which is never to be read as "nothing".
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// Takes the exclusive lock that goes with this path, creating the file if need be, without waiting.
    /// `None`: somebody else holds it. The lock ends with the guard or the process, whichever is first.
    ///
    /// # Errors
    /// `NotFound` if the directory is missing.
    fn lock_exclusive(&self, path: &Path) -> io::Result<Option<DiskLock>>;

    /// Whether a path names anything.
    ///
    /// # Errors
    /// As for [`Disk::kind`].
    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.kind(path)?.is_some())
    }
}

/// An open file. Positions and lengths are bytes.
#[expect(clippy::len_without_is_empty, reason = "a fallible question about a file, not a collection")]
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// The file's present length.
    ///
    /// # Errors
    /// As the system says.
    fn len(&self) -> io::Result<u64>;

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; the buffer's content is then unspecified.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all bytes from `offset` on, growing the file if they reach beyond its end; a gap reads as zeros.
    ///
    /// # Errors
    /// After an error any part of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    /// As the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes bytes and length durable (fdatasync).
    ///
    /// # Errors
    /// After an error any part of what was written since the last successful sync may be lost *although reads
    /// still show it*, and a second call may well answer `Ok`. Never call it again: poison, stop, recover.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes bytes, length and the rest of the metadata durable (fsync).
    ///
    /// # Errors
    /// As for [`DiskFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;
}

/// An exclusive lock, released when dropped.
pub struct DiskLock {
    // Never read: what it holds open is the lock.
    _held: Box<dyn Held>,
}

/// Whatever keeps a lock taken for as long as it lives.
trait Held: Send + Sync {}

impl DiskLock {
    fn holding(held: impl Held + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskLock")
    }
}
