//! `foreseal init`.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::arguments::Init;
use super::files;
use super::output::{Failure, data, status};
use crate::ledger::clock::SystemClock;
use crate::ledger::keyring::random;
use crate::ledger::layout::Layout;
use crate::ledger::{Initialised, LedgerOptions, OpenError, init};

pub(super) fn run(what: &Init) -> Result<ExitCode, Failure> {
    let layout = Layout::new(&what.data, what.keys.as_deref());
    let made = create(&layout, what.origin.as_deref())?;
    if what.json {
        let paths = json!({
            "schema": "foreseal.init.v1",
            "origin": made.verifier.name().as_str(),
            "vkey": made.verifier.to_string(),
            "data": layout.data,
            "keys": layout.keys,
            "trust": layout.trust(),
            "admin_token_file": layout.admin_token(),
        });
        data(&serde_json::to_string_pretty(&paths).unwrap_or_default());
    } else {
        status(&format!(
            "the log's public key; verifiers need it from you, out of band (also in {}):",
            layout.trust().display()
        ));
        data(&made.verifier.to_string());
        status(&format!("the operator's token is in {}", layout.admin_token().display()));
        status(&format!(
            "keep {} apart from {}, and back both up",
            layout.keys.display(),
            layout.data.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a ledger.
pub(super) fn create(layout: &Layout, origin: Option<&str>) -> Result<Initialised, Failure> {
    let drawn;
    let origin = match origin {
        Some(origin) => origin,
        None => {
            let bytes = random::<4>().map_err(|e| open_failure(&e.into()))?;
            drawn = format!("foreseal.local/{}", hex::encode(*bytes));
            &drawn
        }
    };
    let options = LedgerOptions::new(Arc::new(SystemClock));
    init(&files::disk(), layout, origin, &options).map_err(|e| open_failure(&e))
}

/// A ledger that does not open, as a failure of the command.
pub(super) fn open_failure(error: &OpenError) -> Failure {
    Failure::new(error.to_string(), error.hint())
}
