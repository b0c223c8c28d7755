//! The frame's bytes: what is written is read, what is read was written, all else is refused.

use proptest::prelude::*;

use sha2::{Digest, Sha256};

use super::frame::CRC_BYTES;
use super::tag::TAG_BYTES;
use super::*;

const AT: Position = Position { segment: 7, offset: 8192 };

/// The one of `keys/at-rest.json`.
fn key() -> FrameKey {
    FrameKey::from_bytes(std::array::from_fn(|n| 144 + u8::try_from(n).unwrap()))
}

fn frames() -> impl Strategy<Value = Frame> {
    let bytes = |most: usize| prop::collection::vec(any::<u8>(), 0..most);
    let payload = (any::<u32>(), any::<u32>(), 1..=2_u8, any::<[u8; 16]>(), bytes(600));
    (
        any::<u64>(),
        0..u64::MAX / 2,
        bytes(300),
        prop::collection::vec(bytes(400), 0..9),
        prop::collection::vec(payload, 0..9),
    )
        .prop_map(|(epoch, first_index, checkpoint, entries, payloads)| {
            let count = u32::try_from(entries.len()).unwrap();
            let mut payloads = payloads
                .into_iter()
                .filter_map(|(entry, key_epoch, aead, kid, ciphertext)| {
                    let entry = entry.checked_rem(count)?;
                    Some(SealedPayload { entry, key_epoch, aead, kid, ciphertext })
                })
                .collect::<Vec<_>>();
            payloads.sort_by_key(|payload| payload.entry);
            Frame { epoch, first_index, checkpoint, entries, payloads }
        })
}

fn sample() -> Frame {
    Frame {
        epoch: 3,
        first_index: 41,
        checkpoint: b"log.example/agents\n41\n".to_vec(),
        entries: vec![b"{}".to_vec(), vec![], vec![9; 300]],
        payloads: vec![
            SealedPayload {
                entry: 0,
                key_epoch: 5,
                aead: AES_256_GCM,
                kid: [1; 16],
                ciphertext: vec![2; 40],
            },
            SealedPayload {
                entry: 2,
                key_epoch: 5,
                aead: XCHACHA20_POLY1305,
                kid: [3; 16],
                ciphertext: vec![],
            },
        ],
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(AT, &[8; 32], &key(), &mut bytes).unwrap();
    bytes
}

/// Makes tag and both checksums fit again, if the body's length allows it.
fn reseal(bytes: &mut [u8]) {
    let body_len = u32::from_be_bytes(bytes[48..52].try_into().unwrap()) as usize;
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - CRC_BYTES]).to_be_bytes();
    bytes[HEADER_BYTES - CRC_BYTES..HEADER_BYTES].copy_from_slice(&crc);
    let end = HEADER_BYTES.saturating_add(body_len);
    if end + CRC_BYTES <= bytes.len() {
        if let Some(tagged) = end.checked_sub(TAG_BYTES).filter(|tagged| *tagged >= HEADER_BYTES) {
            let tag = key().tag(&Sha256::digest(&bytes[..tagged]).into());
            bytes[tagged..end].copy_from_slice(&tag);
        }
        let crc = crc32c::crc32c(&bytes[HEADER_BYTES..end]).to_be_bytes();
        bytes[end..end + CRC_BYTES].copy_from_slice(&crc);
    }
}

