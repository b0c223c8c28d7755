//! `foreseal audit`: a whole log, wherever it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::Audit;
use super::files;
use super::output::{self, Failure};
use super::readers::TileDirectory;
use crate::evidence::Report;
use crate::evidence::audit::{Leaves, audit_log};
use crate::ledger::at_rest::is_data_directory;
use crate::ledger::fsck::{self, Keys};
use crate::ledger::layout::Layout;
use crate::note::TrustPolicy;

pub(super) fn run(what: &Audit) -> Result<ExitCode, Failure> {
    let trust = files::trust(what.trust.as_deref())?;
    let report = if what.log.contains("://") {
        if what.upto.is_some() {
            return Err(only_data());
        }
        remote(what, trust.as_ref())?
    } else if let Some(upto) = what.upto {
        first(Path::new(&what.log), upto, trust.as_ref())?
    } else {
        directory(Path::new(&what.log), leaves(what), trust.as_ref())?
    };
    Ok(output::report(&report, what.json))
}

fn leaves(what: &Audit) -> Leaves {
    if what.opaque_leaves { Leaves::Opaque } else { Leaves::Entries }
}

fn only_data() -> Failure {
    Failure::new(
        "--upto is for data directories",
        "a served log has one checkpoint, and all of it is covered",
    )
}

/// Audits what a signed checkpoint covers of a data directory.
fn first(path: &Path, upto: u64, trust: Option<&TrustPolicy>) -> Result<Report, Failure> {
    let disk = files::disk();
    if !is_data_directory(&*disk, path) {
        return Err(only_data());
    }
    let mut progress = output::progress("auditing");
    Ok(fsck::check_first(&disk, &Layout::new(path, None), upto, trust, &mut progress))
}

/// Audits a directory: a ledger's data directory, or tiles in the C2SP layout.
pub(super) fn directory(path: &Path, leaves: Leaves, trust: Option<&TrustPolicy>) -> Result<Report, Failure> {
    let disk = files::disk();
    if !disk.exists(path).unwrap_or(false) {
        return Err(Failure::new(format!("{} does not exist", path.display()), "give a directory or a URL"));
    }
    let mut progress = output::progress("auditing");
    if is_data_directory(&*disk, path) {
        let layout = Layout::new(path, None);
        return Ok(fsck::check(&disk, &layout, Keys::None, trust, &mut progress));
    }
    Ok(audit_log(&TileDirectory::new(PathBuf::from(path)), leaves, trust, &mut progress))
}

#[cfg(feature = "remote")]
fn remote(what: &Audit, trust: Option<&TrustPolicy>) -> Result<Report, Failure> {
    let remote = super::remote::Remote::new(&what.log, what.token.as_deref());
    Ok(audit_log(&remote, leaves(what), trust, &mut output::progress("auditing")))
}

#[cfg(not(feature = "remote"))]
fn remote(_: &Audit, _: Option<&TrustPolicy>) -> Result<Report, Failure> {
    Err(Failure::new("this build has no network", "build with --features remote, or audit a directory"))
}
