//! What lies in the data and key directories, on the simulated disk: frames and segments, keys, snapshots, packs and blocks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use foreseal::disk::{DirMode, Disk, FaultyDisk, OpenMode};
use foreseal::evidence::audit::ReadLogError;
use foreseal::journal::{
    AES_256_GCM, Append, Expected, Frame, FrameKey, FrameView, HEADER_BYTES, Journal as _, JournalOptions,
    Position, Preparation, RecoverError, Resume, SegmentedJournal, recover, segment_file_name, verify,
};
use foreseal::ledger::checked_file::CheckedFile;
use foreseal::ledger::keyring::{Ciphertext, Keyring};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::packs::Packs;
use foreseal::ledger::payload::Payload;
use foreseal::ledger::snapshot::{self as snapshots, SavedResume, Snapshot};
use foreseal::ledger::state::{FoldKey, Sealed, State};
use foreseal::ledger::{head, tiles::SavedEdge};
use foreseal::merkle::{Hash, Tile, encode_bundle};
use foreseal::record::entry::Entry;
use serde_json::Value;
use uuid::Uuid;

use crate::edits::{burst, choice, edited};
use crate::{bytes_of, member, vector};

/// Frames carry a tag, so what was accepted is written again under another key and read once more: the same parts.
pub fn frame(bytes: &[u8]) {
    // The header names the place that the frame was written for; anything else is refused at once.
    let Some(places) = bytes.get(8..24) else { return };
    let number = |at: usize| u64::from_be_bytes(places[at..at + 8].try_into().expect("8 bytes"));
    let at = Position { segment: number(0), offset: number(8) };
    let parsed = FrameView::parse(bytes.to_vec(), at).or_else(|_| FrameView::parse(resealed(bytes), at));
    let Ok(view) = parsed else { return };
    let frame = view.to_frame();
    let key = FrameKey::from_bytes([7; 32]);
    assert!(!view.is_tagged_by(&key), "a tag was made up");
    let mut again = Vec::new();
    frame.encode(at, &view.header().previous, &key, &mut again).expect("it was one");
    assert_eq!(again.len(), view.as_bytes().len());
    let read = FrameView::parse(again, at).expect("what is written is read");
    assert!(read.is_tagged_by(&key) && read.to_frame() == frame && read.end() == view.end());
}

/// Of whole blocks, with both checksums made to fit, as far as the lengths allow: behind a wrong one nothing is looked at.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = bytes.get(48..52).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
    let Some(length) =
        length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length < 1 << 16)
    else {
        return bytes;
    };
    let end = HEADER_BYTES + length;
    bytes.resize((end + 4).next_multiple_of(4096), 0);
    bytes[end + 4..].fill(0);
    let body = crc32c::crc32c(&bytes[HEADER_BYTES..end]);
    bytes[end..end + 4].copy_from_slice(&body.to_be_bytes());
    let header = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&header.to_be_bytes());
    bytes
}

const JOURNAL: &str = "/journal";

/// A journal of six frames in two segments, and its bytes.
struct Written {
    segments: Vec<Vec<u8>>,
    frames: Vec<Vec<u8>>,
    entries: u64,
}

fn journal_key() -> FrameKey {
    FrameKey::from_bytes([3; 32])
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let disk = FaultyDisk::new(1);
    let options = JournalOptions {
        segment_bytes: 64 << 10,
        segments_ahead: 0,
        zero_step_bytes: 64 << 10,
        preparation: Preparation::Inline,
    };
    let mut journal =
        SegmentedJournal::create(Arc::new(disk.clone()), Path::new(JOURNAL), &options, &journal_key())
            .expect("a new journal");
    let mut frames = Vec::new();
    for number in 0..6usize {
        let head = journal.head();
        // The last but one is a marker; the others are long enough to need a second segment.
        let entries = if number == 4 { Vec::new() } else { vec![vec![b'e'; 20_000 - 7 * number]; 1] };
        let frame = Frame {
            epoch: head.epoch,
            first_index: head.size,
            checkpoint: format!("checkpoint {number}").into_bytes(),
            entries,
            payloads: Vec::new(),
        };
        let expected = Expected { epoch: head.epoch, size: head.size };
        let Append::Appended(at) = journal.append(&expected, &frame) else { panic!("not appended") };
        frames.push(journal.frame(at).expect("it was written").as_bytes().to_vec());
    }
    let entries = journal.head().size;
    let segments = (0..journal.head().end.segment + 1)
        .map(|segment| {
            disk.contents(&Path::new(JOURNAL).join(segment_file_name(segment))).expect("it was made")
        })
        .collect();
    Written { segments, frames, entries }
});