fn re_encoded(view: &FrameView) -> Vec<u8> {
    let mut again = Vec::new();
    let hash =
        view.to_frame().encode(view.header().position, &view.header().previous, &key(), &mut again).unwrap();
    assert_eq!(hash, view.hash());
    again
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(frame in frames(), previous in any::<[u8; 32]>()) {
        let mut bytes = vec![0xee; 10];
        let hash = frame.encode(AT, &previous, &key(), &mut bytes).unwrap();
        prop_assert_eq!(bytes.len(), frame.encoded_len().unwrap());
        prop_assert_eq!(bytes.len() % 4096, 0);
        let view = FrameView::parse(bytes.clone(), AT).unwrap();
        prop_assert_eq!(view.to_frame(), frame);
        prop_assert_eq!((view.hash(), view.header().previous), (hash, previous));
        prop_assert_eq!(re_encoded(&view), bytes);
    }

    #[test]
    fn bytes_of_any_kind_are_refused_or_re_encode_to_themselves(
        mut bytes in prop::collection::vec(any::<u8>(), 0..5000),
        as_frame in any::<bool>(),
    ) {
        if as_frame && bytes.len() > HEADER_BYTES {
            let header = encoded(&sample());
            bytes[..24].copy_from_slice(&header[..24]);
            bytes[40..46].fill(0);
            bytes[48..51].fill(0);
            bytes.resize(4096, 0);
            reseal(&mut bytes);
        }
        if let Ok(view) = FrameView::parse(bytes.clone(), AT) {
            prop_assert_eq!(re_encoded(&view), bytes);
        }
    }

    /// Changes that an attacker with a checksum would make: parsed strictly, never a panic, and whatever
    /// is accepted says exactly what it is.
    #[test]
    fn resealed_changes_are_refused_or_re_encode_to_themselves(
        frame in frames(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&frame);
        let used = HEADER_BYTES + u32::from_be_bytes(bytes[48..52].try_into().unwrap()) as usize;
        for (at, byte) in changes {
            let at = at.index(used);
            bytes[at] = byte;
        }
        reseal(&mut bytes);
        if let Ok(view) = FrameView::parse(bytes.clone(), AT) {
            prop_assert_eq!(re_encoded(&view), bytes);
        }
    }
}

#[test]
fn every_single_bit_counts() {
    let good = encoded(&sample());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(FrameView::parse(bytes, AT).is_err(), "bit {bit} was ignored");
    }
    for len in 0..good.len() {
        assert!(FrameView::parse(good[..len].to_vec(), AT).is_err(), "{len} bytes are no frame");
    }
    assert!(FrameView::parse([good.clone(), vec![0; 4096]].concat(), AT).is_err(), "nor is more than one");
}

#[test]
fn a_frame_is_valid_in_its_own_place_only() {
    let bytes = encoded(&sample());
    for at in [Position { segment: 8, ..AT }, Position { offset: 4096, ..AT }] {
        let fault = FrameView::parse(bytes.clone(), at).unwrap_err().fault;
        assert_eq!(fault, FrameFault::Place(AT));
    }
}

/// Each field wrong alone, checksums right: the error names the fault and its place.
#[test]
fn faults_are_named_with_their_place() {
    let body_len = encoded(&sample()).len();
    let checkpoint = HEADER_BYTES + 4 + 22;
    let payloads = checkpoint + 2 + 2 + 2 + 2 + 300;
    let body_end = payloads + 29 + 40 + 29;
    let cases: &[(usize, &[u8], u64, FrameFault)] = &[
        (0, b"FSJ2", 0, FrameFault::Magic),
        (4, &[0, 1], 4, FrameFault::Version(1)),
        (4, &[0, 3], 4, FrameFault::Version(3)),
        (6, &[0, 1], 6, FrameFault::Flags),
        (32, &[0xff; 8], 32, FrameFault::IndexOverflow),
        (40, &[0xff; 4], 40, FrameFault::BodyEnds),
        (40, &[0, 1, 0, 0], 40, FrameFault::BodyEnds),
        (44, &[0xff; 4], 40, FrameFault::BodyEnds),
        (44, &[0, 0, 0, 1], (payloads + 69 + TAG_BYTES) as u64, FrameFault::BodyTrailing),
        (48, &[0xff; 4], 48, FrameFault::TooLong),
        (48, &[0, 0, 0x20, 0], 48, FrameFault::TooLong),
        (HEADER_BYTES, &[0, 0x10, 0, 1], HEADER_BYTES as u64, FrameFault::CheckpointTooLong),
        (HEADER_BYTES, &[0, 0x10, 0, 0], HEADER_BYTES as u64 + 4, FrameFault::BodyEnds),
        (payloads, &[0, 0, 0, 3], payloads as u64, FrameFault::PayloadEntry(3)),
        (payloads + 69, &[0, 0, 0, 3], payloads as u64 + 69, FrameFault::PayloadEntry(3)),
        (payloads + 8, &[3], payloads as u64 + 8, FrameFault::PayloadCipher(3)),
        (payloads + 94, &[0, 0, 0, 1], body_end as u64 + 1, FrameFault::BodyEnds),
        (body_len - 1, &[1], body_len as u64 - 1, FrameFault::Padding),
    ];
    for (at, bytes, place, fault) in cases {
        let mut frame = encoded(&sample());
        frame[*at..at + bytes.len()].copy_from_slice(bytes);
        reseal(&mut frame);
        let bad = FrameView::parse(frame, AT).expect_err(&format!("{fault:?}"));
        assert_eq!((bad.fault, bad.at), (*fault, *place), "{fault:?}");
    }
}

