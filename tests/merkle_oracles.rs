#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: every root, inclusion proof and consistency proof is that of RFC 9162 (against its recursive definition
//! written out here, and against two libraries that share no code with this one), read from tiles through nodes that lie
//! wholly inside the size; every exact proof verifies, and nothing near it does.

use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use foreseal::merkle::{
    Frontier, Hash, NodeReader, ProofError, ProveError, TILE_WIDTH, Tile, consistency_proof, empty_root,
    inclusion_proof, leaf_hash, node_hash, root_at, tile_position, tile_width, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;
use rs_merkle::{Hasher, MerkleTree};
use sha2::{Digest, Sha256};

/// Sizes 0 to this one are tried whole.
const LARGEST: u64 = 130;

fn entry(i: u64) -> String {
    format!("entry {i}")
}

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(entry(i).as_bytes())).collect()
}

/// RFC 9162 §2.1, as it is defined: by recursion over the list of leaf hashes, without any cleverness.
mod model {
    use super::{Hash, empty_root, node_hash};

    fn split(n: usize) -> usize {
        (0..).map(|power| 1 << power).take_while(|k| *k < n).last().unwrap()
    }

    pub(super) fn root(d: &[Hash]) -> Hash {
        match d {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let (l, r) = d.split_at(split(d.len()));
                node_hash(&root(l), &root(r))
            }
        }
    }

    pub(super) fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return vec![];
        }
        let k = split(d.len());
        let (l, r) = d.split_at(k);
        let (mut path, sibling) = if m < k { (path(m, l), root(r)) } else { (path(m - k, r), root(l)) };
        path.push(sibling);
        path
    }

    pub(super) fn subproof(m: usize, d: &[Hash], whole: bool) -> Vec<Hash> {
        if m == d.len() {
            return if whole { vec![] } else { vec![root(d)] };
        }
        let k = split(d.len());
        let (l, r) = d.split_at(k);
        let (mut proof, other) =
            if m <= k { (subproof(m, l, whole), root(r)) } else { (subproof(m - k, r, false), root(l)) };
        proof.push(other);
        proof
    }
}

/// A log kept as its tiles: each level's full tiles, and the one on the right edge.
#[derive(Default)]
struct Tiles {
    levels: Vec<Vec<Tile>>,
    size: u64,
}

impl Tiles {
    fn of(leaves: &[Hash]) -> Tiles {
        let mut log = Tiles::default();
        leaves.iter().for_each(|leaf| log.append(*leaf));
        log
    }

    fn append(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(vec![]);
            }
            let tiles = &mut self.levels[level];
            if tiles.last().is_none_or(|tile| tile.width() == TILE_WIDTH) {
                tiles.push(Tile::new());
            }
            let tile = tiles.last_mut().unwrap();
            tile.push(hash).unwrap();
            match tile.root() {
                Some(root) => hash = root,
                None => break,
            }
        }
    }

    /// What a log of an earlier size served: no tile wider than that size allows.
    fn at(&self, size: u64) -> At<'_> {
        assert!(size <= self.size);
        At { tiles: self, size }
    }
}

struct At<'a> {
    tiles: &'a Tiles,
    size: u64,
}

impl NodeReader for At<'_> {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        assert!(
            (index + 1) << level <= self.size,
            "node {index} of level {level} is beyond size {}",
            self.size
        );
        let at = tile_position(level, index);
        let width = tile_width(at.level, at.index, self.size).expect("the tile exists at that size");
        assert!(at.width_needed() <= width);
        let tile = &self.tiles.levels[usize::from(at.level)][at.index as usize];
        Ok(tile.node(at.height, usize::from(at.offset)).expect("the node is in the tile"))
    }
}

/// rs_merkle as RFC 6962 wants it: a prefix before two children, an odd node promoted.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        match right {
            Some(right) => Self::hash(&[&[1][..], left, right].concat()),
            None => *left,
        }
    }
}

fn rs_merkle_tree(size: u64) -> MerkleTree<Rfc6962> {
    let leaves: Vec<_> =
        (0..size).map(|i| Rfc6962::hash(&[&[0][..], entry(i).as_bytes()].concat())).collect();
    MerkleTree::from_leaves(&leaves)
}

fn ct_merkle_tree(size: u64) -> MemoryBackedTree<Sha256, String> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|i| tree.push(entry(i)));
    tree
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn roots_are_the_same_five_times() {
    let leaves = leaves(LARGEST);
    let tiles = Tiles::of(&leaves);
    let mut frontier = Frontier::new();
    for size in 0..=LARGEST {
        let expected = model::root(&leaves[..size as usize]);
        assert_eq!(frontier.root(), expected);
        assert_eq!(root_at(&tiles.at(size), size).unwrap(), expected);
        if size > 0 {
            assert_eq!(rs_merkle_tree(size).root().unwrap(), expected.0);
            assert_eq!(<[u8; 32]>::from(*ct_merkle_tree(size).root().as_bytes()), expected.0);
        }
        if let Some(leaf) = leaves.get(size as usize) {
            frontier.append(*leaf);
        }
    }
}

