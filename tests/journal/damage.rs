//! Bytes that changed after they were acknowledged, and copies that are not the journal.

use super::*;

fn refused(disk: &FaultyDisk) -> RecoverError {
    let answer = recover(disk, Path::new(DIR), &key(), &Resume::Beginning, 0, &mut |_, _| Ok(()));
    match answer {
        Err(error) => error,
        Ok(recovered) => panic!("accepted: {recovered:?}"),
    }
}

/// Every byte of headers and of the bytes around a frame's parts, every 97th elsewhere, one bit each.
#[test]
fn every_flipped_bit_is_refused_even_in_the_last_frame() {
    let disk = FaultyDisk::new(0);
    let frames = written(&disk);
    assert!(frames.last().unwrap().0.segment >= 3, "{frames:?}");
    for (n, (at, frame)) in frames.iter().enumerate() {
        let len = frame.encoded_len().unwrap() as u64;
        let path = segment(at.segment);
        let sampled = (0..120).chain((120..len - 40).step_by(997)).chain(len - 40..len);
        for offset in sampled {
            let bit = (offset % 8) as u8;
            assert!(disk.flip_bit(Path::new(&path), at.offset + offset, bit));
            match refused(&disk) {
                RecoverError::Corrupt { position, followed_by, .. } => {
                    assert_eq!(position, *at, "byte {offset} of frame {n}");
                    assert!(followed_by.is_some() || n + 1 == frames.len(), "byte {offset} of frame {n}");
                }
                other => panic!("{other}"),
            }
            assert!(disk.flip_bit(Path::new(&path), at.offset + offset, bit));
        }
    }
    assert!(recover(&disk, Path::new(DIR), &key(), &Resume::Beginning, 0, &mut |_, _| Ok(())).is_ok());
}

/// A frame with everything that can be computed from what lies in the directory, but without the key.
#[test]
fn a_frame_without_the_key_is_refused_wherever_it_stands() {
    let disk = FaultyDisk::new(0);
    let mut journal = create(&disk).unwrap();
    must_append(&mut journal, 1, 2, 100);
    drop(journal);
    for behind in [0, 1] {
        let disk = disk.snapshot();
        let stranger = FrameKey::from_bytes([8; 32]);
        // A writer with another key appends to a copy that it did not have to recover.
        let (last, _) = open(&disk, 2).map(|(journal, recovered, _)| (journal.head(), recovered)).unwrap();
        let forged = frame(last.epoch, 2, 9, 3, 200);
        let mut bytes = Vec::new();
        let hash = forged.encode(last.end, &last.last_frame_hash, &stranger, &mut bytes).unwrap();
        overwrite(&disk, last.end, &bytes);
        if behind == 1 {
            let at = Position { offset: last.end.offset + bytes.len() as u64, ..last.end };
            let marker = frame(last.epoch, 5, 9, 0, 0);
            marker.encode(at, &hash, &stranger, &mut bytes).unwrap();
            overwrite(&disk, at, &bytes);
        }
        assert!(verify(&disk, Path::new(DIR)).unwrap().is_sound(), "checksums and chain say nothing");
        let before = disk.contents(Path::new(&segment(0))).unwrap();
        match open(&disk, 2).map(drop) {
            Err(JournalError::Recover(RecoverError::NotTagged { position })) => {
                assert_eq!(position, last.end);
            }
            other => panic!("{other:?}"),
        }
        assert!(disk.contents(Path::new(&segment(0))).unwrap() == before, "nothing was changed");
    }
}

fn overwrite(disk: &FaultyDisk, at: Position, bytes: &[u8]) {
    let path = segment(at.segment);
    let mut contents = disk.contents(Path::new(&path)).unwrap();
    contents[at.offset as usize..][..bytes.len()].copy_from_slice(bytes);
    disk.place(Path::new(&path), &contents).unwrap();
}

