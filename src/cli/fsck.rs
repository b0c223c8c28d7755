//! `foreseal fsck`: every byte of a data directory, with its keys.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files;
use super::output::{self, Failure};
use crate::ledger::fsck::{self, Keys};
use crate::ledger::layout::Layout;

/// Arguments of `foreseal fsck`.
#[derive(Debug, Args)]
pub(super) struct Fsck {
    /// The data directory
    #[arg(long, env = "FORESEAL_DATA", value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Its keys [default: <DATA>.keys]
    #[arg(long, env = "FORESEAL_KEYS", value_name = "DIR")]
    pub(super) keys: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

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
