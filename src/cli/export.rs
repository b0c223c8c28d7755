//! `foreseal export tiles`: the log as plain files in the C2SP layout.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::arguments::{Export, ExportTiles, ExportWhat};
use super::files;
use super::output::{self, Failure, data};
use super::readers::TileDirectory;
use crate::disk::{Disk, FileMode, create_dir_durably, read_file, write_file_atomically};
use crate::evidence::audit::{LogReader, ReadLogError};
use crate::evidence::mirror::{BundledLeaves, LeafSource, MirrorError, TileWriter, mirror};
use crate::ledger::at_rest;
use crate::ledger::layout::Layout;
use crate::note::TrustPolicy;

/// Larger than any bundle.
const RESOURCE_MAX_BYTES: u64 = 17 << 20;

pub(super) fn run(what: &Export) -> Result<ExitCode, Failure> {
    match &what.what {
        Some(ExportWhat::Tiles(what)) => tiles(what),
        #[cfg(feature = "server")]
        None => super::export_bundle::run(&what.bundle),
        #[cfg(not(feature = "server"))]
        None => {
            Err(Failure::new("this build hands out no bundles", "it verifies them: `foreseal verify bundle`"))
        }
    }
}

fn tiles(what: &ExportTiles) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    if at_rest::is_data_directory(&*disk, &what.directory) {
        return Err(Failure::new(
            format!("{} is a ledger's data directory", what.directory.display()),
            "name a directory of its own for the tiles",
        ));
    }
    match (&what.data, &what.from) {
        (_, Some(from)) => {
            let trust = files::trust(what.trust.as_deref())?.ok_or_else(|| {
                Failure::new(
                    "a log is copied only when its checkpoint verifies, and no key to trust was given",
                    "pass --trust FILE, the tlog-policy file you got from the log's operator out of band",
                )
            })?;
            copy_log(what, &*reader(what, from)?, &trust)
        }
        (Some(data), None) => {
            let own = Layout::new(data, None).trust();
            let trust = files::trust(Some(what.trust.as_deref().unwrap_or(&own)))?;
            let trust = trust.ok_or_else(|| Failure::new("no trust policy", "pass --trust FILE"))?;
            copy_data(what, &disk, data, &trust)
        }
        (None, None) => Err(Failure::new("no log is named", "give --data DIR or --from URL|DIR")),
    }
}

#[cfg(feature = "remote")]
fn reader(what: &ExportTiles, from: &str) -> Result<Box<dyn LogReader>, Failure> {
    Ok(if from.contains("://") {
        Box::new(super::remote::Remote::new(from, what.token.as_deref()))
    } else {
        Box::new(TileDirectory::new(PathBuf::from(from)))
    })
}

#[cfg(not(feature = "remote"))]
fn reader(_: &ExportTiles, from: &str) -> Result<Box<dyn LogReader>, Failure> {
    if from.contains("://") {
        return Err(Failure::new(
            "this build has no network",
            "build with --features remote, or name a directory",
        ));
    }
    Ok(Box::new(TileDirectory::new(PathBuf::from(from))))
}

fn copy_log(what: &ExportTiles, reader: &dyn LogReader, trust: &TrustPolicy) -> Result<ExitCode, Failure> {
    let note = reader.checkpoint().map_err(|error| {
        Failure::new(error.to_string(), "check the address, and the token if the log is not public")
    })?;
    copy(what, &note, trust, &BundledLeaves(reader))
}

fn copy_data(
    what: &ExportTiles,
    disk: &Arc<dyn Disk>,
    path: &Path,
    trust: &TrustPolicy,
) -> Result<ExitCode, Failure> {
    let unreadable = |why: String| Failure::new(why, "run `foreseal fsck --data DIR` to see what is wrong");
    let note = at_rest::last_checkpoint(&**disk, path).map_err(|error| unreadable(error.to_string()))?;
    let note = note.ok_or_else(|| unreadable(format!("{} holds no checkpoint", path.display())))?;
    copy(what, &note, trust, &JournalLeaves { disk: Arc::clone(disk), data: path.to_owned() })
}

fn copy(
    what: &ExportTiles,
    note: &str,
    trust: &TrustPolicy,
    leaves: &dyn LeafSource,
) -> Result<ExitCode, Failure> {
    let verified = trust.verify(note).map_err(|error| {
        Failure::new(
            format!("the log's checkpoint: {error}"),
            "the --trust file must name the key of this log; nothing was written",
        )
    })?;
    let mut writer = Directory { disk: files::disk(), root: what.directory.clone() };
    let mut progress = output::progress("exporting");
    match mirror(note, &verified.checkpoint, leaves, &mut writer, &mut progress) {
        Ok(made) => {
            if what.json {
                let made = json!({
                    "schema": "foreseal.export.tiles.v1",
                    "origin": verified.checkpoint.origin,
                    "size": made.size,
                    "root": made.root.to_string(),
                    "resources": made.resources,
                    "directory": what.directory,
                });
                data(&serde_json::to_string_pretty(&made).unwrap_or_default());
            } else {
                let directory = what.directory.display();
                data(&format!(
                    "{} leaves, root {}, in {} tiles and bundles, in {directory}",
                    made.size, made.root, made.resources
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let hint = "no checkpoint was written: the directory is not a copy of this log";
            let failure = Failure::new(error.to_string(), hint);
            Err(if is_proof(&error) { failure.proof() } else { failure })
        }
    }
}

/// Whether the error shows that the log is not what was signed, and not merely that it could not be read or written.
fn is_proof(error: &MirrorError) -> bool {
    match error {
        MirrorError::Read(ReadLogError::Unreachable { .. }) | MirrorError::Write { .. } => false,
        MirrorError::Read(_) | MirrorError::Bundle(_) | MirrorError::Root { .. } => true,
    }
}

/// The leaves of a data directory, from its journal.
struct JournalLeaves {
    disk: Arc<dyn Disk>,
    data: PathBuf,
}

impl LeafSource for JournalLeaves {
    fn for_each_leaf(
        &self,
        size: u64,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        use std::ops::ControlFlow;
        let mut outcome = Ok(());
        let read = at_rest::for_each_leaf(&*self.disk, &self.data, &mut |index, leaf| {
            if index >= size {
                return ControlFlow::Break(());
            }
            outcome = visit(leaf);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        outcome?;
        read.map_err(|error| {
            let what = self.data.display().to_string();
            MirrorError::Read(ReadLogError::Unreachable { what, why: error.to_string() })
        })
    }
}

/// A directory of tiles that is being written.
struct Directory {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl TileWriter for Directory {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let path = self.root.join(name);
        if self.disk.exists(&path).map_err(|e| e.to_string())? {
            let there = read_file(&*self.disk, &path, RESOURCE_MAX_BYTES).map_err(|e| e.to_string())?;
            if there == bytes {
                return Ok(());
            }
            // A tile of one width never changes; only the checkpoint does.
            if name != "checkpoint" {
                return Err(
                    "it is there already with other bytes: the directory is of another history".to_owned()
                );
            }
        } else if let Some(parent) = path.parent() {
            create_dir_durably(&*self.disk, parent, crate::disk::DirMode::Shared)
                .map_err(|e| e.to_string())?;
        }
        write_file_atomically(&*self.disk, &path, bytes, FileMode::Shared).map_err(|e| e.to_string())
    }
}