/// The one window: whole sectors of the last frame turned to zeros look torn. A known head or a marker closes it.
#[test]
fn zeroed_sectors_of_the_last_frame_look_torn_unless_a_head_or_marker_tells() {
    for (sector, marked) in [(0, false), (3, false), (0, true), (3, true)] {
        let disk = FaultyDisk::new(0);
        let frames = written(&disk);
        let (at, last) = frames.last().unwrap();
        if marked {
            let (mut journal, ..) = open(&disk, 0).unwrap();
            must_append(&mut journal, 1, 0, 0);
        }
        overwrite(&disk, Position { offset: at.offset + sector * 512, ..*at }, &[0; 512]);
        if marked {
            let error = refused(&disk);
            assert!(matches!(error, RecoverError::Corrupt { followed_by: Some(_), .. }), "{error}");
            continue;
        }
        let known = last.first_index + last.entries.len() as u64;
        let covered = open(&disk, known).map(|_| ()).unwrap_err();
        assert!(matches!(covered, JournalError::Recover(RecoverError::HeadAhead { .. })), "{covered}");
        let (journal, recovered, seen) = open(&disk, last.first_index).unwrap();
        assert_eq!(recovered.truncated.unwrap().position, *at);
        assert_eq!((seen.len(), journal.head().size), (frames.len() - 1, last.first_index));
        drop(journal);
        assert!(verify(&disk, Path::new(DIR)).unwrap().is_sound(), "the torn tail is gone");
    }
}

#[test]
fn an_older_copy_a_missing_segment_or_a_foreign_one_is_refused() {
    let disk = FaultyDisk::new(0);
    let mut journal = create(&disk).unwrap();
    must_append(&mut journal, 1, 2, 100);
    let backup = disk.snapshot();
    let (at, _) = must_append(&mut journal, 2, 2, 100);
    let hash = journal.head().last_frame_hash;
    let answer = open(&backup, 4).map(|_| ()).unwrap_err();
    assert!(
        matches!(answer, JournalError::Recover(RecoverError::HeadAhead { known: 4, held: 2 })),
        "{answer}"
    );
    let resume = Resume::After { frame: at, hash };
    let answer = recover(&backup, Path::new(DIR), &key(), &resume, 0, &mut |_, _| Ok(())).unwrap_err();
    assert!(matches!(answer, RecoverError::Read(ReadError::NotThere(found)) if found == at), "{answer}");
    let resume = Resume::After { frame: at, hash: [1; 32] };
    let answer = recover(&disk, Path::new(DIR), &key(), &resume, 0, &mut |_, _| Ok(())).unwrap_err();
    assert!(matches!(answer, RecoverError::ResumeMismatch { .. }), "{answer}");

    let disk = FaultyDisk::new(0);
    written(&disk);
    let foreign = FaultyDisk::new(0);
    let mut journal = create(&foreign).unwrap();
    (0..11).for_each(|n| drop(must_append(&mut journal, n + 1, 1 + n as u32 % 3, 4_000 + 500 * n as usize)));
    let middle = segment(1);
    let own = disk.contents(Path::new(&middle)).unwrap();
    disk.place(Path::new(&middle), &foreign.contents(Path::new(&middle)).unwrap()).unwrap();
    assert!(matches!(refused(&disk), RecoverError::Corrupt { position: Position { segment: 1, .. }, .. }));
    disk.place(Path::new(&middle), &vec![0; own.len()]).unwrap();
    assert!(matches!(refused(&disk), RecoverError::Corrupt { .. }), "an emptied segment inside");
    disk.place(Path::new(&middle), &own[..own.len() - 1]).unwrap();
    assert!(matches!(refused(&disk), RecoverError::Read(ReadError::SegmentLength { segment: 1, .. })));
    disk.remove(Path::new(&middle)).unwrap();
    assert!(matches!(refused(&disk), RecoverError::Read(ReadError::SegmentMissing { segment: 1 })));
    disk.place(Path::new(&middle), &own).unwrap();
    disk.place(Path::new(&segment(0)).with_file_name("1.seg").as_path(), &own).unwrap();
    assert!(matches!(refused(&disk), RecoverError::Read(ReadError::StrangeName { .. })));
}

