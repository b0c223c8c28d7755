//! What an appending log must remember: one hash for each one-bit of its size.

use super::hash::{Hash, empty_root, node_hash};

/// Largest size a [`Frontier`] accepts from outside: 2^62 leaves. No log gets there, and above it `size + 1` and shifts
/// of it would need care everywhere.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// The right edge of a tree: the roots of the perfect subtrees that its size decomposes into, largest first.
///
/// Size 7 = 4 + 2 + 1 has three of them. Appending is amortised one hash; the root of the current size is a fold of
/// at most 62.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

/// Why stored nodes are not a [`Frontier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// A size has as many perfect subtrees as it has one-bits.
    #[error("the frontier of a tree of size {size} has {expected} nodes, not {got}")]
    NodeCount {
        /// The size claimed.
        size: u64,
        /// Its number of one-bits.
        expected: u32,
        /// How many nodes came with it.
        got: usize,
    },
    /// Beyond [`MAX_TREE_SIZE`].
    #[error("a tree of size {size} is beyond the limit of {MAX_TREE_SIZE}")]
    TooLarge {
        /// The size claimed.
        size: u64,
    },
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub const fn new() -> Frontier {
        Frontier { size: 0, nodes: Vec::new() }
    }

    /// Takes up a stored frontier: `nodes` as [`Frontier::nodes`] gave them at `size`. Whether they are the right
    /// ones only the root can tell: compare [`Frontier::root`] with a signed one.
    ///
    /// # Errors
    /// Where the number of nodes is not that of the size, or the size is beyond [`MAX_TREE_SIZE`].
    pub fn from_nodes(size: u64, nodes: Vec<Hash>) -> Result<Frontier, FrontierError> {
        if size > MAX_TREE_SIZE {
            return Err(FrontierError::TooLarge { size });
        }
        let expected = size.count_ones();
        if u32::try_from(nodes.len()) != Ok(expected) {
            return Err(FrontierError::NodeCount { size, expected, got: nodes.len() });
        }
        Ok(Frontier { size, nodes })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees of the size, largest (leftmost) first: one for each one-bit.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Appends one leaf, given as its [leaf hash](super::leaf_hash).
    pub fn append(&mut self, leaf: Hash) {
        // Every trailing one-bit of the old size is a perfect subtree as large as what has just been built.
        let mut built = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                built = node_hash(&left, &built);
            }
        }
        self.nodes.push(built);
        // Cannot overflow: sizes start at MAX_TREE_SIZE at most, and grow by one.
        self.size += 1;
    }

    /// The root of the tree of the current size.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.nodes).unwrap_or_else(empty_root)
    }
}

/// The root above perfect subtrees of strictly falling sizes: the smallest two are joined first. `None` without any.
pub(super) fn fold(nodes: &[Hash]) -> Option<Hash> {
    nodes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

#[cfg(test)]
mod tests {
    use super::super::leaf_hash;
    use super::*;

    #[test]
    fn it_holds_one_node_for_each_one_bit_and_can_be_taken_up_anywhere() {
        let mut whole = Frontier::new();
        let mut resumed = Frontier::new();
        for i in 0_u64..600 {
            assert_eq!(whole.nodes().len(), usize::try_from(i.count_ones()).unwrap());
            assert_eq!(whole, resumed);
            whole.append(leaf_hash(&i.to_be_bytes()));
            resumed.append(leaf_hash(&i.to_be_bytes()));
            resumed = Frontier::from_nodes(resumed.size(), resumed.nodes().to_vec()).unwrap();
        }
        assert_eq!(whole.root(), resumed.root());
    }

    #[test]
    fn nodes_that_cannot_be_of_that_size_are_refused() {
        let h = leaf_hash(b"");
        assert!(Frontier::from_nodes(0, vec![]).is_ok());
        assert!(Frontier::from_nodes(0, vec![h]).is_err());
        assert!(Frontier::from_nodes(5, vec![h]).is_err());
        assert!(Frontier::from_nodes(5, vec![h; 3]).is_err());
        assert_eq!(
            Frontier::from_nodes(u64::MAX, vec![h; 64]).unwrap_err(),
            FrontierError::TooLarge { size: u64::MAX }
        );
        let mut largest = Frontier::from_nodes(MAX_TREE_SIZE, vec![h]).unwrap();
        largest.append(h);
        assert_eq!(largest.root(), node_hash(&h, &h));
    }
}
