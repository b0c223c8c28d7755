//! Every byte of a data directory at rest, accounted for.
//!
//! The journal is the truth: its leaves are hashed, linked and compared with every signed checkpoint in it, and whatever
//! is derived (tiles, snapshots, index) is compared with what they say. With the ledger's keys also payloads, the head
//! file and the contents of snapshots and index are opened. Nothing is written.

pub(super) mod commitments;
mod open_keys;
pub(super) mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::open_keys::OpenKeys;
use self::walk::{Trusted, Walk};
use super::at_rest::{last_checkpoint, last_whole_checkpoint};
use super::checked_file::CheckedFile;
use super::layout::{DATA_FORMAT, Layout};
use super::packs::Packs;
use super::snapshot;
use crate::disk::{Disk, EntryKind, OpenMode, TEMPORARY_SUFFIX, read_file};
use crate::evidence::Report;
use crate::evidence::verify::check_checkpoint;
use crate::journal::{self, VerifyReport};
use crate::note::TrustPolicy;

/// What the checker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// No keys of the ledger: an auditor.
    None,
    /// The key directory: an operator.
    Layout,
}

/// Checks a data directory. Without a trust policy the log key of the key directory is trusted, if that is held.
/// `progress` is told (leaves done, leaves in all).
pub fn check(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    keys: Keys,
    trust: Option<&TrustPolicy>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    check_upto(disk, layout, keys, trust, None, progress)
}

/// As an auditor's [`check`], of the leaves up to the first signed checkpoint that covers `upto` of them; of those behind
/// it only that their bytes are whole.
pub fn check_first(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    upto: u64,
    trust: Option<&TrustPolicy>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    check_upto(disk, layout, Keys::None, trust, Some(upto), progress)
}

fn check_upto(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    keys: Keys,
    trust: Option<&TrustPolicy>,
    upto: Option<u64>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    let mut report = Report::new("data directory");
    let check = Check { disk, layout };
    // Held while reading, so that no service starts to write meanwhile.
    let _lock = match check.lock(&mut report) {
        Ok(lock) => lock,
        Err(()) => return report,
    };
    let keys = match keys {
        Keys::None => None,
        Keys::Layout => match OpenKeys::open(disk, layout) {
            Ok(keys) => Some(keys),
            Err(problem) => {
                report.undecided("keys can be opened", problem);
                return report;
            }
        },
    };
    let own = keys.as_ref().map(OpenKeys::trust);
    let trust = trust.or(own.as_ref());
    check.files(&mut report);
    check.format(&mut report);
    let Some(journal) = check.journal(&mut report, upto) else { return report };
    if !check.checkpoint(&mut report, trust, !journal.is_sound()) {
        return report;
    }
    let Some(trust) = trust else { return report };
    let packs = Packs::at(Arc::clone(disk), &layout.tiles());
    let mut walk = Walk::new(Trusted::new(trust), &packs, keys.as_ref()).upto(upto);
    let walked = walk.run(&**disk, &layout.journal(), journal.next_index, progress);
    walk.conclude(&mut report, walked);
    check.trust_file(&mut report, trust);
    check.snapshots(&mut report);
    check.index(&mut report);
    report.not_checked("that decisions follow from their policies (an auditor's replay does that)");
    report.not_checked("actions that were never submitted");
    report.not_checked("that this is the newest state of the log: compare it with a checkpoint you kept");
    if keys.is_none() {
        report.not_checked("payloads: leaves commit to them, opening them needs the ledger's keys");
    }
    report
}

pub(super) struct Check<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) layout: &'a Layout,
}

