//! `foreseal fsck`: every byte of a data directory, with its keys.

use std::process::ExitCode;

use super::arguments::Fsck;
use super::files;
use super::output::{self, Failure};
use crate::ledger::fsck::{self, Keys};
use crate::ledger::layout::Layout;

pub(super) fn run(what: &Fsck) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let layout = Layout::new(&what.data, what.keys.as_deref());
    if !disk.exists(&layout.data).unwrap_or(false) {
        return Err(Failure::new(
            format!("{} does not exist", layout.data.display()),
            "give the ledger with --data DIR",
        ));
    }
    let report = fsck::check(&disk, &layout, Keys::Layout, None, &mut output::progress("checking"));
    Ok(output::report(&report, what.json))
}