#[test]
fn inclusion_proofs_are_the_same_four_times_and_verify() {
    let leaves = leaves(LARGEST);
    let tiles = Tiles::of(&leaves);
    for size in 1..=LARGEST {
        let root = model::root(&leaves[..size as usize]);
        let (second, third) = (rs_merkle_tree(size), ct_merkle_tree(size));
        for index in 0..size {
            let proof = inclusion_proof(&tiles.at(size), index, size).unwrap();
            assert_eq!(proof, model::path(index as usize, &leaves[..size as usize]));
            assert_eq!(bytes(&proof), second.proof(&[index as usize]).proof_hashes().concat());
            assert_eq!(bytes(&proof), third.prove_inclusion(index as usize).as_bytes());
            assert_eq!(verify_inclusion(&leaves[index as usize], index, size, &proof, &root), Ok(()));
        }
    }
}

#[test]
fn consistency_proofs_are_the_same_three_times_and_verify() {
    let leaves = leaves(LARGEST);
    let tiles = Tiles::of(&leaves);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|n| model::root(&leaves[..n])).collect();
    for to in 0..=LARGEST {
        let third = ct_merkle_tree(to);
        for from in 0..=to {
            let proof = consistency_proof(&tiles.at(to), from, to).unwrap();
            if from > 0 {
                assert_eq!(proof, model::subproof(from as usize, &leaves[..to as usize], true));
                assert_eq!(bytes(&proof), third.prove_consistency((to - from) as usize).as_bytes());
            } else {
                assert!(proof.is_empty());
            }
            let (old, new) = (&roots[from as usize], &roots[to as usize]);
            assert_eq!(verify_consistency(from, old, to, new, &proof), Ok(()), "{from} to {to}");
        }
    }
}

/// A proof with one thing wrong, for each thing that can be.
fn spoiled(proof: &[Hash]) -> Vec<(String, Vec<Hash>)> {
    let mut all = Vec::new();
    let stranger = leaf_hash(b"stranger");
    for at in 0..=proof.len() {
        for (what, added) in [("a stranger", stranger), ("the empty root", empty_root())] {
            let mut longer = proof.to_vec();
            longer.insert(at, added);
            all.push((format!("{what} before hash {at}"), longer));
        }
        let Some(hash) = proof.get(at) else { break };
        let mut doubled = proof.to_vec();
        doubled.insert(at, *hash);
        all.push((format!("hash {at} doubled"), doubled));
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        all.push((format!("hash {at} dropped"), shorter));
        // Two bits of each hash, others in each.
        for bit in (hash.0[0] as usize % 128..256).step_by(128) {
            let mut flipped = proof.to_vec();
            flipped[at].0[bit / 8] ^= 1 << (bit % 8);
            all.push((format!("bit {bit} of hash {at} flipped"), flipped));
        }
        for other in at + 1..proof.len() {
            if proof[other] != *hash {
                let mut swapped = proof.to_vec();
                swapped.swap(at, other);
                all.push((format!("hashes {at} and {other} swapped"), swapped));
            }
        }
    }
    all
}

#[test]
fn no_spoiled_inclusion_proof_verifies() {
    let leaves = leaves(66);
    let tiles = Tiles::of(&leaves);
    for size in 1..=66 {
        let root = model::root(&leaves[..size as usize]);
        for index in 0..size {
            let leaf = leaves[index as usize];
            let proof = inclusion_proof(&tiles.at(size), index, size).unwrap();
            for (what, bad) in spoiled(&proof) {
                assert!(
                    verify_inclusion(&leaf, index, size, &bad, &root).is_err(),
                    "leaf {index} of {size} verified with {what}"
                );
            }
            let other = leaf_hash(b"another entry");
            assert!(verify_inclusion(&other, index, size, &proof, &root).is_err());
            assert!(verify_inclusion(&leaf, index, size, &proof, &other).is_err());
        }
    }
}