/// Recovery of a journal of which a segment was edited: what it hands out are the first frames as they were written, all of
/// them where a head that covers them is known; otherwise it refuses. It changes nothing, and every byte is accounted for.
pub fn journal(bytes: &[u8]) {
    let Some((which, edits)) = choice(bytes) else { return };
    let written = &*WRITTEN;
    assert_eq!(written.segments.len(), 2, "the journal has two segments");
    let which = usize::from(which & 1);
    let Some(forged) = edited(&written.segments[which], edits) else { return };
    let disk = FaultyDisk::new(1);
    disk.create_dir_all(Path::new(JOURNAL), DirMode::Shared).expect("a directory");
    for (segment, (number, good)) in (0..).zip(written.segments.iter().enumerate()) {
        let bytes = if number == which { &forged } else { good };
        disk.place(&Path::new(JOURNAL).join(segment_file_name(segment)), bytes).expect("a file");
    }
    let before = disk.mutations();
    for known in [0, written.entries] {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let recovered =
            recover(&disk, Path::new(JOURNAL), &journal_key(), &Resume::Beginning, known, &mut |_, view| {
                found.push(view.as_bytes().to_vec());
                Ok(())
            });
        assert!(written.frames.starts_with(&found), "a frame that was never written was recovered");
        if let Ok(recovered) = recovered {
            assert_eq!(recovered.frames, found.len() as u64);
            assert!(known == 0 || recovered.next_index == written.entries, "known leaves are gone");
        } else if let Err(error) = recovered {
            assert!(!matches!(error, RecoverError::Visitor { .. }), "{error}");
        }
    }
    if let Ok(report) = verify(&disk, Path::new(JOURNAL)) {
        let accounted =
            report.frame_bytes + report.padding_bytes + report.zero_bytes + report.unaccounted_bytes;
        assert_eq!(accounted, report.total_bytes, "bytes that nobody accounts for");
        // Without a key only whole frames at the end can be gone unseen: zeros where nothing follows.
        assert!(
            !report.is_sound() || report.next_index < written.entries || report.frames < 6,
            "damage is sound"
        );
    }
    assert_eq!(disk.mutations(), before, "recovery changed the disk");
}

static AT_REST: LazyLock<Value> = LazyLock::new(|| vector!("keys/at-rest.json"));

fn layout() -> Layout {
    Layout::new(Path::new("/ledger"), None)
}

/// The vectors' key files on a disk.
fn key_disk() -> (FaultyDisk, Vec<(PathBuf, Vec<u8>)>) {
    let (disk, layout) = (FaultyDisk::new(1), layout());
    for directory in [&layout.keys, &layout.epochs()] {
        disk.create_dir_all(directory, DirMode::Private).expect("a directory");
    }
    let files = AT_REST["files"].as_object().expect("the vector lists files");
    let files = files.keys().map(|name| {
        let bytes = bytes_of(&AT_REST["files"], &format!("/{}", name.replace('/', "~1")));
        (layout.keys.join(name), bytes)
    });
    let files: Vec<_> = files.collect();
    for (path, bytes) in &files {
        disk.place(path, bytes).expect("a file");
    }
    (disk, files)
}

fn keyring(disk: &FaultyDisk) -> Option<Keyring> {
    Keyring::open(Arc::new(disk.clone()), &layout(), member(&AT_REST, "/origin")).ok()
}