/// Checksums can be made by anybody: what was written without the key is a frame, and not ours.
#[test]
fn the_tag_is_of_every_byte_and_of_one_key() {
    let bytes = encoded(&sample());
    let tagged = HEADER_BYTES + u32::from_be_bytes(bytes[48..52].try_into().unwrap()) as usize - TAG_BYTES;
    let parsed = |bytes: &[u8]| FrameView::parse(bytes.to_vec(), AT).unwrap();
    assert!(parsed(&bytes).is_tagged_by(&key()));
    assert!(!parsed(&bytes).is_tagged_by(&FrameKey::from_bytes([7; 32])));
    let mut accepted = 0;
    // The header's checksum follows from the rest, and is made right again.
    let header_checksum = HEADER_BYTES - CRC_BYTES..HEADER_BYTES;
    for at in (0..tagged + TAG_BYTES).filter(|at| !header_checksum.contains(at)) {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let tag = bytes[tagged..tagged + TAG_BYTES].to_vec();
        reseal(&mut forged);
        if at < tagged {
            forged[tagged..tagged + TAG_BYTES].copy_from_slice(&tag);
        } else {
            forged[at] ^= 1;
        }
        let crc = crc32c::crc32c(&forged[HEADER_BYTES..tagged + TAG_BYTES]).to_be_bytes();
        forged[tagged + TAG_BYTES..tagged + TAG_BYTES + CRC_BYTES].copy_from_slice(&crc);
        assert_ne!(forged, bytes, "byte {at}");
        if let Ok(view) = FrameView::parse(forged, AT) {
            assert!(!view.is_tagged_by(&key()), "byte {at}");
            accepted += 1;
        }
    }
    assert!(accepted > 400, "most changes are frames by their checksums: {accepted}");
}