#[test]
fn anything_but_zeros_behind_the_last_frame_is_noticed() {
    let disk = FaultyDisk::new(0);
    let frames = written(&disk);
    let end = |n: usize| {
        let (at, frame) = &frames[n];
        Position { offset: at.offset + frame.encoded_len().unwrap() as u64, ..*at }
    };
    // Behind the last frame of a segment that others follow, and in a prepared one: no torn write reaches there
    // alone.
    let inner = (0..frames.len() - 1).find(|n| frames[n + 1].0.segment != frames[*n].0.segment).unwrap();
    let prepared = Position { segment: end(frames.len() - 1).segment + 1, offset: 8192 };
    let last = Position { offset: SEGMENT - 1, ..end(frames.len() - 1) };
    overwrite(&disk, Position { offset: SEGMENT - 1, ..end(inner) }, &[1]);
    assert!(matches!(refused(&disk), RecoverError::Corrupt { position, .. } if position == end(inner)));
    overwrite(&disk, Position { offset: SEGMENT - 1, ..end(inner) }, &[0]);
    for both in [false, true] {
        overwrite(&disk, last, &[1]);
        overwrite(&disk, prepared, &[u8::from(both)]);
        let answer = recover(&disk, Path::new(DIR), &key(), &Resume::Beginning, 0, &mut |_, _| Ok(()));
        let torn = answer.map(|recovered| recovered.truncated.map(|tail| tail.position));
        if both {
            assert!(matches!(torn, Err(RecoverError::Corrupt { .. })), "{torn:?}");
        } else {
            assert_eq!(torn.unwrap(), Some(end(frames.len() - 1)));
        }
        let report = verify(&disk, Path::new(DIR)).unwrap();
        assert_eq!((report.problems.len(), report.problems[0].torn_tail), (1, !both), "{report:?}");
        assert!(!report.is_sound());
    }
    let audit = frames_from(&disk, Path::new(DIR), Position { segment: 0, offset: 0 }).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = audit.partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (frames.len(), 1));
}

/// A frame that did not fit its segment was torn in the next one. That segment is made anew: what was torn
/// must not lie in wait behind frames that still fit the old one.
#[test]
fn a_frame_torn_at_the_beginning_of_a_segment_leaves_nothing_behind() {
    for (seed, sectors) in [(0, 0), (1, 1), (2, 9), (3, 30)] {
        let disk = FaultyDisk::new(seed);
        let mut journal = create(&disk).unwrap();
        must_append(&mut journal, 1, 3, 8_000);
        disk.inject(Trigger::Mutation(disk.mutations() + 7), Fault::Torn { sectors });
        let (_, answer) = append(&mut journal, 2, 3, 8_000);
        assert!(matches!(answer, Append::Unknown(_)), "{:#?}", disk.ops());
        let at = Position { segment: 1, offset: 0 };
        let disk = disk.restart();
        if sectors == 0 {
            // The first sectors are lost, later ones are not.
            overwrite(&disk, Position { offset: 8_192, ..at }, &[7; 5_000]);
        }
        let (mut journal, recovered, seen) = open(&disk, 3).unwrap();
        assert_eq!((seen.len(), recovered.truncated.map(|tail| tail.position)), (1, Some(at)));
        must_append(&mut journal, 3, 0, 0);
        drop(journal);
        let report = verify(&disk, Path::new(DIR)).unwrap();
        assert!(report.is_sound(), "{sectors} sectors: {report:?}");
        assert_eq!(open(&disk, 3).unwrap().2.len(), 2);
    }
}

/// The checksum's last byte, alone in its sector, is zero in one frame of 256: that is no lost sector.
#[test]
fn a_checksum_that_ends_in_zero_does_not_make_damage_look_torn() {
    for salt in 0..=u64::MAX {
        let disk = FaultyDisk::new(0);
        let mut journal = create(&disk).unwrap();
        let mut frame = frame(1, 0, salt, 1, 700);
        frame.payloads.clear();
        frame.entries[0].extend(salt.to_be_bytes());
        let unpadded = |frame: &Frame| 88 + 4 + frame.checkpoint.len() + 2 + frame.entries[0].len() + 32 + 4;
        while unpadded(&frame) % 512 != 1 {
            frame.entries[0].push(7);
        }
        let answer = journal.append(&Expected { epoch: 1, size: 0 }, &frame);
        assert!(matches!(answer, Append::Appended(_)));
        let bytes = disk.contents(Path::new(&segment(0))).unwrap();
        let len = unpadded(&frame);
        let lost = |disk: &FaultyDisk| overwrite(disk, Position { segment: 0, offset: len as u64 - 1 }, &[0]);
        if bytes[len - 1] != 0 {
            // Lost alone, it is a torn write.
            lost(&disk);
            assert!(open(&disk, 0).unwrap().1.truncated.is_some());
            continue;
        }
        assert!(disk.flip_bit(Path::new(&segment(0)), 200, 3));
        assert!(matches!(refused(&disk), RecoverError::Corrupt { .. }));
        return;
    }
}
