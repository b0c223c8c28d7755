//! Range proofs: that these are all the leaves `start .. end` of a tree, in their order, and that none is missing.
//!
//! The proof is the roots of the largest subtrees of the RFC 9162 §2.1.1 recursion that lie wholly outside of the range,
//! from left to right. Whoever holds every leaf of the range computes the rest, so one proof of at most two hashes a
//! level shows completeness. The same idea: "compact ranges" of transparency-dev/merkle (package `compact`), and the
//! skeletons of Crosby and Wallach, *Efficient Data Structures for Tamper-Evident Logging* (2009), §3.

use super::hash::{Hash, node_hash};
use super::prove::{NodeReader, ProveError, range_root, split};
use super::verify::ProofError;

/// The proof that the leaves `start .. end` of the tree of the first `size` leaves are all there is between them. Reads
/// at most as many nodes as two inclusion proofs.
///
/// # Errors
/// [`ProveError::RangeBeyondSize`] unless `start < end <= size`, [`ProveError::Read`].
pub fn range_proof<R: NodeReader>(
    reader: &R,
    start: u64,
    end: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if start >= end || end > size {
        return Err(ProveError::RangeBeyondSize { start, end, size });
    }
    let mut proof = Vec::new();
    outside(reader, (start, end), 0, size, &mut proof)?;
    Ok(proof)
}

/// Appends what the subtree over `from .. to` has outside of the range. At most 64 deep.
fn outside<R: NodeReader>(
    reader: &R,
    range: (u64, u64),
    from: u64,
    to: u64,
    proof: &mut Vec<Hash>,
) -> Result<(), ProveError<R::Error>> {
    let (start, end) = range;
    if to <= start || end <= from {
        proof.push(range_root(reader, from, to)?);
        return Ok(());
    }
    if start <= from && to <= end {
        return Ok(());
    }
    // Partly inside, so at least two leaves.
    let middle = from + split(to - from);
    outside(reader, range, from, middle, proof)?;
    outside(reader, range, middle, to, proof)
}

/// Verifies that `leaves` yields exactly the hashes of the leaves `start .. end` of the tree of `size` leaves with root
/// `root`. Asks for one leaf at a time and holds no more than a hash a level, whatever the range's length.
///
/// As with inclusion, the size comes from the checkpoint that signs the root, never from the proof.
///
/// # Errors
/// A [`ProofError`] for anything but the exact leaves and the exact proof.
pub fn verify_range(
    start: u64,
    end: u64,
    size: u64,
    leaves: &mut dyn FnMut() -> Option<Hash>,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if start >= end || end > size {
        return Err(ProofError::RangeBeyondSize { start, end, size });
    }
    let mut walk = Walk { start, end, leaves, rest: proof.iter(), got: proof.len() };
    let computed = walk.subtree(0, size)?;
    if walk.rest.next().is_some() {
        return Err(ProofError::TooLong { got: proof.len() });
    }
    if (walk.leaves)().is_some() {
        return Err(ProofError::LeafCount { expected: end - start });
    }
    if computed == *root { Ok(()) } else { Err(ProofError::Root { computed, expected: *root }) }
}

struct Walk<'a> {
    start: u64,
    end: u64,
    leaves: &'a mut dyn FnMut() -> Option<Hash>,
    rest: std::slice::Iter<'a, Hash>,
    got: usize,
}