impl Check<'_> {
    pub(super) fn lock(&self, report: &mut Report) -> Result<Option<crate::disk::DiskLock>, ()> {
        let path = self.layout.lock();
        if !self.disk.exists(&path).unwrap_or(false) {
            return Ok(None);
        }
        match self.disk.lock_exclusive(&path) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => {
                report.undecided("data directory is at rest", "a service has it open");
                report.hint = Some("audit the service's URL, or a copy made while it is stopped".to_owned());
                Err(())
            }
            Err(error) => {
                report.undecided(
                    "data directory is at rest",
                    format!("whether a service has it open cannot be told: {}: {error}", path.display()),
                );
                report.hint = Some(
                    "run it as a user who may read that file, or on a copy made while the service is stopped"
                        .to_owned(),
                );
                Err(())
            }
        }
    }

    /// Nothing lies in the directory that no part of the ledger put there.
    fn files(&self, report: &mut Report) {
        let name = "only the ledger's files are there";
        let mut strange = Vec::new();
        let mut collect =
            |directory: &Path, belongs: &dyn Fn(&str, Option<EntryKind>) -> bool| -> io::Result<()> {
                if !self.disk.exists(directory)? {
                    return Ok(());
                }
                for file in self.disk.read_dir(directory)? {
                    let kind = self.disk.kind(&directory.join(&file))?;
                    // What a crash left of an atomic write goes at the next start, and is read by nobody.
                    if !belongs(&file, kind) && !file.ends_with(TEMPORARY_SUFFIX) {
                        strange.push(directory.join(&file).display().to_string());
                    }
                }
                Ok(())
            };
        let top = ["format", "index.redb", "journal", "lock", "snapshots", "tiles", "trust.policy"];
        // The root of a file system of its own has a directory for what a repair finds.
        let found = |file: &str, kind| file == "lost+found" && kind == Some(EntryKind::Directory);
        let read = collect(&self.layout.data, &|file, kind| top.contains(&file) || found(file, kind))
            .and_then(|()| collect(&self.layout.snapshots(), &|file, _| file.ends_with(".snap")));
        match read {
            Err(error) => report.undecided(name, error.to_string()),
            Ok(()) if strange.is_empty() => {}
            Ok(()) => report.failed(name, strange.join(", ")),
        }
        let lock = read_file(&**self.disk, &self.layout.lock(), 1);
        if lock.is_ok_and(|bytes| !bytes.is_empty()) {
            report.failed(name, "the lock file is not empty");
        }
    }

    fn format(&self, report: &mut Report) {
        let name = "format is known";
        match read_file(&**self.disk, &self.layout.format(), 64) {
            Ok(bytes) if bytes == format!("foreseal data {DATA_FORMAT}\n").as_bytes() => {
                report.passed(name, format!("{DATA_FORMAT}"));
            }
            // The journal below says which format it is in; a format file that says otherwise was changed.
            Ok(bytes) => {
                report.failed(name, format!("the format file says {:?}", String::from_utf8_lossy(&bytes)));
            }
            Err(error) => report.failed(name, format!("the format file: {error}")),
        }
    }

    /// With `upto`, a torn end is let be: what is asked about lies before it, or the walk does not come so far.
    pub(super) fn journal(&self, report: &mut Report, upto: Option<u64>) -> Option<VerifyReport> {
        let name = "journal is whole";
        let found = match journal::verify(&**self.disk, &self.layout.journal()) {
            Ok(found) => found,
            Err(error) => {
                report.failed(name, error.to_string());
                return None;
            }
        };
        if found.is_sound() {
            let detail =
                format!("{} frames, every one of {} bytes accounted for", found.frames, found.total_bytes);
            report.passed(name, detail);
            return Some(found);
        }
        let detail = found.problems.iter().map(|problem| format!("{}: {}", problem.position, problem.bad));
        let detail = detail.collect::<Vec<_>>().join("; ");
        let is_torn = found.problems.iter().all(|problem| problem.torn_tail);
        if is_torn && upto.is_some() {
            report.not_checked(format!("bytes behind the last whole frame: {detail}"));
            return Some(found);
        }
        if is_torn {
            // Nothing here tells a crash from a hand, so it is not let pass as one.
            report.failed(
                name,
                format!("bytes after the last whole frame: a torn write, or tampering: {detail}"),
            );
            report.hint = Some(
                "if the service crashed, start it: recovery cuts off what was never acknowledged, and says so; of a copy that was made while it ran, audit what is signed with --upto".to_owned(),
            );
        } else {
            report.failed(name, detail);
        }
        None
    }

    /// The newest checkpoint in the journal, under the keys that the checker trusts.
    pub(super) fn checkpoint(&self, report: &mut Report, trust: Option<&TrustPolicy>, is_torn: bool) -> bool {
        let read = if is_torn { last_whole_checkpoint } else { last_checkpoint };
        match read(&**self.disk, &self.layout.data) {
            Ok(Some(note)) => {
                check_checkpoint(report, "newest checkpoint in the journal", &note, trust).is_some()
            }
            Ok(None) => {
                report.undecided("newest checkpoint in the journal", "the journal is empty");
                false
            }
            Err(error) => {
                report.failed("newest checkpoint in the journal", error.to_string());
                false
            }
        }
    }

    fn trust_file(&self, report: &mut Report, trust: &TrustPolicy) {
        let name = "trust.policy in the directory names the log's key";
        let text = read_file(&**self.disk, &self.layout.trust(), 1 << 20).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        // A person may have put a note in it; what it says to a verifier must be what `init` wrote.
        let said: String =
            text.split_inclusive('\n').filter(|line| *line != "\n" && !line.starts_with('#')).collect();
        let expected = trust.logs().iter().map(|log| format!("log {}\nquorum none\n", log.key));
        if expected.into_iter().any(|expected| expected == said) {
            report.passed(name, "");
        } else {
            report.failed(name, "but for comments, it is not what `init` wrote for the trusted key");
        }
    }

    fn snapshots(&self, report: &mut Report) {
        let name = "snapshots are whole";
        match snapshot::list(&**self.disk, &self.layout.snapshots()) {
            Err(error) => report.undecided(name, error.to_string()),
            Ok(files) => {
                let bad =
                    files.iter().filter_map(|file| Some((file, snapshot::check(&**self.disk, file).err()?)));
                let bad: BTreeMap<_, _> =
                    bad.map(|(file, error)| (file.display().to_string(), error.to_string())).collect();
                if bad.is_empty() {
                    report.passed(name, format!("{}", files.len()));
                } else {
                    report.failed(name, format!("{bad:?}"));
                }
            }
        }
    }

    fn index(&self, report: &mut Report) {
        let name = "index's blocks match their checksums";
        let path = self.layout.index();
        if !self.disk.exists(&path).unwrap_or(false) {
            report.not_checked("the index: there is none; the next start makes it");
            return;
        }
        let checked =
            self.disk.open(&path, OpenMode::Read).and_then(CheckedFile::new).and_then(|file| file.verify());
        match checked {
            Ok(()) => report.passed(name, ""),
            Err(error) => report.failed(name, error.to_string()),
        }
    }
}
