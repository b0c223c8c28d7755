#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: roots, proofs, tiles, paths and bundles are those of other implementations, byte for byte: of the worked
//! example that lies beside this test, and of other projects' published vectors where the shared data is present.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use foreseal::merkle::{
    Frontier, Hash, NodeReader, TILE_WIDTH, Tile, TileKind, TilePath, consistency_proof, encode_bundle,
    inclusion_proof, leaf_hash, parse_bundle, root_at, tile_position, tile_width, verify_consistency,
    verify_inclusion,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct WorkedExample {
    roots: Vec<Root>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
    tiles: Vec<Tiles>,
    paths: Vec<NamedPath>,
    bundle: Bundle,
}

#[derive(Deserialize)]
struct Root {
    size: u64,
    root: Hash,
}

#[derive(Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    proof: Vec<Hash>,
}

#[derive(Deserialize)]
struct Consistency {
    from: u64,
    to: u64,
    proof: Vec<Hash>,
}

#[derive(Deserialize)]
struct Tiles {
    size: u64,
    level: u8,
    full: u64,
    partial: u16,
}

#[derive(Deserialize)]
struct NamedPath {
    path: String,
    index: u64,
    width: u8,
}

#[derive(Deserialize)]
struct Bundle {
    entries: Vec<String>,
    hex: String,
}

impl WorkedExample {
    fn read() -> WorkedExample {
        serde_json::from_str(include_str!("vectors/merkle/worked-example.json")).unwrap()
    }

    fn root(&self, size: u64) -> Hash {
        self.roots.iter().find(|r| r.size == size).unwrap().root
    }
}

/// The log of the worked example, kept as full levels of perfect subtrees.
struct Nodes(Vec<Vec<Hash>>);

impl Nodes {
    fn of(mut level: Vec<Hash>) -> Nodes {
        let mut levels = vec![];
        while !level.is_empty() {
            let above =
                level.as_chunks::<2>().0.iter().map(|[l, r]| foreseal::merkle::node_hash(l, r)).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        Nodes(levels)
    }
}

impl NodeReader for Nodes {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[usize::from(level)][index as usize])
    }
}

fn entry_hashes(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(format!("entry {i}").as_bytes())).collect()
}

#[test]
fn the_worked_example_has_these_roots() {
    let example = WorkedExample::read();
    let leaves = entry_hashes(70_000);
    let nodes = Nodes::of(leaves.clone());
    let mut frontier = Frontier::new();
    let mut checked = 0;
    for size in 0..=70_000 {
        if let Some(expected) = example.roots.iter().find(|r| r.size == size) {
            assert_eq!(frontier.root(), expected.root, "size {size}");
            assert_eq!(root_at(&nodes, size).unwrap(), expected.root, "size {size}");
            checked += 1;
        }
        leaves.get(size as usize).into_iter().for_each(|leaf| frontier.append(*leaf));
    }
    assert_eq!(checked, 9);
}

#[test]
fn the_worked_example_has_these_proofs() {
    let example = WorkedExample::read();
    let leaves = entry_hashes(70_000);
    let nodes = Nodes::of(leaves.clone());
    for Inclusion { index, size, proof } in &example.inclusion {
        assert_eq!(&inclusion_proof(&nodes, *index, *size).unwrap(), proof);
        let leaf = leaf_hash(format!("entry {index}").as_bytes());
        verify_inclusion(&leaf, *index, *size, proof, &example.root(*size)).unwrap();
    }
    for Consistency { from, to, proof } in &example.consistency {
        assert_eq!(&consistency_proof(&nodes, *from, *to).unwrap(), proof);
        verify_consistency(*from, &example.root(*from), *to, &example.root(*to), proof).unwrap();
    }
    // Of the large tree only the roots are written down: they must bear out every proof.
    let large = example.root(70_000);
    for Root { size, root } in &example.roots {
        let proof = consistency_proof(&nodes, *size, 70_000).unwrap();
        verify_consistency(*size, root, 70_000, &large, &proof).unwrap();
    }
    for index in (0..70_000).step_by(997).chain([12_345, 65_535, 65_536, 69_887, 69_888, 69_999]) {
        let proof = inclusion_proof(&nodes, index, 70_000).unwrap();
        verify_inclusion(&leaves[index as usize], index, 70_000, &proof, &large).unwrap();
    }
}

#[test]
fn the_worked_example_has_these_tiles() {
    let example = WorkedExample::read();
    for Tiles { size, level, full, partial } in &example.tiles {
        (0..*full).for_each(|i| assert_eq!(tile_width(*level, i, *size), Some(TILE_WIDTH)));
        assert_eq!(tile_width(*level, *full, *size), Some(*partial).filter(|w| *w != 0));
        assert_eq!(tile_width(*level, full + 1, *size), None);
    }
    for NamedPath { path, index, width } in &example.paths {
        let parsed: TilePath = path.parse().unwrap();
        assert_eq!((parsed.index, parsed.width.map_or(0, u8::from)), (*index, *width));
        assert_eq!(&parsed.to_string(), path);
    }
    let bytes = encode_bundle(&example.bundle.entries).unwrap();
    assert_eq!(hex::encode(&bytes), example.bundle.hex);
}

