//! Proofs made from stored nodes: which nodes a proof needs, and in which order.

use super::frontier::fold;
use super::hash::{Hash, empty_root};

/// Where the nodes of a tree are kept: tiles on disk, tiles over a network, or memory.
pub trait NodeReader {
    /// Why a node could not be had.
    type Error;

    /// The hash of the perfect subtree over the leaves `index << level .. (index + 1) << level`. Asked only for subtrees
    /// that lie wholly inside the size a proof is about.
    ///
    /// # Errors
    /// Whatever keeps the reader from answering; it ends the proof as [`ProveError::Read`].
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

impl<R: NodeReader + ?Sized> NodeReader for &R {
    type Error = R::Error;

    fn node(&self, level: u8, index: u64) -> Result<Hash, R::Error> {
        (**self).node(level, index)
    }
}

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// There is no such leaf in a tree of that size.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexBeyondSize {
        /// The leaf asked for.
        index: u64,
        /// The size asked for.
        size: u64,
    },
    /// A tree cannot be shown to have shrunk.
    #[error("no consistency proof leads from size {from} back to size {to}")]
    SizesReversed {
        /// The older size asked for.
        from: u64,
        /// The newer size asked for.
        to: u64,
    },
    /// There is no such range in a tree of that size, or there is nothing in it.
    #[error("leaves {start} to {end} are no range of a tree of size {size}")]
    RangeBeyondSize {
        /// The first leaf asked for.
        start: u64,
        /// The leaf behind the last one.
        end: u64,
        /// The size asked for.
        size: u64,
    },
    /// The reader failed.
    #[error("node {index} of level {level} could not be read: {source}")]
    Read {
        /// Level of the node: its subtree has 2^level leaves.
        level: u8,
        /// Index of the node within its level.
        index: u64,
        /// What the reader said.
        source: E,
    },
}

/// The root of the tree of the first `size` leaves. Reads at most one node for each one-bit of `size`.
///
/// # Errors
/// [`ProveError::Read`].
pub fn root_at<R: NodeReader>(reader: &R, size: u64) -> Result<Hash, ProveError<R::Error>> {
    if size == 0 { Ok(empty_root()) } else { range_root(reader, 0, size) }
}

/// The audit path of leaf `index` in the tree of the first `size` leaves, from the leaf's sibling up to the root's child
/// (RFC 9162 §2.1.3.1).
///
/// # Errors
/// [`ProveError::IndexBeyondSize`] for `index >= size`, [`ProveError::Read`].
pub fn inclusion_proof<R: NodeReader>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if index >= size {
        return Err(ProveError::IndexBeyondSize { index, size });
    }
    let mut path = Vec::new();
    // Descend from the root, keeping `start <= index < end`; what is left aside at each step is one hash of the path.
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(reader, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of the first `from` leaves is a prefix of the tree of the first `to` leaves (RFC 9162
/// §2.1.4.1). Empty for `from == to` and for `from == 0`, where there is nothing to show.
///
/// # Errors
/// [`ProveError::SizesReversed`] for `from > to`, [`ProveError::Read`].
pub fn consistency_proof<R: NodeReader>(
    reader: &R,
    from: u64,
    to: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if from > to {
        return Err(ProveError::SizesReversed { from, to });
    }
    let mut path = Vec::new();
    if from == 0 {
        return Ok(path);
    }
    // Descend towards the old tree's right edge until a subtree ends exactly there.
    let (mut start, mut end) = (0, to);
    while end != from {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(reader, start, middle)?);
            start = middle;
        }
    }
    // A subtree that starts at 0 is the old tree itself, whose root the verifier holds.
    if start != 0 {
        path.push(range_root(reader, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Where a tree of `leaves > 1` splits: the largest power of two below `leaves`.
pub(super) const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root over the leaves `start .. end`, for a range that is a subtree of the RFC's recursion: `start` is a multiple
/// of every power of two in `end - start`, so that the range is perfect subtrees of falling sizes.
pub(super) fn range_root<R: NodeReader>(
    reader: &R,
    start: u64,
    end: u64,
) -> Result<Hash, ProveError<R::Error>> {
    let mut nodes = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        let index = at >> level;
        // `ilog2` of a u64 is at most 63.
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let node = reader.node(level, index).map_err(|source| ProveError::Read { level, index, source })?;
        nodes.push(node);
        at += 1 << level;
    }
    Ok(fold(&nodes).unwrap_or_else(empty_root))
}
