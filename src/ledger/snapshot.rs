//! Snapshots of the folded state, so that a restart replays little.
//!
//! A snapshot is a cache: it is used only if it authenticates, its edge hashes to a root that the tiles confirm, and the
//! journal still holds the frame it continues after. Names are in it, so it is encrypted.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keyring::{Keyring, KeyringError};
use super::state::State;
use super::tiles::SavedEdge;
use crate::disk::{Disk, FileMode, read_file, write_file_atomically};
use crate::journal::{Position, Resume};

const MAGIC: &[u8; 8] = b"FSNAP02\n";
const PURPOSE: &str = "snapshot";
const KEPT: usize = 2;
/// 100,000 agents with long names and a large policy stay below this.
const SNAPSHOT_MAX_BYTES: u64 = 256 << 20;

/// The state after some number of leaves, and where in the journal it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The right edge of the tree.
    pub edge: SavedEdge,
    /// The folded state.
    pub state: State,
    /// The frame it continues after.
    pub resume: SavedResume,
    /// The highest key epoch that payloads before it may name.
    pub key_epoch: Option<u32>,
}

/// A frame to continue after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedResume {
    segment: u64,
    offset: u64,
    hash: [u8; 32],
}

impl SavedResume {
    /// After this frame, known by its hash.
    #[must_use]
    pub fn after(frame: Position, hash: [u8; 32]) -> Self {
        Self { segment: frame.segment, offset: frame.offset, hash }
    }

    /// As the journal takes it.
    #[must_use]
    pub fn resume(&self) -> Resume {
        Resume::After { frame: Position { segment: self.segment, offset: self.offset }, hash: self.hash }
    }
}

/// Why a snapshot was not used or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file could not be read or written.
    #[error("snapshot file: {0}")]
    Io(#[from] io::Error),
    /// It does not authenticate under the key-encryption key.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Its checksum or form is wrong.
    #[error("the snapshot is damaged")]
    Damaged,
}

/// Writes a snapshot and keeps the newest two.
///
/// # Errors
/// [`SnapshotError`]
pub fn write(
    disk: &dyn Disk,
    directory: &Path,
    keyring: &Keyring,
    snapshot: &Snapshot,
) -> Result<(), SnapshotError> {
    let plain = postcard::to_stdvec(snapshot).map_err(|_| SnapshotError::Damaged)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&keyring.seal_own(PURPOSE, &plain)?);
    // For who holds no key: rot shows without decrypting.
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    let path = directory.join(format!("{:020}.snap", snapshot.edge.size));
    write_file_atomically(disk, &path, &bytes, FileMode::Private)?;
    let files = list(disk, directory)?;
    let superseded = files.len().saturating_sub(KEPT);
    for old in files.iter().take(superseded) {
        disk.remove(old)?;
    }
    if superseded > 0 {
        disk.sync_dir(directory)?;
    }
    Ok(())
}

/// Snapshot files, oldest first; none where there is no place for them.
///
/// # Errors
/// What the system says.
pub fn list(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
    if !disk.exists(directory)? {
        return Ok(Vec::new());
    }
    let mut names = disk.read_dir(directory)?;
    names.retain(|name| name.ends_with(".snap"));
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// Reads a snapshot.
///
/// # Errors
/// [`SnapshotError`]
pub fn read(disk: &dyn Disk, path: &Path, keyring: &Keyring) -> Result<Snapshot, SnapshotError> {
    let bytes = read_file(disk, path, SNAPSHOT_MAX_BYTES)?;
    let sealed = checked(&bytes)?;
    let plain = keyring.open_own(PURPOSE, sealed)?;
    postcard::from_bytes(&plain).map_err(|_| SnapshotError::Damaged)
}

/// Whether a snapshot file is whole, as far as one without keys can tell.
///
/// # Errors
/// [`SnapshotError`]
pub fn check(disk: &dyn Disk, path: &Path) -> Result<(), SnapshotError> {
    let bytes = read_file(disk, path, SNAPSHOT_MAX_BYTES)?;
    checked(&bytes).map(drop)
}

fn checked(bytes: &[u8]) -> Result<&[u8], SnapshotError> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(SnapshotError::Damaged)?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*sum) {
        return Err(SnapshotError::Damaged);
    }
    body.strip_prefix(MAGIC).ok_or(SnapshotError::Damaged)
}
