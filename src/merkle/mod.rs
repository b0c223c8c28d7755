//! Room `merkle`: the tree over the log's entries, and every proof about it.
//!
//! **Does**: RFC 6962 hashing (SHA-256), the frontier that an appending log keeps, proofs made from stored nodes,
//! proofs verified (of a leaf, of a whole range, of an older tree), and the arithmetic and bytes of C2SP tiles and entry bundles.
//!
//! **Does not**: read or write files, keep a log, know what an entry means, sign anything. Whoever stores nodes
//! answers [`NodeReader`]; whoever trusts a root got it from a signed checkpoint (room `note`).
//!
//! **May use**: no other room.
//!
//! **Invariants**
//! - Leaf and interior hashes never share an input: 0x00 before an entry, 0x01 before two children.
//! - Only roots of *perfect* subtrees are ever stored or read. What lies on the ragged right edge is folded on demand,
//!   so a stored node never changes once written.
//! - A verifier consumes the proof exactly: a missing or a trailing hash is an error, never ignored.
//! - Nothing here panics, on any input.
//!
//! Sources: [RFC 9162 §2.1](https://www.rfc-editor.org/rfc/rfc9162#section-2.1) (the tree of RFC 6962, with the
//! verification algorithms written out), [C2SP tlog-tiles](https://c2sp.org/tlog-tiles).

mod bundle;
mod frontier;
mod growing;
mod hash;
mod path;
mod prove;
mod range;
mod tile;
mod verify;

pub use bundle::{BundleError, MAX_ENTRY_BYTES, encode_bundle, parse_bundle};
pub use frontier::{Frontier, FrontierError, MAX_TREE_SIZE};
pub use growing::{FullTile, GrowingTiles};
pub use hash::{HASH_BYTES, Hash, HashError, empty_root, leaf_hash, node_hash};
pub use path::{TileKind, TilePath, TilePathError};
pub use prove::{NodeReader, ProveError, consistency_proof, inclusion_proof, root_at};
pub use range::{range_proof, verify_range};
pub use tile::{
    TILE_HEIGHT, TILE_WIDTH, Tile, TileError, TilePosition, tile_bytes, tile_position, tile_width,
};
pub use verify::{ProofError, verify_consistency, verify_inclusion};
