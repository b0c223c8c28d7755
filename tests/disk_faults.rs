//! The simulated disk is an oracle, so it is tested first: what was synced is never lost, what was not may be
//! lost in any part, and without faults it answers as the machine's own disk does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use foreseal::disk::{
    DirMode, Disk, EntryKind, Fault, FaultyDisk, FileMode, OpenMode, RealDisk, Survival, Trigger, Volatile,
    create_dir_durably, read_file, remove_stale_temporaries, temporary_path, write_file_atomically,
};
use proptest::prelude::*;

const SECTOR: usize = 512;

fn disk_with(path: &str, bytes: &[u8]) -> FaultyDisk {
    let disk = FaultyDisk::new(1);
    disk.place(Path::new(path), bytes).unwrap();
    disk
}

/// One step of a random history, on a handful of names.
#[derive(Debug, Clone)]
enum Step {
    CreateDir(usize),
    Create(usize),
    Write { file: usize, offset: u64, len: usize, byte: u8 },
    SetLen(usize, u64),
    Read { file: usize, offset: u64, len: usize },
    Rename(usize, usize),
    Remove(usize),
    List(usize),
    Sync(usize),
    Kind(usize),
    Whole { file: usize, limit: u64 },
    Atomically { file: usize, len: usize, byte: u8 },
}

const FILES: [&str; 6] = ["a", "b", "d/a", "d/b", "d/e/c", "a/under-a-file"];
const DIRS: [&str; 4] = ["d", "d/e", "a", "missing"];