fn shared(folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("FORESEAL_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("vectors").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there (FORESEAL_SHARED_DATA says where it is)", folder.display());
    None
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionCase {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConsistencyCase {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

fn hashes(proof: Option<&Vec<String>>) -> Option<Vec<Hash>> {
    proof.into_iter().flatten().map(|text| Hash::from_base64(text).ok()).collect()
}

/// The verdict a reader of these texts comes to: what is not 32 bytes is no hash, and refused before any proof.
fn judge_inclusion(case: &InclusionCase) -> Option<()> {
    let (root, leaf) = (Hash::from_base64(&case.root).ok()?, Hash::from_base64(&case.leaf_hash).ok()?);
    verify_inclusion(&leaf, case.leaf_idx, case.tree_size, &hashes(case.proof.as_ref())?, &root).ok()
}

fn judge_consistency(case: &ConsistencyCase) -> Option<()> {
    let (root1, root2) = (Hash::from_base64(&case.root1).ok()?, Hash::from_base64(&case.root2).ok()?);
    verify_consistency(case.size1, &root1, case.size2, &root2, &hashes(case.proof.as_ref())?).ok()
}

#[test]
fn another_librarys_good_and_bad_proofs_get_the_verdict_they_should() {
    let Some(folder) = shared("merkle/testdata") else { return };
    let (mut cases, mut accepted) = (0, 0);
    for path in json_files(&folder.join("inclusion")) {
        let case: InclusionCase = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let verdict = judge_inclusion(&case);
        assert_eq!(verdict.is_none(), case.want_err, "{}: {}", path.display(), case.desc);
        cases += 1;
        accepted += usize::from(verdict.is_some());
    }
    for path in json_files(&folder.join("consistency")) {
        let case: ConsistencyCase = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let verdict = judge_consistency(&case);
        // Accepted there, with roots that are twelve bytes of text and so no roots here.
        let refused = case.want_err || case.desc == "sizes are equal (one) and proof is empty";
        assert_eq!(verdict.is_none(), refused, "{}: {}", path.display(), case.desc);
        cases += 1;
        accepted += usize::from(verdict.is_some());
    }
    assert_eq!((cases, accepted), (196, 11));
}

/// Another log's level 0, as it serves it.
struct Served(Tile);

impl NodeReader for Served {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        let at = tile_position(level, index);
        assert_eq!((at.level, at.index), (0, 0));
        Ok(self.0.node(at.height, usize::from(at.offset)).unwrap())
    }
}

#[test]
fn another_logs_tiles_bundles_and_heads_agree() {
    let Some(folder) = shared("tessera-log") else { return };
    let roots: Vec<Hash> = (0..=15)
        .map(|size| {
            let checkpoint = fs::read_to_string(folder.join(format!("checkpoint.{size}"))).unwrap();
            let lines: Vec<&str> = checkpoint.lines().collect();
            assert_eq!(lines[1], size.to_string());
            Hash::from_base64(lines[2]).unwrap()
        })
        .collect();
    let mut whole = Frontier::new();
    for size in 1..=15_u64 {
        let width = std::num::NonZeroU8::new(size as u8);
        let path = |kind| folder.join(TilePath { kind, index: 0, width }.to_string());
        let bundle = fs::read(path(TileKind::Entries)).unwrap();
        let entries = parse_bundle(&bundle).unwrap();
        assert_eq!(entries.len() as u64, size);
        assert_eq!(encode_bundle(&entries).unwrap(), bundle);
        let served = fs::read(path(TileKind::Hashes { level: 0 })).unwrap();
        let tile = Tile::from_bytes(&served).unwrap();
        assert_eq!(tile.to_bytes(), served);
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        assert_eq!(tile.bottom(), leaves);
        whole.append(*leaves.last().unwrap());
        assert_eq!(whole.root(), roots[size as usize]);
        let reader = Served(tile);
        assert_eq!(root_at(&reader, size).unwrap(), roots[size as usize]);
        for from in 0..=size {
            let proof = consistency_proof(&reader, from, size).unwrap();
            verify_consistency(from, &roots[from as usize], size, &roots[size as usize], &proof).unwrap();
        }
        for (index, leaf) in (0..).zip(&leaves) {
            let proof = inclusion_proof(&reader, index, size).unwrap();
            verify_inclusion(leaf, index, size, &proof, &roots[size as usize]).unwrap();
        }
    }
}