impl Walk<'_> {
    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, ProofError> {
        if to <= self.start || self.end <= from {
            return self.rest.next().copied().ok_or(ProofError::TooShort { got: self.got });
        }
        if to - from == 1 {
            let expected = self.end - self.start;
            return (self.leaves)().ok_or(ProofError::LeafCount { expected });
        }
        let middle = from + split(to - from);
        let left = self.subtree(from, middle)?;
        let right = self.subtree(middle, to)?;
        Ok(node_hash(&left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    /// RFC 9162 §2.1.1 to the letter.
    fn naive(leaves: &[Hash]) -> Hash {
        if let [one] = leaves {
            return *one;
        }
        let mut k = 1;
        while k * 2 < leaves.len() {
            k *= 2;
        }
        node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
    }

    struct Naive<'a>(&'a [Hash]);

    impl NodeReader for Naive<'_> {
        type Error = std::convert::Infallible;

        fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
            let from = usize::try_from(index << level).unwrap();
            Ok(naive(&self.0[from..from + (1 << level)]))
        }
    }

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|i| leaf_hash(&[i])).collect()
    }

    fn check(
        range: (u64, u64),
        size: u64,
        given: &[Hash],
        proof: &[Hash],
        root: &Hash,
    ) -> Result<(), ProofError> {
        let mut given = given.iter().copied();
        verify_range(range.0, range.1, size, &mut || given.next(), proof, root)
    }

    #[test]
    fn every_range_of_every_small_tree_is_proven_and_nothing_else_is() {
        for size in 1..=70u8 {
            let all = leaves(size);
            let root = naive(&all);
            let size = u64::from(size);
            for start in 0..size {
                for end in start + 1..=size {
                    let proof = range_proof(&Naive(&all), start, end, size).unwrap();
                    let inside = &all[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
                    check((start, end), size, inside, &proof, &root).unwrap();
                    assert!(proof.len() <= 14, "two hashes a level at most");
                    // A leaf withheld at either end or in the middle, and one too many.
                    assert!(check((start, end), size, &inside[1..], &proof, &root).is_err());
                    assert!(check((start, end), size, &inside[..inside.len() - 1], &proof, &root).is_err());
                    let more = [inside, &inside[..1]].concat();
                    assert!(check((start, end), size, &more, &proof, &root).is_err());
                    // Another range with the same leaves: only a tree's own place for them verifies.
                    for (from, to) in [(start + 1, end + 1), (start, end + 1), (start + 1, end)] {
                        assert!(check((from, to), size, inside, &proof, &root).is_err());
                    }
                    if start > 0 {
                        assert!(check((start - 1, end - 1), size, inside, &proof, &root).is_err());
                        assert!(check((start - 1, end), size, inside, &proof, &root).is_err());
                    }
                    // A hash too many, one too few.
                    let long = [proof.as_slice(), &[root]].concat();
                    assert!(check((start, end), size, inside, &long, &root).is_err());
                    if let Some((_, short)) = proof.split_last() {
                        assert!(check((start, end), size, inside, short, &root).is_err());
                    }
                }
            }
        }
    }

    #[test]
    fn any_other_leaf_hash_order_or_root_is_refused() {
        let all = leaves(37);
        let root = naive(&all);
        let proof = range_proof(&Naive(&all), 5, 29, 37).unwrap();
        let inside = &all[5..29];
        for at in 0..inside.len() {
            let mut changed = inside.to_vec();
            changed[at].0[at % 32] ^= 1;
            assert!(check((5, 29), 37, &changed, &proof, &root).is_err());
            changed = inside.to_vec();
            changed.swap(at, (at + 1) % inside.len());
            assert!(check((5, 29), 37, &changed, &proof, &root).is_err());
        }
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at].0[0] ^= 0x80;
            assert!(check((5, 29), 37, inside, &changed, &root).is_err());
        }
        // A size that puts another number of subtrees outside. As with inclusion, one of the same shape is not told
        // apart: the signed size is what is given.
        assert!(check((5, 29), 32, inside, &proof, &root).is_err(), "another size");
        assert!(check((5, 29), 65, inside, &proof, &root).is_err(), "another size");
        assert!(check((5, 29), 37, inside, &proof, &leaf_hash(b"")).is_err());
        for (start, end) in [(0, 0), (3, 3), (4, 3), (0, 38), (37, 38), (u64::MAX, 0)] {
            assert!(check((start, end), 37, inside, &proof, &root).is_err());
            assert!(range_proof(&Naive(&all), start, end, 37).is_err());
        }
    }

    #[test]
    fn one_leaf_is_as_well_proven_as_by_inclusion() {
        let all = leaves(21);
        for index in 0..21u64 {
            let mut range = range_proof(&Naive(&all), index, index + 1, 21).unwrap();
            let mut inclusion = crate::merkle::inclusion_proof(&Naive(&all), index, 21).unwrap();
            range.sort_unstable();
            inclusion.sort_unstable();
            assert_eq!(range, inclusion, "the same siblings, in another order");
        }
    }
}
