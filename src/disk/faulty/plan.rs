//! What can go wrong, when it is to go wrong, and the record of what was done.

use std::fmt;
use std::path::PathBuf;

/// What is done to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and it says so (EIO).
    Error,
    /// It happens, and an error is reported all the same: the caller cannot know.
    ErrorButDone,
    /// Of a write only the first `sectors` sectors of 512 bytes happen, then an error.
    /// Any other operation: as [`Fault::Error`].
    Torn {
        /// How many whole sectors of this write are done.
        sectors: usize,
    },
    /// A sync fails: some of what it covers became durable, the rest is lost, reads still show all of it, and
    /// no later sync will say so. Any other operation: as [`Fault::Error`].
    FailSync,
    /// A sync, write or set-length reports success and does nothing. No software can survive this one; it
    /// shows what the checksums notice. Any other operation: as [`Fault::Error`].
    Lie,
    /// The operation takes effect in memory as far as it needs no disk, then the power goes
    /// (as [`super::FaultyDisk::power_cut`]).
    PowerCut,
    /// Nothing happens, the disk is full (ENOSPC).
    NoSpace,
    /// This and every later operation fails: the process has lost its disk, or hangs until it is killed.
    Freeze,
}

/// Which operation a fault strikes. Both count from 0 since the disk was made or restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The n-th operation that changes something or syncs.
    Mutation(u64),
    /// The n-th operation of any kind, reads included.
    Any(u64),
}

/// The operations, for the log and for telling what changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    /// A file opened for reading.
    OpenRead,
    /// A file opened for reading and writing.
    OpenWrite,
    /// A file created.
    CreateNew,
    /// Directories created.
    CreateDir,
    /// A file renamed.
    Rename,
    /// A file's name removed.
    Remove,
    /// A directory listed.
    ReadDir,
    /// A directory synced.
    SyncDir,
    /// A path looked up.
    Kind,
    /// A lock tried.
    Lock,
    /// A file's length asked.
    Len,
    /// Bytes read.
    Read,
    /// Bytes written.
    Write,
    /// A file's length set.
    SetLen,
    /// A file synced, with or without metadata.
    SyncFile,
}

impl OpKind {
    /// Whether it changes something, or makes a change durable.
    #[must_use]
    pub fn is_mutation(self) -> bool {
        match self {
            Self::OpenRead | Self::OpenWrite | Self::ReadDir | Self::Kind | Self::Len | Self::Read => false,
            Self::CreateNew
            | Self::CreateDir
            | Self::Rename
            | Self::Remove
            | Self::SyncDir
            | Self::Lock
            | Self::Write
            | Self::SetLen
            | Self::SyncFile => true,
        }
    }

    /// Whether it is what makes earlier changes durable.
    #[must_use]
    pub fn is_sync(self) -> bool {
        matches!(self, Self::SyncDir | Self::SyncFile)
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpOutcome {
    /// Still running, or cut short by a panic.
    Begun,
    /// As it should.
    Done,
    /// With an error of its own, such as `NotFound`.
    Failed(String),
    /// Struck by the plan.
    Struck(Fault),
    /// Refused, because the disk is frozen, without power or restarted elsewhere.
    Gone,
}

/// One operation, for failures that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// What was asked.
    pub kind: OpKind,
    /// Of what; of a rename the old name.
    pub path: PathBuf,
    /// From which byte on; the length for `SetLen`; 0 where that means nothing.
    pub offset: u64,
    /// How many bytes; 0 where that means nothing.
    pub len: u64,
    /// How it ended.
    pub outcome: OpOutcome,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, offset, len, outcome } = self;
        write!(f, "{kind:?} {} {offset}+{len}: {outcome:?}", path.display())
    }
}

/// Something that is not durable yet, and may or may not survive a loss of power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volatile {
    /// One change of names: a creation, a removal, or both sides of a rename.
    Names(Vec<PathBuf>),
    /// A file's length. The path is one that it had, for reading along.
    Length(PathBuf),
    /// A 4 KiB page of a file, by number.
    Page(PathBuf, u64),
}

/// What becomes of a [`Volatile`] thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// It had reached the disk.
    Kept,
    /// It had not.
    Lost,
    /// Of a page only the sectors whose bit is set (bit 0 is the first 512 bytes) had; of a length, it is
    /// somewhere between old and new; names are kept.
    Sectors(u8),
}