#[test]
fn frames_that_cannot_be_written_are_refused_in_words() {
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut frame = sample();
        change(&mut frame);
        frame.encode(AT, &[0; 32], &key(), &mut Vec::new()).unwrap_err()
    };
    let refused = [
        with(&|frame| frame.entries[1] = vec![0; 65_536]),
        with(&|frame| frame.checkpoint = vec![0; CHECKPOINT_BYTES_MAX + 1]),
        with(&|frame| frame.payloads[1].entry = 3),
        with(&|frame| frame.payloads.reverse()),
        with(&|frame| frame.payloads[0].aead = 0),
        with(&|frame| frame.first_index = u64::MAX - 1),
        with(&|frame| frame.payloads[0].ciphertext = vec![0; 64 << 20]),
        with(&|frame| frame.entries.clear()),
    ];
    let words = refused.each_ref().map(ToString::to_string);
    assert!(matches!(refused[0], FrameError::EntryTooLong { entry: 1, bytes: 65_536 }), "{words:#?}");
    assert!(matches!(refused[1], FrameError::CheckpointTooLong { .. }), "{words:#?}");
    assert!(matches!(refused[2], FrameError::PayloadWithoutEntry { payload: 1, .. }), "{words:#?}");
    assert!(matches!(refused[3], FrameError::PayloadOutOfOrder { payload: 1 }), "{words:#?}");
    assert!(matches!(refused[4], FrameError::UnknownCipher { payload: 0, aead: 0 }), "{words:#?}");
    assert!(matches!(refused[5], FrameError::IndexOverflow), "{words:#?}");
    assert!(matches!(refused[6], FrameError::TooLarge { .. }), "{words:#?}");
    assert!(matches!(refused[7], FrameError::PayloadWithoutEntry { entries: 0, .. }), "{words:#?}");
}

/// Fixed for ever: the vectors of `docs/format.md`, made there by a few lines of Python.
#[test]
fn the_bytes_are_the_documented_ones() {
    let marker =
        Frame { epoch: 1, first_index: 5, checkpoint: b"cp".to_vec(), entries: vec![], payloads: vec![] };
    let payload = SealedPayload {
        entry: 0,
        key_epoch: 9,
        aead: XCHACHA20_POLY1305,
        kid: std::array::from_fn(|n| u8::try_from(n).unwrap()),
        ciphertext: vec![0xaa, 0xbb, 0xcc],
    };
    let full = Frame {
        epoch: 3,
        first_index: 7,
        entries: vec![b"{}".to_vec()],
        payloads: vec![payload],
        ..marker.clone()
    };
    let mut bytes = Vec::new();
    let hash = marker.encode(Position { segment: 0, offset: 4096 }, &[0x11; 32], &key(), &mut bytes).unwrap();
    let (written, padding) = bytes.split_at(MARKER_BYTES.len() / 2);
    assert_eq!(hex::encode(written), MARKER_BYTES);
    assert_eq!(hex::encode(hash), MARKER_HASH);
    assert!(padding.iter().all(|byte| *byte == 0) && bytes.len() == 4096);
    full.encode(Position { segment: 2, offset: 0 }, &hash, &key(), &mut bytes).unwrap();
    assert_eq!(hex::encode(&bytes[..FULL_BYTES.len() / 2]), FULL_BYTES);
}

const MARKER_BYTES: &str = concat!(
    "46534a3100020000000000000000000000000000000010000000000000000001000000000000000500000000",
    "00000000000000261111111111111111111111111111111111111111111111111111111111111111064b63d3",
    "0000000263701cd4e1c834211368101a74710d224162641d08fa908223c8bbf1586e70c73a6219b56df5",
);
const MARKER_HASH: &str = "9d80490067eb7d9d6034c108c9fee4ed4fc41950a483bf3e4eb0bc9e25fa2f32";
const FULL_BYTES: &str = concat!(
    "46534a3100020000000000000000000200000000000000000000000000000003000000000000000700000001",
    "000000010000004a9d80490067eb7d9d6034c108c9fee4ed4fc41950a483bf3e4eb0bc9e25fa2f32e3091604",
    "00000002637000027b7d000000000000000902000102030405060708090a0b0c0d0e0f00000003aabbcc6436",
    "f76e07d48d343ce4b8a89bbc2fe002bd03c47b953fc3ff05bbd03c1980f18bfa576e",
);

#[test]
fn the_encoder_allocates_once() {
    let mut bytes = Vec::new();
    sample().encode(AT, &[0; 32], &key(), &mut bytes).unwrap();
    let place = bytes.as_ptr();
    sample().encode(AT, &[0; 32], &key(), &mut bytes).unwrap();
    assert_eq!((bytes.as_ptr(), bytes.capacity()), (place, 4096));
}