/// Keys open only as they were wrapped, payloads only as they were sealed; a payload's form and the head file are read
/// whatever they hold.
pub fn keys(bytes: &[u8]) {
    static OPEN: LazyLock<Keyring> =
        LazyLock::new(|| keyring(&key_disk().0).expect("the vectors' keys open"));
    let Some((way, rest)) = choice(bytes) else { return };
    match way % 8 {
        which @ 0..4 => {
            let (disk, files) = key_disk();
            let (path, good) = &files[usize::from(which) % files.len()];
            let Some(forged) = edited(good, rest) else { return };
            disk.place(path, &forged).expect("a file");
            assert!(keyring(&disk).is_none(), "keys open that were changed: {}", path.display());
        }
        4 => {
            let good = bytes_of(&AT_REST, "/payload/ciphertext");
            let Some(forged) = edited(&good, rest) else { return };
            assert!(open(&OPEN, forged, payload_id()).is_err(), "a payload opens that was changed");
        }
        5 => {
            let good = bytes_of(&AT_REST, "/payload/ciphertext");
            let Some(id) = edited(&payload_id(), rest).and_then(|id| <[u8; 16]>::try_from(id).ok()) else {
                return;
            };
            assert!(open(&OPEN, good, id).is_err(), "a payload opens under another id");
        }
        6 => {
            let Ok(payload) = Payload::decode(rest) else { return };
            let again = payload.encode();
            let read = Payload::decode(&again).expect("its own form");
            assert!(read.declared == payload.declared && read.evaluation == payload.evaluation);
            assert!(read.declared_seed == payload.declared_seed && read.signature == payload.signature);
        }
        _ => {
            let (disk, _) = key_disk();
            disk.place(&layout().head(), rest).expect("a file");
            if let Ok(head) = head::read(&disk, &layout()) {
                assert_eq!(head.as_deref().map(str::as_bytes), Some(rest));
            }
        }
    }
}

fn payload_id() -> [u8; 16] {
    *Uuid::parse_str(member(&AT_REST, "/payload/id")).expect("the vector's id is one").as_bytes()
}

fn open(
    keyring: &Keyring,
    bytes: Vec<u8>,
    id: [u8; 16],
) -> Result<Payload, foreseal::ledger::keyring::KeyringError> {
    let kid = bytes_of(&AT_REST, "/payload/kid").try_into().expect("16 bytes");
    keyring.open_payload(&Ciphertext { epoch: 3, kid, aead: AES_256_GCM, bytes }, &id)
}

/// A snapshot that was changed is not read; one that holds anything at all, sealed as the service seals it, is read or
/// refused, and what is read can be written again.
pub fn snapshot(bytes: &[u8]) {
    static RING: LazyLock<Keyring> =
        LazyLock::new(|| keyring(&key_disk().0).expect("the vectors' keys open"));
    static GOOD: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
        let disk = FaultyDisk::new(1);
        let file = written(&disk, &RING, &taken());
        (postcard::to_stdvec(&taken()).expect("a snapshot is data"), file)
    });
    let Some((way, rest)) = choice(bytes) else { return };
    let (disk, path) = (FaultyDisk::new(1), Path::new("/snapshots/1.snap"));
    let (plain, sealed) = match way % 4 {
        0 => (None, edited(&GOOD.1, rest)),
        1 => (None, Some(rest.to_vec())),
        2 => (edited(&GOOD.0, rest), None),
        _ => (Some(rest.to_vec()), None),
    };
    let sealed = match (sealed, plain) {
        (Some(sealed), _) => sealed,
        (None, Some(plain)) => {
            let mut sealed = b"FSNAP02\n".to_vec();
            sealed.extend(RING.seal_own("snapshot", &plain).expect("randomness"));
            sealed.extend(crc32c::crc32c(&sealed).to_be_bytes());
            sealed
        }
        (None, None) => return,
    };
    disk.place(path, &sealed).expect("a file");
    let read = snapshots::read(&disk, path, &RING);
    if way % 4 < 2 {
        assert!(read.is_err(), "a snapshot is read that was changed");
    } else if let Ok(read) = read {
        assert!(snapshots::check(&disk, path).is_ok());
        written(&disk, &RING, &read);
    }
}

/// Writes a snapshot, reads it again, hands out its file.
fn written(disk: &FaultyDisk, ring: &Keyring, snapshot: &Snapshot) -> Vec<u8> {
    let directory = Path::new("/written");
    disk.create_dir_all(directory, DirMode::Shared).expect("a directory");
    snapshots::write(disk, directory, ring, snapshot).expect("a disk without faults");
    let path = snapshots::list(disk, directory).expect("it is there").pop().expect("one was written");
    assert_eq!(&snapshots::read(disk, &path, ring).expect("its own form"), snapshot);
    disk.contents(&path).expect("it is there")
}

