//! `foreseal replay`: every decision of a ledger at rest, derived again without the service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::files;
use super::output::{self, Failure};
use crate::disk::Disk;
use crate::evidence::Verdict;
use crate::ledger::at_rest::is_data_directory;
use crate::ledger::layout::Layout;
use crate::ledger::rederive::{self, Difference};
use crate::note::TrustPolicy;

/// Arguments of `foreseal replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    pub(super) ledger: AtRest,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A ledger that no service has open, and what opens it.
#[derive(Debug, Args)]
pub(super) struct AtRest {
    /// The ledger's data directory; no service may have it open
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The ledger's key directory: payloads are encrypted [default: DIR.keys]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The logs you trust: a tlog-policy file [default: the log key in the key directory]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

impl AtRest {
    /// Where it lies, and who is trusted.
    pub(super) fn open(&self, disk: &dyn Disk) -> Result<(Layout, Option<TrustPolicy>), Failure> {
        let trust = files::trust(self.trust.as_deref())?;
        if !is_data_directory(disk, &self.directory) {
            return Err(Failure::new(
                format!("{} is no ledger's data directory", self.directory.display()),
                "give the directory that `foreseal serve --data` writes to",
            ));
        }
        Ok((Layout::new(&self.directory, self.keys.as_deref()), trust))
    }
}

pub(super) fn run(what: &Replay) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let (layout, trust) = what.ledger.open(&*disk)?;
    let found = rederive::replay(&disk, &layout, trust.as_ref(), &mut output::progress("deriving"));
    if what.json {
        output::data(&serde_json::to_string_pretty(&found).unwrap_or_default());
        return Ok(ExitCode::from(output::exit_code(found.report.verdict)));
    }
    output::data(&found.coverage());
    tell(&found.differences, found.difference_count);
    let code = output::report(&found.report, false);
    if found.report.verdict == Verdict::Valid {
        output::data("all re-derived");
    }
    Ok(code)
}

/// Differences, one a line.
pub(super) fn tell(differences: &[Difference], count: u64) {
    for difference in differences {
        let call = difference.call.as_ref().map(|call| format!(", call {}", call.escape_debug()));
        let Difference { what, detail, .. } = difference;
        output::data(&format!("\x1b[31m✗\x1b[0m {what}{}: {detail}", call.unwrap_or_default()));
    }
    let more = count.saturating_sub(differences.len() as u64);
    if more > 0 {
        output::data(&format!("  and {more} more differences"));
    }
}
