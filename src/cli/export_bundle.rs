//! `foreseal export`: a bundle from a running service, verified before it gets its name.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::agent::connect;
use super::arguments::ExportBundle;
use super::files::{self, NamedFile};
use super::output::{self, Failure, data, status};
use crate::disk::{Disk, FileMode, OpenMode, RealDisk, temporary_path};
use crate::evidence::Verdict;
use crate::evidence::bundle::verify_bundle;
use crate::note::TrustPolicy;

pub(super) fn run(what: &ExportBundle) -> Result<ExitCode, Failure> {
    let (Some(from), Some(to), Some(out)) = (what.from, what.to, &what.out) else {
        let hint =
            "give --from N --to M --out FILE for a bundle, or `foreseal export tiles DIR` for the whole log";
        return Err(Failure::new("it is not said what to export", hint));
    };
    let trust = files::trust(what.trust.as_deref())?;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("{}: {error}", out.display()),
            "check that there is room, and that the folder can be written",
        )
    };
    if RealDisk.exists(out).map_err(|e| failed(&e))? {
        return Err(failed(&"a file of this name is there, and evidence is not replaced"));
    }
    let remote = connect(&what.connection)?;
    let aside = temporary_path(out);
    if RealDisk.exists(&aside).map_err(|e| failed(&e))? {
        RealDisk.remove(&aside).map_err(|e| failed(&e))?;
    }
    let file = RealDisk.open(&aside, OpenMode::CreateNew(FileMode::Private)).map_err(|e| failed(&e))?;
    let body = json!({
        "from": from, "to": to, "reveal": what.reveal, "reveal_evaluation": what.reveal_evaluation,
    });
    let mut offset = 0;
    let received = remote.download("/v1/exports", body.to_string().as_bytes(), &mut |piece| {
        file.write_all_at(piece, offset).map_err(|e| e.to_string())?;
        offset += piece.len() as u64;
        Ok(())
    });
    let kept = match received {
        Ok(None) => file.sync_all().map_err(|e| failed(&e)),
        Ok(Some(problem)) => Err(Failure::new(problem.problem(), "docs/errors.md says what each code means")),
        Err(error) => Err(Failure::new(
            format!("the bundle did not arrive whole: {error}"),
            "ask again; the log records each hand-out, this one too if it was begun",
        )),
    };
    let checked = kept.and_then(|()| check(&aside, trust.as_ref()));
    let verdict = match checked {
        Ok(verdict) => verdict,
        Err(failure) => {
            let _ = RealDisk.remove(&aside);
            return Err(failure);
        }
    };
    RealDisk.rename(&aside, out).map_err(|e| failed(&e))?;
    if what.json {
        let made = json!({
            "schema": "foreseal.export.v1", "file": out, "bytes": offset, "from": from, "to": to, "verdict": verdict,
        });
        data(&serde_json::to_string_pretty(&made).unwrap_or_default());
    } else {
        data(&out.display().to_string());
    }
    status(&format!("{offset} bytes; leaves {from} to {}", to.saturating_sub(1)));
    if trust.is_none() {
        status(
            "not verified against a key: pass --trust FILE, or run `foreseal verify bundle FILE --trust FILE`",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Verifies what was received. Without keys to hold it against, only that it arrived as it was made can be told.
fn check(received: &Path, trust: Option<&TrustPolicy>) -> Result<Verdict, Failure> {
    let report = verify_bundle(&NamedFile::open(received)?, trust, &mut output::progress("verifying"));
    let is_bad = match (trust, report.verdict) {
        (None, verdict) => verdict == Verdict::Invalid,
        (Some(_), verdict) => !matches!(verdict, Verdict::Valid | Verdict::BelowPolicy),
    };
    if is_bad {
        output::lines(&report).iter().for_each(|line| status(line));
        return Err(Failure::new(
            "what was received is no valid bundle",
            "tell the service's operator; nothing was kept",
        ));
    }
    Ok(report.verdict)
}
