//! Reading a data directory that no service has open: leaves from the journal, nothing believed, nothing written.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::layout::Layout;
use crate::disk::Disk;
use crate::journal::{Position, ReadError, frames_from};
use crate::merkle::{Hash, NodeReader, consistency_proof as prove, leaf_hash, node_hash};

/// Whether a directory is a ledger's data directory.
#[must_use]
pub fn is_data_directory(disk: &dyn Disk, path: &Path) -> bool {
    let layout = Layout::new(path, None);
    // By either: a directory that lost its format file is a damaged ledger, not another kind of directory.
    [layout.format(), layout.journal()].iter().any(|path| disk.exists(path).unwrap_or(false))
}

/// Visits the journal's leaves in order until told to stop, with the checkpoint of the frame that holds them.
///
/// # Errors
/// [`ReadError`] where the journal cannot be read on.
pub fn for_each_leaf(
    disk: &dyn Disk,
    data: &Path,
    visit: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let journal = Layout::new(data, None).journal();
    for frame in frames_from(disk, &journal, Position { segment: 0, offset: 0 })? {
        let (_, frame) = frame?;
        for (index, entry) in (frame.header().first_index..).zip(frame.entries()) {
            if visit(index, entry).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The newest checkpoint in the journal: that of the last frame. `None` in an empty journal.
///
/// # Errors
/// [`ReadError`] where the journal cannot be read on.
pub fn last_checkpoint(disk: &dyn Disk, data: &Path) -> Result<Option<String>, ReadError> {
    let journal = Layout::new(data, None).journal();
    let mut last = None;
    for frame in frames_from(disk, &journal, Position { segment: 0, offset: 0 })? {
        let (_, frame) = frame?;
        last = Some(String::from_utf8_lossy(frame.checkpoint()).into_owned());
    }
    Ok(last)
}

/// As [`last_checkpoint`], of a journal whose end is torn: that of the last whole frame.
///
/// # Errors
/// [`ReadError`] where there is no journal.
pub fn last_whole_checkpoint(disk: &dyn Disk, data: &Path) -> Result<Option<String>, ReadError> {
    let journal = Layout::new(data, None).journal();
    let frames = frames_from(disk, &journal, Position { segment: 0, offset: 0 })?;
    let last = frames.map_while(Result::ok).last();
    Ok(last.map(|(_, frame)| String::from_utf8_lossy(frame.checkpoint()).into_owned()))
}

/// Why no proof was made from a data directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtRestError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log is smaller than what was asked for.
    #[error("the data directory holds {0} leaves, fewer than the checkpoint covers")]
    TooSmall(u64),
    /// The sizes are of no proof.
    #[error("{0}")]
    Proof(String),
}

/// A consistency proof from the leaves of a data directory. Holds 64 bytes a leaf while it works.
///
/// # Errors
/// [`AtRestError`]
pub fn consistency_proof(
    disk: &Arc<dyn Disk>,
    data: &Path,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, AtRestError> {
    let mut tree = HashTree { levels: vec![Vec::new()] };
    let mut count = 0;
    for_each_leaf(&**disk, data, &mut |_, entry| {
        if count == to {
            return ControlFlow::Break(());
        }
        tree.append(leaf_hash(entry));
        count += 1;
        ControlFlow::Continue(())
    })?;
    if count < to {
        return Err(AtRestError::TooSmall(count));
    }
    prove(&tree, from, to).map_err(|e| AtRestError::Proof(e.to_string()))
}

/// All perfect subtrees' hashes, by level.
struct HashTree {
    levels: Vec<Vec<Hash>>,
}

impl HashTree {
    fn append(&mut self, leaf: Hash) {
        let mut carried = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(carried);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => carried = node_hash(left, right),
                _ => return,
            }
        }
    }
}

impl NodeReader for HashTree {
    type Error = &'static str;

    fn node(&self, level: u8, index: u64) -> Result<Hash, &'static str> {
        let row = self.levels.get(usize::from(level));
        let node = row.and_then(|row| row.get(usize::try_from(index).ok()?));
        node.copied().ok_or("there is no such node")
    }
}
