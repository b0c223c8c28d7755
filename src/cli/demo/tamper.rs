//! A copy of the ledger with one bit flipped: what an audit makes of it.

use std::path::{Path, PathBuf};

use super::super::output::{self, Failure, data};
use super::super::{audit, files};
use crate::disk::{DirMode, Disk, EntryKind, FileMode, OpenMode, RealDisk, create_dir_durably, read_file};
use crate::evidence::Verdict;
use crate::evidence::audit::Leaves;
use crate::ledger::layout::Layout;
use crate::note::TrustPolicy;

const FILE_MAX_BYTES: u64 = 1 << 30;

/// Copies the data directory, flips one bit of a sealed entry, audits the copy, and removes it.
pub(super) fn flip_and_audit(layout: &Layout, trust: &TrustPolicy) -> Result<bool, Failure> {
    let mut name = layout.data.as_os_str().to_owned();
    name.push(".tampered");
    let copy = PathBuf::from(name);
    let disk = files::disk();
    let failure = |error: std::io::Error| {
        Failure::new(
            format!("copying to {}: {error}", copy.display()),
            "check that there is room on the disk",
        )
    };
    RealDisk.remove_tree(&copy).map_err(failure)?;
    copy_tree(&*disk, &layout.data, &copy).map_err(failure)?;
    let flipped = flip(&*disk, &Layout::new(&copy, None).journal()).map_err(failure)?;
    data(&flipped);
    let report = audit::directory(&copy, Leaves::Entries, Some(trust))?;
    for line in output::lines(&report) {
        data(&line);
    }
    RealDisk.remove_tree(&copy).map_err(failure)?;
    Ok(report.verdict == Verdict::Invalid)
}

/// Flips the bit in a digit of the first frame's entries.
fn flip(disk: &dyn Disk, journal: &Path) -> std::io::Result<String> {
    let segment = journal.join("00000000.seg");
    let bytes = read_file(disk, &segment, FILE_MAX_BYTES)?;
    let found = bytes.windows(9).position(|window| window == b"\"type\":\"o");
    let at = found.ok_or(std::io::ErrorKind::NotFound)? + 8;
    let file = disk.open(&segment, OpenMode::ReadWrite)?;
    let byte = bytes.get(at).copied().unwrap_or_default();
    file.write_all_at(&[byte ^ 1], at as u64)?;
    Ok(format!("flipped one bit of byte {at} of {}", segment.display()))
}

fn copy_tree(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<()> {
    create_dir_durably(disk, to, DirMode::Private)?;
    for name in disk.read_dir(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        if disk.kind(&source)? == Some(EntryKind::Directory) {
            copy_tree(disk, &source, &target)?;
        } else {
            let bytes = read_file(disk, &source, FILE_MAX_BYTES)?;
            disk.open(&target, OpenMode::CreateNew(FileMode::Private))?.write_all_at(&bytes, 0)?;
        }
    }
    Ok(())
}