/// A snapshot of the vectors' log.
fn taken() -> Snapshot {
    let (chain, records) = (vector!("entries/chain.json"), vector!("entries/records.json"));
    let records = records["records"].as_array().expect("the vector lists records");
    let leaves = chain["leaves"].as_array().expect("the vector lists leaves");
    let mut state = State::default();
    for (leaf, index) in leaves.iter().zip(0u64..) {
        let entry = Entry::parse(leaf.as_str().expect("a text").as_bytes()).expect("an entry");
        let record = records.iter().find(|row| row["leaf"] == index);
        state
            .apply(
                &entry,
                &record.map_or(Sealed::Nothing, |row| Sealed::Declared(member(row, "/record").as_bytes())),
                &FoldKey::new(&[5; 32]),
            )
            .expect("the vectors' log folds");
    }
    Snapshot {
        edge: SavedEdge {
            size: leaves.len() as u64,
            frontier: vec![[1; 32]; 3],
            levels: vec![vec![[2; 32]; leaves.len()]],
            bundle: leaves.iter().map(|leaf| leaf.as_str().expect("a text").as_bytes().to_vec()).collect(),
            bundles_end: 0,
        },
        state,
        resume: SavedResume::after(Position { segment: 0, offset: 4096 }, [4; 32]),
        key_epoch: Some(3),
    }
}

/// Packs of tiles and bundles, and the index's blocks: of an edited file, what is read is what was written, or an error.
pub fn packs(bytes: &[u8]) {
    static GOOD: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
        let disk = FaultyDisk::new(1);
        let packs = Packs::open(Arc::new(disk.clone()), Path::new("/tiles")).expect("a directory");
        packs.write_tile(0, 1, &tile()).expect("a disk without faults");
        let mut end = 0;
        for (bundle, index) in bundles().iter().zip(0..) {
            packs.write_bundle(index, end, bundle).expect("a disk without faults");
            end += bundle.len() as u64;
        }
        let file =
            disk.open(Path::new("/tiles/blocks"), OpenMode::CreateNew(foreseal::disk::FileMode::Shared));
        let blocks = CheckedFile::new(file.expect("a new file")).expect("an empty file");
        blocks.set_length(8192).expect("a disk without faults");
        blocks.write(0, &block()).expect("a disk without faults");
        blocks.close().expect("a disk without faults");
        let names = disk.read_dir(Path::new("/tiles")).expect("a directory");
        let paths = names.iter().map(|name| Path::new("/tiles").join(name));
        paths
            .map(|path| {
                let bytes = disk.contents(&path).expect("a file");
                (path, bytes)
            })
            .collect()
    });
    let Some((which, rest)) = choice(bytes) else { return };
    let disk = FaultyDisk::new(1);
    disk.create_dir_all(Path::new("/tiles"), DirMode::Shared).expect("a directory");
    let which = usize::from(which) % GOOD.len();
    for (number, (path, good)) in GOOD.iter().enumerate() {
        let forged = (number == which).then(|| burst(good, rest)).flatten();
        disk.place(path, forged.as_ref().unwrap_or(good)).expect("a file");
    }
    let packs = Packs::at(Arc::new(disk.clone()), Path::new("/tiles"));
    assert!(
        packs.read_tile(0, 1).is_ok_and(|read| read == tile()) || packs.read_tile(0, 1).is_err(),
        "another tile"
    );
    assert!(matches!(packs.read_tile(0, 2), Err(ReadLogError::Missing(_))));
    for (bundle, index) in bundles().iter().zip(0..) {
        if let Ok((read, _)) = packs.read_bundle(index) {
            assert_eq!(&read, bundle, "another bundle");
        }
    }
    let file = disk.open(Path::new("/tiles/blocks"), OpenMode::Read).expect("a file");
    if let Ok(blocks) = CheckedFile::new(file) {
        let mut read = vec![0; 8192];
        if blocks.read(0, &mut read).is_ok() {
            assert_eq!(read, block(), "another block");
        }
    }
}

fn tile() -> Tile {
    Tile::from_hashes(&std::array::from_fn::<Hash, 256, _>(|at| Hash([at.to_le_bytes()[0]; 32])))
        .expect("256 hashes")
}

fn bundles() -> [Vec<u8>; 2] {
    [1u16, 2]
        .map(|of| encode_bundle((0..256u16).map(|at| (at * of).to_be_bytes().to_vec())).expect("they fit"))
}

fn block() -> Vec<u8> {
    (0..8192u32).map(|at| (at % 251) as u8).collect()
}