#[test]
fn no_spoiled_consistency_proof_verifies() {
    let leaves = leaves(66);
    let tiles = Tiles::of(&leaves);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|n| model::root(&leaves[..n])).collect();
    let stranger = leaf_hash(b"stranger");
    for to in 0..=66_u64 {
        for from in 0..=to {
            let (old, new) = (&roots[from as usize], &roots[to as usize]);
            let proof = consistency_proof(&tiles.at(to), from, to).unwrap();
            for (what, bad) in spoiled(&proof) {
                assert!(
                    verify_consistency(from, old, to, new, &bad).is_err(),
                    "{from} to {to} verified with {what}"
                );
            }
            assert!(verify_consistency(from, &stranger, to, new, &proof).is_err());
            // From nothing anything follows: the one case in which the newer root is not looked at.
            assert_eq!(verify_consistency(from, old, to, &stranger, &proof).is_ok(), from == 0 && to > 0);
            if from != to {
                assert!(verify_consistency(to, new, from, old, &proof).is_err());
                assert!(verify_consistency(from, new, to, old, &proof).is_err());
            }
        }
    }
}

/// On which side each sibling of a path stands, from the leaf up: all that index and size mean to a path.
fn shape(index: u64, size: u64) -> Vec<bool> {
    let (mut start, mut end) = (0, size);
    let mut sides = Vec::new();
    while end - start > 1 {
        let middle = start + (1 << (end - start - 1).ilog2());
        sides.push(index >= middle);
        if index < middle { end = middle } else { start = middle }
    }
    sides.reverse();
    sides
}

/// A path does not name the size. Under the *same* root a wrong index or size is refused exactly when it means other
/// sides; so sizes are taken from what signs the root, where each size has a root of its own.
#[test]
fn another_index_or_size_is_refused() {
    let leaves = leaves(70);
    let tiles = Tiles::of(&leaves);
    let roots: Vec<Hash> = (0..=leaves.len()).map(|n| model::root(&leaves[..n])).collect();
    for size in 1..=66_u64 {
        for index in 0..size {
            let leaf = leaves[index as usize];
            let proof = inclusion_proof(&tiles.at(size), index, size).unwrap();
            let root = roots[size as usize];
            for wrong in (0..70).filter(|wrong| *wrong != index) {
                let verified = verify_inclusion(&leaf, wrong, size, &proof, &root);
                assert!(verified.is_err(), "leaf {index} of {size} verified at {wrong}");
            }
            for wrong in (0..70).filter(|wrong| *wrong != size) {
                let own = verify_inclusion(&leaf, index, wrong, &proof, &roots[wrong as usize]);
                assert!(own.is_err(), "leaf {index} of {size} verified in {wrong}");
                let same = verify_inclusion(&leaf, index, wrong, &proof, &root);
                let alike = index < wrong && shape(index, wrong) == shape(index, size);
                assert_eq!(same.is_ok(), alike, "leaf {index}: {size} as {wrong}");
            }
        }
    }
    for to in 1..=40_u64 {
        for from in 1..=to {
            let proof = consistency_proof(&tiles.at(to), from, to).unwrap();
            for (f, t) in (0..=41_u64).flat_map(|f| [(f, to), (from, f)]).filter(|ft| *ft != (from, to)) {
                let verified = verify_consistency(f, &roots[f as usize], t, &roots[t as usize], &proof);
                // A proof that needs no hash is the same for each pair that needs none.
                assert_eq!(
                    verified.is_ok(),
                    proof.is_empty() && f <= t && (f == 0 || f == t),
                    "{from}-{to}: {f}-{t}"
                );
            }
        }
    }
}

/// The right edge of a large tree looks like a small tree, with more siblings to its left: only the proof's end tells.
#[test]
fn a_proof_that_goes_on_beyond_the_claimed_size_is_refused() {
    let leaves = leaves(8);
    let tiles = Tiles::of(&leaves);
    let (seven, eight) = (model::root(&leaves[..7]), model::root(&leaves));
    let path = inclusion_proof(&tiles.at(8), 7, 8).unwrap();
    assert_eq!(verify_inclusion(&leaves[7], 7, 8, &path, &eight), Ok(()));
    for (index, size) in [(0, 1), (1, 2), (3, 4)] {
        let verified = verify_inclusion(&leaves[7], index, size, &path, &eight);
        assert_eq!(verified, Err(ProofError::TooLong { got: 3 }));
    }
    let proof = consistency_proof(&tiles.at(8), 7, 8).unwrap();
    assert_eq!(verify_consistency(7, &seven, 8, &eight, &proof), Ok(()));
    assert_eq!(verify_consistency(3, &seven, 4, &eight, &proof), Err(ProofError::TooLong { got: 4 }));
}

