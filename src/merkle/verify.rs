//! Proofs verified, with nothing but the roots: RFC 9162 §2.1.3.2 and §2.1.4.2.

use super::hash::{Hash, empty_root, node_hash};

/// Why a proof proves nothing. Each of these means: do not believe the claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no such leaf in a tree of that size; a tree of size 0 has none.
    #[error("leaf {index} cannot be in a tree of size {size}")]
    IndexBeyondSize {
        /// The leaf claimed.
        index: u64,
        /// The size claimed.
        size: u64,
    },
    /// There is no such range in a tree of that size, or there is nothing in it.
    #[error("leaves {start} to {end} are no range of a tree of size {size}")]
    RangeBeyondSize {
        /// The first leaf claimed.
        start: u64,
        /// The leaf behind the last one.
        end: u64,
        /// The size claimed.
        size: u64,
    },
    /// Leaves of a range are missing, or there are too many.
    #[error("the range has {expected} leaves, and other ones were given")]
    LeafCount {
        /// How many the range has.
        expected: u64,
    },
    /// A tree never shrinks.
    #[error("a tree of size {to} cannot continue one of size {from}")]
    SizesReversed {
        /// The older size claimed.
        from: u64,
        /// The newer size claimed.
        to: u64,
    },
    /// The path ends before it reaches the root.
    #[error("the proof ends after {got} hashes and does not reach the root")]
    TooShort {
        /// Hashes the proof has.
        got: usize,
    },
    /// The path goes on after the root.
    #[error("the proof has {got} hashes and reaches the root before its end")]
    TooLong {
        /// Hashes the proof has.
        got: usize,
    },
    /// The path leads to another root than the one claimed.
    #[error("the proof leads to root {computed} and not to {expected}")]
    Root {
        /// Where leaf and path lead.
        computed: Hash,
        /// The root claimed.
        expected: Hash,
    },
    /// The path does not lead to the older root: history was rewritten, or these roots are of different logs.
    #[error("the proof leads to the older root {computed} and not to {expected}")]
    OldRoot {
        /// Where the path leads.
        computed: Hash,
        /// The older root claimed.
        expected: Hash,
    },
    /// The path leads to the older root, but not to the newer one.
    #[error("the proof leads to the newer root {computed} and not to {expected}")]
    NewRoot {
        /// Where the path leads.
        computed: Hash,
        /// The newer root claimed.
        expected: Hash,
    },
    /// Two trees of one size with different roots: two histories.
    #[error("two roots for the same size {size}: {from_root} and {to_root}")]
    Fork {
        /// The size of both.
        size: u64,
        /// The root claimed first.
        from_root: Hash,
        /// The root claimed second.
        to_root: Hash,
    },
    /// The tree of size 0 has one root, the hash of nothing.
    #[error("a tree of size 0 does not have the root {root}")]
    EmptyRoot {
        /// The root claimed.
        root: Hash,
    },
}

/// Verifies that the leaf with hash `leaf` is at `index` of the tree of `size` leaves with root `root`.
///
/// The size is part of what is trusted: take it from the checkpoint that signs the root, never from the proof.
///
/// # Errors
/// A [`ProofError`] for anything but the exact proof.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    let got = proof.len();
    // `node` and `last` are the positions, on the level reached, of our subtree and of the tree's last subtree.
    let (mut node, mut last) = (index, size - 1);
    let mut computed = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::TooLong { got });
        }
        if node & 1 == 1 || node == last {
            computed = node_hash(sibling, &computed);
            // A last subtree without a sibling is promoted unchanged until it has one.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            computed = node_hash(&computed, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::TooShort { got });
    }
    if computed != *root {
        return Err(ProofError::Root { computed, expected: *root });
    }
    Ok(())
}

/// Verifies that the tree of `to_size` leaves with root `to_root` continues the tree of `from_size` leaves with root
/// `from_root`: nothing before `from_size` was changed, removed or inserted.
///
/// From size 0 only the empty proof from the empty root is accepted; it says nothing about `to_root`.
///
/// # Errors
/// A [`ProofError`] for anything but the exact proof.
pub fn verify_consistency(
    from_size: u64,
    from_root: &Hash,
    to_size: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let got = proof.len();
    if from_size > to_size {
        return Err(ProofError::SizesReversed { from: from_size, to: to_size });
    }
    if let Some((_, root)) =
        [(from_size, from_root), (to_size, to_root)].into_iter().find(|(s, r)| *s == 0 && **r != empty_root())
    {
        return Err(ProofError::EmptyRoot { root: *root });
    }
    if from_size == 0 || from_size == to_size {
        if got != 0 {
            return Err(ProofError::TooLong { got });
        }
        if from_size == to_size && from_root != to_root {
            return Err(ProofError::Fork { size: to_size, from_root: *from_root, to_root: *to_root });
        }
        return Ok(());
    }
    let roots = Roots { from: from_root, to: to_root };
    // An old tree that is perfect is itself the first node, which the prover leaves out.
    if from_size.is_power_of_two() {
        climb(from_size, to_size, from_root, proof, &roots, got)
    } else {
        let Some((first, rest)) = proof.split_first() else {
            return Err(ProofError::TooShort { got });
        };
        climb(from_size, to_size, first, rest, &roots, got)
    }
}

struct Roots<'a> {
    from: &'a Hash,
    to: &'a Hash,
}

/// Climbs from `first`, the largest subtree that ends where the old tree ends, to both roots at once. Requires
/// `0 < from_size < to_size`.
fn climb(
    from_size: u64,
    to_size: u64,
    first: &Hash,
    rest: &[Hash],
    roots: &Roots<'_>,
    got: usize,
) -> Result<(), ProofError> {
    // Positions of the last subtree of either tree, starting on the level of `first`.
    let below = (from_size - 1).trailing_ones();
    let mut from_last = (from_size - 1) >> below;
    let mut to_last = (to_size - 1) >> below;
    let (mut from_computed, mut to_computed) = (*first, *first);
    for sibling in rest {
        if to_last == 0 {
            return Err(ProofError::TooLong { got });
        }
        if from_last & 1 == 1 || from_last == to_last {
            from_computed = node_hash(sibling, &from_computed);
            to_computed = node_hash(sibling, &to_computed);
            while from_last & 1 == 0 && from_last != 0 {
                from_last >>= 1;
                to_last >>= 1;
            }
        } else {
            to_computed = node_hash(&to_computed, sibling);
        }
        from_last >>= 1;
        to_last >>= 1;
    }
    if to_last != 0 {
        return Err(ProofError::TooShort { got });
    }
    if from_computed != *roots.from {
        return Err(ProofError::OldRoot { computed: from_computed, expected: *roots.from });
    }
    if to_computed != *roots.to {
        return Err(ProofError::NewRoot { computed: to_computed, expected: *roots.to });
    }
    Ok(())
}
