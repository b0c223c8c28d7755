//! The frame's bytes: what is written is read, what is read was written, all else is refused.

use proptest::prelude::*;

use super::frame::CRC_BYTES;
use super::*;

const AT: Position = Position { segment: 7, offset: 8192 };

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
    frame.encode(AT, &[8; 32], &mut bytes).unwrap();
    bytes
}

/// Makes both checksums fit again, if the body's length allows it.
fn reseal(bytes: &mut [u8]) {
    let body_len = u32::from_be_bytes(bytes[48..52].try_into().unwrap()) as usize;
    let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - CRC_BYTES]).to_be_bytes();
    bytes[HEADER_BYTES - CRC_BYTES..HEADER_BYTES].copy_from_slice(&crc);
    let end = HEADER_BYTES.saturating_add(body_len);
    if end + CRC_BYTES <= bytes.len() {
        let crc = crc32c::crc32c(&bytes[HEADER_BYTES..end]).to_be_bytes();
        bytes[end..end + CRC_BYTES].copy_from_slice(&crc);
    }
}

fn re_encoded(view: &FrameView) -> Vec<u8> {
    let mut again = Vec::new();
    let hash = view.to_frame().encode(view.header().position, &view.header().previous, &mut again).unwrap();
    assert_eq!(hash, view.hash());
    again
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(frame in frames(), previous in any::<[u8; 32]>()) {
        let mut bytes = vec![0xee; 10];
        let hash = frame.encode(AT, &previous, &mut bytes).unwrap();
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
        (4, &[0, 2], 4, FrameFault::Version(2)),
        (6, &[0, 1], 6, FrameFault::Flags),
        (32, &[0xff; 8], 32, FrameFault::IndexOverflow),
        (40, &[0xff; 4], 40, FrameFault::BodyEnds),
        (40, &[0, 1, 0, 0], 40, FrameFault::BodyEnds),
        (44, &[0xff; 4], 40, FrameFault::BodyEnds),
        (44, &[0, 0, 0, 1], payloads as u64 + 69, FrameFault::BodyTrailing),
        (48, &[0xff; 4], 48, FrameFault::TooLong),
        (48, &[0, 0, 0x20, 0], 48, FrameFault::TooLong),
        (HEADER_BYTES, &[0, 0x10, 0, 1], HEADER_BYTES as u64, FrameFault::CheckpointTooLong),
        (HEADER_BYTES, &[0, 0x10, 0, 0], HEADER_BYTES as u64 + 4, FrameFault::BodyEnds),
        (payloads, &[0, 0, 0, 3], payloads as u64, FrameFault::PayloadEntry(3)),
        (payloads + 69, &[0, 0, 0, 3], payloads as u64 + 69, FrameFault::PayloadEntry(3)),
        (payloads + 8, &[3], payloads as u64 + 8, FrameFault::PayloadCipher(3)),
        (payloads + 94, &[0, 0, 0, 1], body_end as u64, FrameFault::BodyEnds),
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

#[test]
fn frames_that_cannot_be_written_are_refused_in_words() {
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut frame = sample();
        change(&mut frame);
        frame.encode(AT, &[0; 32], &mut Vec::new()).unwrap_err()
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
    let hash = marker.encode(Position { segment: 0, offset: 4096 }, &[0x11; 32], &mut bytes).unwrap();
    let (written, padding) = bytes.split_at(MARKER_BYTES.len() / 2);
    assert_eq!(hex::encode(written), MARKER_BYTES);
    assert_eq!(hex::encode(hash), MARKER_HASH);
    assert!(padding.iter().all(|byte| *byte == 0) && bytes.len() == 4096);
    full.encode(Position { segment: 2, offset: 0 }, &hash, &mut bytes).unwrap();
    assert_eq!(hex::encode(&bytes[..FULL_BYTES.len() / 2]), FULL_BYTES);
}

const MARKER_BYTES: &str = concat!(
    "46534a3100010000000000000000000000000000000010000000000000000001000000000000000500000000",
    "000000000000000611111111111111111111111111111111111111111111111111111111111111115f2ec630",
    "000000026370dda6f715",
);
const MARKER_HASH: &str = "62caa336f254be277b89e02fa255f6fd7967333c346af093117d4310fa51e9f8";
const FULL_BYTES: &str = concat!(
    "46534a3100010000000000000000000200000000000000000000000000000003000000000000000700000001",
    "000000010000002a62caa336f254be277b89e02fa255f6fd7967333c346af093117d4310fa51e9f8066e3119",
    "00000002637000027b7d000000000000000902000102030405060708090a0b0c0d0e0f00000003aabbccc9ff",
    "93a9",
);

#[test]
fn the_encoder_allocates_once() {
    let mut bytes = Vec::new();
    sample().encode(AT, &[0; 32], &mut bytes).unwrap();
    let place = bytes.as_ptr();
    sample().encode(AT, &[0; 32], &mut bytes).unwrap();
    assert_eq!((bytes.as_ptr(), bytes.capacity()), (place, 4096));
}