#[test]
fn what_cannot_be_proven_says_so() {
    let tiles = Tiles::of(&leaves(9));
    let (h, none) = (leaf_hash(b""), empty_root());
    for size in 0..9 {
        assert_eq!(
            inclusion_proof(&tiles.at(9), size, size),
            Err(ProveError::IndexBeyondSize { index: size, size })
        );
        assert_eq!(
            verify_inclusion(&h, size, size, &[], &h),
            Err(ProofError::IndexBeyondSize { index: size, size })
        );
    }
    assert_eq!(consistency_proof(&tiles.at(9), 9, 8), Err(ProveError::SizesReversed { from: 9, to: 8 }));
    assert_eq!(verify_consistency(9, &h, 8, &h, &[]), Err(ProofError::SizesReversed { from: 9, to: 8 }));
    assert_eq!(verify_consistency(0, &none, 0, &none, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &none, 5, &h, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &none, 5, &h, &[h]), Err(ProofError::TooLong { got: 1 }));
    assert_eq!(verify_consistency(0, &h, 5, &h, &[]), Err(ProofError::EmptyRoot { root: h }));
    assert_eq!(verify_consistency(0, &none, 0, &h, &[]), Err(ProofError::EmptyRoot { root: h }));
    let fork = ProofError::Fork { size: 5, from_root: h, to_root: none };
    assert_eq!(verify_consistency(5, &h, 5, &none, &[]), Err(fork));
}

#[test]
fn a_reader_that_fails_is_named_in_the_error() {
    struct Lost;
    impl NodeReader for Lost {
        type Error = &'static str;
        fn node(&self, _: u8, _: u64) -> Result<Hash, &'static str> {
            Err("lost")
        }
    }
    let lost = |level, index| Err(ProveError::Read { level, index, source: "lost" });
    assert_eq!(root_at(&Lost, 7), lost(2, 0).map(|(): ()| empty_root()));
    assert_eq!(inclusion_proof(&Lost, 0, 7), lost(1, 2).map(|(): ()| vec![]));
    assert_eq!(consistency_proof(&Lost, 4, 5), lost(0, 4).map(|(): ()| vec![]));
    assert_eq!(root_at(&Lost, 0), Ok(empty_root()));
}

/// A tree in which every leaf is the same, and so every node of a level: there is no memory in which larger ones fit.
struct Uniform(Vec<Hash>);

impl Uniform {
    fn new() -> Uniform {
        let mut nodes = vec![leaf_hash(b"the same")];
        (0..63).for_each(|level: usize| nodes.push(node_hash(&nodes[level], &nodes[level])));
        Uniform(nodes)
    }
}

impl NodeReader for Uniform {
    type Error = Infallible;

    fn node(&self, level: u8, _: u64) -> Result<Hash, Infallible> {
        Ok(self.0[usize::from(level)])
    }
}

fn any_size() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32, 0..3_u64).prop_map(|(n, shift, near)| match near {
        0 => n >> shift,
        1 => u64::MAX >> shift,
        _ => (1 << shift) + n % 3 - 1,
    })
}

proptest! {
    #[test]
    fn sizes_up_to_the_last_u64_are_proven_and_verified(a in any_size(), b in any_size(), c: u64) {
        let tree = Uniform::new();
        let (from, to) = (a.min(b), a.max(b));
        let (old, new) = (root_at(&tree, from).unwrap(), root_at(&tree, to).unwrap());
        let proof = consistency_proof(&tree, from, to).unwrap();
        prop_assert!(proof.len() <= 65);
        prop_assert_eq!(verify_consistency(from, &old, to, &new, &proof), Ok(()));
        for index in [c % to.max(1), to.saturating_sub(1), from, 0] {
            match inclusion_proof(&tree, index, to) {
                Ok(path) => {
                    prop_assert!(path.len() <= 64);
                    prop_assert_eq!(verify_inclusion(&tree.0[0], index, to, &path, &new), Ok(()));
                }
                Err(error) => prop_assert_eq!(error, ProveError::IndexBeyondSize { index, size: to }),
            }
        }
    }

    #[test]
    fn noise_is_refused_and_never_panics(
        a in any_size(), b in any_size(), hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70), root: [u8; 32],
    ) {
        let proof: Vec<Hash> = hashes.into_iter().map(Hash).collect();
        let root = Hash(root);
        let leaf = leaf_hash(b"leaf");
        prop_assert!(verify_inclusion(&leaf, a, b, &proof, &root).is_err());
        if a != 0 {
            prop_assert!(verify_consistency(a, &leaf, b, &root, &proof).is_err());
        }
    }

    #[test]
    fn logs_of_several_tiles_prove_what_the_model_says(size in 1..2_500_u64, a: u64, b: u64) {
        let leaves = leaves(size);
        let tiles = Tiles::of(&leaves);
        let (index, from) = (a % size, b % size + 1);
        prop_assert_eq!(root_at(&tiles.at(size), size).unwrap(), model::root(&leaves));
        prop_assert_eq!(inclusion_proof(&tiles.at(size), index, size).unwrap(), model::path(index as usize, &leaves));
        prop_assert_eq!(consistency_proof(&tiles.at(size), from, size).unwrap(), model::subproof(from as usize, &leaves, true));
    }
}