fn step() -> impl Strategy<Value = Step> {
    let file = 0..FILES.len();
    prop_oneof![
        (0..DIRS.len()).prop_map(Step::CreateDir),
        file.clone().prop_map(Step::Create),
        (file.clone(), 0..10_000_u64, 0..9_000_usize, any::<u8>())
            .prop_map(|(file, offset, len, byte)| Step::Write { file, offset, len, byte }),
        (file.clone(), 0..20_000_u64).prop_map(|(file, len)| Step::SetLen(file, len)),
        (file.clone(), 0..12_000_u64, 0..9_000_usize).prop_map(|(file, offset, len)| Step::Read {
            file,
            offset,
            len
        }),
        (file.clone(), file.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        file.clone().prop_map(Step::Remove),
        (0..DIRS.len()).prop_map(Step::List),
        file.clone().prop_map(Step::Sync),
        file.clone().prop_map(Step::Kind),
        (file.clone(), 0..12_000_u64).prop_map(|(file, limit)| Step::Whole { file, limit }),
        (file, 0..9_000_usize, any::<u8>()).prop_map(|(file, len, byte)| Step::Atomically {
            file,
            len,
            byte
        }),
    ]
}

/// Does the step and tells what was answered; errors by their kind.
fn answer(disk: &dyn Disk, root: &Path, step: &Step) -> Result<String, ErrorKind> {
    let file = |n: &usize| root.join(FILES[*n]);
    let open = |n: &usize, mode| disk.open(&file(n), mode);
    let done = match step {
        Step::CreateDir(n) => {
            disk.create_dir_all(&root.join(DIRS[*n]), DirMode::Shared).map(|()| String::new())
        }
        Step::Create(n) => open(n, OpenMode::CreateNew(FileMode::Private)).map(|_| String::new()),
        Step::Write { file, offset, len, byte } => open(file, OpenMode::ReadWrite)
            .and_then(|file| file.write_all_at(&vec![*byte; *len], *offset).and_then(|()| file.len()))
            .map(|len| len.to_string()),
        Step::SetLen(n, len) => {
            open(n, OpenMode::ReadWrite).and_then(|file| file.set_len(*len)).map(|()| String::new())
        }
        Step::Read { file, offset, len } => open(file, OpenMode::Read).and_then(|file| {
            let mut buffer = vec![0; *len];
            file.read_exact_at(&mut buffer, *offset).map(|()| hex::encode(buffer))
        }),
        Step::Rename(from, to) => disk.rename(&file(from), &file(to)).map(|()| String::new()),
        Step::Remove(n) => disk.remove(&file(n)).map(|()| String::new()),
        Step::List(n) => disk.read_dir(&root.join(DIRS[*n])).map(|names| names.join(" ")),
        Step::Sync(n) => open(n, OpenMode::ReadWrite)
            .and_then(|file| file.sync_data().and_then(|()| file.sync_all()))
            .and_then(|()| disk.sync_dir(file(n).parent().unwrap()))
            .map(|()| String::new()),
        Step::Kind(n) => disk.kind(&file(n)).map(|kind| format!("{kind:?}")),
        Step::Whole { file: n, limit } => read_file(disk, &file(n), *limit).map(hex::encode),
        Step::Atomically { file: n, len, byte } => {
            write_file_atomically(disk, &file(n), &vec![*byte; *len], FileMode::Shared)
                .map(|()| String::new())
        }
    };
    // Linux has a word of its own for a file renamed onto a directory above it.
    done.map_err(|error| match error.kind() {
        ErrorKind::DirectoryNotEmpty => ErrorKind::IsADirectory,
        kind => kind,
    })
}

/// Whether a rename's source is a directory: not part of the seam, the machine would do it.
fn outside_the_seam(disk: &dyn Disk, root: &Path, step: &Step) -> bool {
    matches!(step, Step::Rename(from, _)
        if disk.kind(&root.join(FILES[*from])).unwrap() == Some(EntryKind::Directory))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_faults_memory_and_machine_answer_the_same(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let faulty = FaultyDisk::new(0);
        for step in &steps {
            if outside_the_seam(&faulty, Path::new("/"), step) {
                continue;
            }
            let expected = answer(&RealDisk, dir.path(), step);
            let found = answer(&faulty, Path::new("/"), step);
            prop_assert_eq!(found, expected, "{:?}", step);
        }
    }

    /// The model: the bytes at the last sync, and the bytes now. Each sector shows one or the other.
    #[test]
    fn a_power_cut_keeps_what_was_synced_and_any_sectors_of_the_rest(
        seed in any::<u64>(),
        before in prop::collection::vec((0..30_000_usize, 1..9_000_usize, any::<u8>()), 0..6),
        after in prop::collection::vec((0..30_000_usize, 1..9_000_usize, any::<u8>()), 0..6),
    ) {
        let disk = FaultyDisk::new(seed);
        let path = Path::new("f");
        let file = disk.open(path, OpenMode::CreateNew(FileMode::Shared)).unwrap();
        let mut now = Vec::new();
        let mut write = |(offset, len, byte): &(usize, usize, u8)| {
            file.write_all_at(&vec![*byte; *len], *offset as u64).unwrap();
            now.resize(now.len().max(offset + len), 0);
            now[*offset..offset + len].fill(*byte);
            now.clone()
        };
        let synced = before.iter().map(&mut write).last().unwrap_or_default();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let now = after.iter().map(&mut write).last().unwrap_or_else(|| synced.clone());
        disk.power_cut();
        prop_assert!(file.len().is_err(), "a handle outlived the power");
        let found = read_file(&disk.restart(), path, 1 << 20).unwrap();
        prop_assert!((synced.len()..=now.len()).contains(&found.len()));
        let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
        for start in (0..found.len()).step_by(SECTOR) {
            let range = start..(start + SECTOR).min(found.len());
            let same = |bytes: &[u8]| range.clone().all(|at| found[at] == byte(bytes, at));
            prop_assert!(same(&synced) || same(&now), "sector at {start} is neither old nor new");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_disk(seed in any::<u64>()) {
        let run = || {
            let disk = FaultyDisk::new(seed);
            for name in ["a", "b", "c"] {
                let file = disk.open(Path::new(name), OpenMode::CreateNew(FileMode::Shared)).unwrap();
                file.write_all_at(&[7; 20_000], 0).unwrap();
            }
            disk.power_cut();
            let disk = disk.restart();
            disk.paths().into_iter().map(|path| (disk.contents(&path), path)).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn every_page_length_and_name_can_be_lost_alone() {
    let prepare = || {
        let disk = disk_with("d/f", &[1; 8192]);
        disk.open(Path::new("d/f"), OpenMode::ReadWrite).unwrap().write_all_at(&[2; 12_288], 0).unwrap();
        disk.open(Path::new("d/g"), OpenMode::CreateNew(FileMode::Shared)).unwrap();
        disk.rename(Path::new("d/g"), Path::new("d/h")).unwrap();
        disk
    };
    let units = prepare().volatile();
    let pages = units.iter().filter(|unit| matches!(unit, Volatile::Page(..))).count();
    assert_eq!((units.len(), pages), (6, 3), "{units:?}");
    let mut outcomes = BTreeSet::new();
    for mask in 0..1_u32 << units.len() {
        let disk = prepare();
        let mut n = 0;
        disk.power_cut_with(|_| {
            n += 1;
            if mask >> (n - 1) & 1 == 1 { Survival::Kept } else { Survival::Lost }
        });
        let disk = disk.restart();
        let bytes = disk.contents(Path::new("d/f")).unwrap();
        outcomes.insert((bytes.iter().step_by(4096).copied().collect::<Vec<_>>(), disk.paths()));
    }
    // Two names change in two steps: neither, g, h (the rename alone or both). Pages 0 and 1 each old or new;
    // without the length no page 2, with it zeros or new.
    assert_eq!(outcomes.len(), 3 * 4 * 3, "{outcomes:#?}");
}

#[test]
fn torn_pages_keep_exactly_the_sectors_named() {
    let disk = disk_with("f", &[1; 4096]);
    disk.open(Path::new("f"), OpenMode::ReadWrite).unwrap().write_all_at(&[2; 4096], 0).unwrap();
    disk.power_cut_with(|_| Survival::Sectors(0b1000_0010));
    let bytes = disk.restart().contents(Path::new("f")).unwrap();
    let sectors = bytes.iter().step_by(SECTOR).copied().collect::<Vec<_>>();
    assert_eq!(sectors, [1, 2, 1, 1, 1, 1, 1, 2]);
}

#[test]
fn a_failed_sync_loses_what_reads_still_show_and_the_next_one_hides_it() {
    let mut lost = 0;
    for seed in 0..64 {
        let disk = FaultyDisk::new(seed);
        disk.place(Path::new("f"), &[1; 8192]).unwrap();
        disk.inject(Trigger::Mutation(1), Fault::FailSync);
        let file = disk.open(Path::new("f"), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[2; 8192], 0).unwrap();
        assert!(file.sync_data().is_err());
        assert_eq!(disk.contents(Path::new("f")).unwrap(), [2; 8192], "reads show what was written");
        file.sync_data().expect("the second sync has nothing to do: the trap");
        let disk = disk.restart();
        assert_eq!(disk.contents(Path::new("f")).unwrap(), [2; 8192], "the cache outlives the process");
        disk.evict_clean_pages();
        let shown = disk.contents(Path::new("f")).unwrap();
        assert_eq!(shown, disk.durable_contents(Path::new("f")).unwrap(), "evicted pages show the disk");
        lost += u32::from(shown != [2; 8192]);
    }
    assert!((32..64).contains(&lost), "some failed syncs lose, some do not: {lost}");
}

#[test]
fn an_atomic_write_shows_the_old_file_or_the_new_one_whatever_fails() {
    let path = Path::new("keys/head");
    let (old, new) = (vec![1; 9000], vec![2; 10_000]);
    let write = |disk: &FaultyDisk| write_file_atomically(disk, path, &new, FileMode::Private);
    let clean = disk_with("keys/head", &old);
    write(&clean).unwrap();
    let faults = [
        Fault::Error,
        Fault::ErrorButDone,
        Fault::Torn { sectors: 3 },
        Fault::FailSync,
        Fault::PowerCut,
        Fault::NoSpace,
        Fault::Freeze,
    ];
    for n in 0..=clean.operations() {
        for (fault, seed) in faults.into_iter().flat_map(|fault| (0..12).map(move |seed| (fault, seed))) {
            let disk = FaultyDisk::new(seed);
            disk.place(path, &old).unwrap();
            disk.inject(Trigger::Any(n), fault);
            let answered = write(&disk);
            disk.power_cut();
            let after = disk.restart();
            let found = read_file(&after, path, 1 << 20).unwrap();
            let context = format!("{fault:?} at {n}, seed {seed}: {answered:?}\n{:#?}", disk.ops());
            assert!(found == old || found == new, "{context}");
            assert!(answered.is_err() || found == new, "acknowledged and gone: {context}");
            remove_stale_temporaries(&after, Path::new("keys")).unwrap();
            assert_eq!(after.paths(), [path.to_path_buf()], "{context}");
            write(&after).unwrap();
        }
    }
}

#[test]
fn directories_made_durably_are_there_after_a_power_cut() {
    for seed in 0..16 {
        let disk = FaultyDisk::new(seed);
        create_dir_durably(&disk, Path::new("/a/b/c"), DirMode::Private).unwrap();
        create_dir_durably(&disk, Path::new("/a/b/c"), DirMode::Private).unwrap();
        disk.create_dir_all(Path::new("/x"), DirMode::Shared).unwrap();
        disk.power_cut_with(|_| Survival::Lost);
        let disk = disk.restart();
        assert_eq!(disk.kind(Path::new("/a/b/c")).unwrap(), Some(EntryKind::Directory));
        assert_eq!(disk.kind(Path::new("/x")).unwrap(), None, "not synced, lost");
    }
}

#[test]
fn locks_exclude_and_end_with_guard_or_process() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = FaultyDisk::new(0);
    for (disk, path) in [(&RealDisk as &dyn Disk, dir.path().join("lock")), (&faulty, "lock".into())] {
        let held = disk.lock_exclusive(&path).unwrap().expect("free");
        assert!(disk.lock_exclusive(&path).unwrap().is_none(), "{disk:?} gave it twice");
        drop(held);
        let _held = disk.lock_exclusive(&path).unwrap().expect("free again");
    }
    let _held = faulty.lock_exclusive(Path::new("lock")).unwrap().expect("free");
    assert!(faulty.restart().lock_exclusive(Path::new("lock")).unwrap().is_some(), "the process died");
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = disk_with("a", &[1; 1000]);
    disk.set_space(Some(1600));
    let file = disk.open(Path::new("b"), OpenMode::CreateNew(FileMode::Shared)).unwrap();
    assert_eq!(file.write_all_at(&[2; 700], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.contents(Path::new("b")).unwrap(), [2; 600]);
    assert_eq!(file.set_len(601).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.remove(Path::new("a")).unwrap();
    file.write_all_at(&[3; 1600], 0).unwrap();
}

#[test]
fn faults_strike_the_operation_they_name_and_freezing_lasts() {
    let disk = disk_with("f", &[0; 4096]);
    disk.inject(Trigger::Mutation(1), Fault::Torn { sectors: 2 });
    disk.inject(Trigger::Mutation(2), Fault::Lie);
    disk.inject(Trigger::Any(5), Fault::Freeze);
    let file = disk.open(Path::new("f"), OpenMode::ReadWrite).unwrap();
    file.write_all_at(&[1], 4095).unwrap();
    file.write_all_at(&[2; 4096], 0).unwrap_err();
    file.write_all_at(&[3; 4096], 0).expect("lied");
    let mut bytes = [9; 1025];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!((bytes[1023], bytes[1024]), (2, 0), "two sectors were written, the lie wrote nothing");
    assert!(file.len().is_err() && disk.exists(Path::new("f")).is_err(), "frozen");
    assert_eq!((disk.operations(), disk.mutations()), (7, 3), "{:#?}", disk.ops());
    assert!(disk.restart().exists(Path::new("f")).unwrap());
}

#[test]
fn a_snapshot_is_another_disk_and_a_flipped_bit_stays() {
    let disk = disk_with("f", &[0; 100]);
    let backup = disk.snapshot();
    assert!(disk.flip_bit(Path::new("f"), 99, 7));
    assert!(!disk.flip_bit(Path::new("f"), 100, 0), "no such byte");
    disk.power_cut();
    assert_eq!(disk.restart().contents(Path::new("f")).unwrap()[99], 0x80);
    assert_eq!(backup.contents(Path::new("f")).unwrap(), [0; 100]);
    assert!(backup.exists(Path::new("f")).unwrap(), "the original's power is not the copy's");
}

#[test]
fn private_files_and_directories_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys/deep");
    create_dir_durably(&RealDisk, &keys, DirMode::Private).unwrap();
    let file = keys.join("log.key");
    write_file_atomically(&RealDisk, &file, b"secret", FileMode::Private).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(keys.parent().unwrap()), mode(&file)), (0o700, 0o700, 0o600));
    assert!(!RealDisk.exists(&temporary_path(&file)).unwrap());
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let disk = disk_with("f", &[0; 100]);
    assert_eq!(read_file(&disk, Path::new("f"), 100).unwrap().len(), 100);
    let before = disk.operations();
    assert_eq!(read_file(&disk, Path::new("f"), 99).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(disk.operations() - before, 2, "opened and measured, nothing more");
    let _: Arc<dyn Disk> = Arc::new(disk);
}
