//! Tiles, entry bundles, and proofs about trees.

use foreseal::merkle::{
    Frontier, Hash, NodeReader, ProofError, Tile, TilePath, consistency_proof, encode_bundle,
    inclusion_proof, leaf_hash, node_hash, parse_bundle, range_proof, verify_consistency, verify_inclusion,
    verify_range,
};

use crate::edits::{choice, edited};
use crate::text;

/// Entry bundles write themselves again.
pub fn entry_bundle(bytes: &[u8]) {
    if let Ok(entries) = parse_bundle(bytes) {
        assert_eq!(encode_bundle(entries).expect("it was one"), bytes);
    }
}

/// Tiles and their paths write themselves again.
pub fn tile(bytes: &[u8]) {
    if let Ok(tile) = Tile::from_bytes(bytes) {
        assert_eq!(tile.to_bytes(), bytes);
    }
    let Some(text) = text(bytes) else { return };
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
}

/// The perfect subtrees over made-up leaves, hashed as they are asked for: slow, and without a line of the code under test
/// but the two hashes.
struct Leaves;

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

impl NodeReader for Leaves {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        Ok(match level.checked_sub(1) {
            None => leaf(index),
            Some(below) => node_hash(&self.node(below, 2 * index)?, &self.node(below, 2 * index + 1)?),
        })
    }
}

fn root(size: u64) -> Hash {
    let mut frontier = Frontier::new();
    (0..size).for_each(|index| frontier.append(leaf(index)));
    frontier.root()
}

/// Proofs that are right verify, every edit of them does not, and no proof of made-up hashes does.
pub fn proof(bytes: &[u8]) {
    let Some((way, rest)) = choice(bytes) else { return };
    let Some(([first, second], edits)) = rest.split_first_chunk::<2>() else { return };
    let size = u64::from(*second) % 96 + 1;
    match way % 4 {
        0 => inclusion(u64::from(*first) % size, size, edits),
        1 => consistency(u64::from(*first) % size + 1, size, edits),
        2 => range(u64::from(*first) % size, size, edits),
        _ => made_up(rest),
    }
}

fn to_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// What an edit left of hashes, the cut one at the end dropped.
fn to_hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect()
}

fn inclusion(index: u64, size: u64, edits: &[u8]) {
    let path = inclusion_proof(&Leaves, index, size).expect("within the tree");
    let root = root(size);
    verify_inclusion(&leaf(index), index, size, &path, &root).expect("a right proof verifies");
    let valid = [leaf(index).0.as_slice(), &to_bytes(&path)].concat();
    if let Some((claimed, forged)) = edited(&valid, edits)
        .and_then(|forged| to_hashes(&forged).split_first().map(|(l, p)| (*l, p.to_vec())))
        && (claimed, &forged) != (leaf(index), &path)
    {
        assert!(verify_inclusion(&claimed, index, size, &forged, &root).is_err(), "a forged inclusion proof");
    }
    for other in (0..size).filter(|other| *other != index) {
        assert!(
            verify_inclusion(&leaf(index), other, size, &path, &root).is_err(),
            "a leaf is in two places"
        );
    }
}

fn consistency(from: u64, to: u64, edits: &[u8]) {
    let proof = consistency_proof(&Leaves, from, to).expect("within the tree");
    let roots = (root(from), root(to));
    verify_consistency(from, &roots.0, to, &roots.1, &proof).expect("a right proof verifies");
    let valid = [roots.0.0.as_slice(), &roots.1.0, &to_bytes(&proof)].concat();
    let Some(forged) = edited(&valid, edits) else { return };
    let forged = to_hashes(&forged);
    let Some(([old, new], path)) = forged.split_first_chunk::<2>() else { return };
    // Of equal sizes, equal roots are consistent, whatever they are: that they are a log's, its signature says.
    let same = from == to && old == new && path.is_empty();
    if ((*old, *new) != roots || path != proof) && !same {
        assert!(verify_consistency(from, old, to, new, path).is_err(), "a forged consistency proof");
    }
}

fn range_holds(
    from: u64,
    to: u64,
    size: u64,
    leaves: &[Hash],
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let mut leaves = leaves.iter().copied();
    verify_range(from, to, size, &mut || leaves.next(), proof, root)
}

fn range(from: u64, size: u64, edits: &[u8]) {
    for to in [from + (size - from).div_ceil(2), size] {
        let proof = range_proof(&Leaves, from, to, size).expect("within the tree");
        let leaves: Vec<Hash> = (from..to).map(leaf).collect();
        let root = root(size);
        range_holds(from, to, size, &leaves, &proof, &root).expect("a right proof verifies");
        let valid = [to_bytes(&leaves), to_bytes(&proof)].concat();
        let Some(forged) = edited(&valid, edits) else { continue };
        let forged = to_hashes(&forged);
        let Some((claimed, path)) = forged.split_at_checked(leaves.len()) else { continue };
        if claimed != leaves || path != proof {
            let verdict = range_holds(from, to, size, claimed, path, &root);
            assert!(verdict.is_err(), "a forged range proof");
        }
    }
}

/// An index, two sizes, hashes, from everywhere in 64 bits.
fn made_up(bytes: &[u8]) {
    let Some((numbers, hashes)) = bytes.split_at_checked(24) else { return };
    let number = |at: usize| {
        u64::from_be_bytes(numbers[at..at + 8].try_into().expect("8 bytes")) >> (numbers[at] % 64)
    };
    let hashes = to_hashes(hashes);
    let root = leaf_hash(b"a root that nobody hashed to");
    let (first, second) = (number(0), number(8));
    assert!(verify_inclusion(&leaf_hash(b"leaf"), first, second, &hashes, &root).is_err());
    let other = leaf_hash(b"another root");
    assert!(verify_consistency(first, &root, second, &other, &hashes).is_err());
}
