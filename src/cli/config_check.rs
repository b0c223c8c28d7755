//! `foreseal config check`: what the service would run with, and whether it could. Changes nothing.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::Serve;
use super::config::{Config, Source};
use super::output::{self, Failure};
use super::{files, tls};
use crate::disk::{Disk, OpenMode, RealDisk};
use crate::evidence::Report;
use crate::ledger::layout::Layout;
use crate::policy::Bundle;

/// Permission bits that let in others than the owner and its group.
const EVERYONE: u32 = 0o007;
/// Permission bits that let others than the owner in.
const OTHERS: u32 = 0o077;

pub(super) fn run(arguments: Serve, json: bool) -> Result<ExitCode, Failure> {
    let config = Config::settle(arguments)?;
    let disk = files::disk();
    let layout = Layout::new(&config.data, config.keys.as_deref());
    let mut report = Report::new("configuration");
    for (name, value, source) in config.settled(&layout) {
        report.passed(name, format!("{value} ({})", word(source)));
    }
    let running = check_data(&mut report, &disk, &layout);
    check_keys(&mut report, &disk, &layout);
    check_policies(&mut report, &config);
    check_address(&mut report, &config, running);
    check_tls(&mut report, &config);
    report.not_checked("free disk space, the clock against a reference, and whether the keys are backed up");
    report.not_checked("what is in the data directory: `foreseal fsck` does that");
    Ok(output::report(&report, json))
}

fn word(source: Source) -> &'static str {
    match source {
        Source::Flag => "flag",
        Source::Environment => "environment",
        Source::File => "file",
        Source::Default => "default",
    }
}

/// Returns whether somebody has the ledger open.
fn check_data(report: &mut Report, disk: &Arc<dyn Disk>, layout: &Layout) -> bool {
    let name = "the data directory can be served";
    let shown = layout.data.display();
    if !layout.is_apart() {
        report.failed(name, format!("{} lies within {shown}, or the other way round", layout.keys.display()));
        return false;
    }
    match disk.exists(&layout.data) {
        Err(error) => report.failed(name, format!("{shown}: {error}")),
        Ok(false) => report.passed(name, format!("{shown} is not there; `serve` makes a new ledger")),
        Ok(true) if !disk.exists(&layout.format()).unwrap_or(false) => {
            report.failed(
                name,
                format!("{shown} is there and is no ledger: it has no {}", file_name(&layout.format())),
            );
        }
        Ok(true) => match disk.lock_exclusive(&layout.lock()) {
            Ok(Some(_)) => {
                report.passed(name, format!("{shown} holds a ledger, and nobody has it open"));
            }
            Ok(None) => {
                report.passed(name, format!("{shown} is open in a running service"));
                return true;
            }
            Err(error) => report.failed(name, format!("{}: {error}", layout.lock().display())),
        },
    }
    false
}

fn check_keys(report: &mut Report, disk: &Arc<dyn Disk>, layout: &Layout) {
    let name = "the keys are there and nobody else's to read";
    if !disk.exists(&layout.data).unwrap_or(false) {
        return;
    }
    let secret = [
        layout.log_key(),
        layout.key_encryption_key(),
        layout.journal_key(),
        layout.session_key(),
        layout.admin_token(),
    ];
    for path in std::iter::once(layout.keys.clone()).chain(secret) {
        let is_directory = path == layout.keys;
        if !is_directory && let Err(error) = disk.open(&path, OpenMode::Read) {
            return report.failed(name, format!("{}: {error}", path.display()));
        }
        match RealDisk.permission_bits(&path) {
            Err(error) => return report.failed(name, format!("{}: {error}", path.display())),
            Ok(bits) if bits & OTHERS != 0 => {
                let mode = if is_directory { "700" } else { "600" };
                return report.failed(name, format!("{} has mode {bits:o}: chmod {mode} it", path.display()));
            }
            Ok(_) => {}
        }
    }
    report.passed(name, layout.keys.display().to_string());
}

fn check_policies(report: &mut Report, config: &Config) {
    let name = "the policy bundle loads";
    let Some(directory) = &config.policies else {
        return report
            .passed(name, "none is named: the last sealed one stays active, and with none all is denied");
    };
    let bundle = files::read_bundle(directory).map_err(|failure| failure.to_string());
    match bundle.and_then(|files| Bundle::load(files).map_err(|error| error.to_string())) {
        Ok(bundle) => {
            let warnings = bundle.warnings().len();
            report.passed(name, format!("{}, {warnings} warnings", directory.display()));
        }
        Err(error) => report.failed(name, error),
    }
}

fn check_address(report: &mut Report, config: &Config, running: bool) {
    let name = "the address can be listened on";
    match TcpListener::bind(config.listen) {
        Ok(_) if config.listen.ip().is_loopback() || config.tls.is_some() => {
            report.passed(name, config.listen.to_string());
        }
        Ok(_) => {
            report.passed(name, config.listen.to_string());
            report.not_checked(format!("who can reach {}: it is not loopback and has no TLS", config.listen));
        }
        Err(_) if running => {
            report.passed(name, format!("{} is taken, and the ledger is being served", config.listen));
        }
        Err(error) => report.failed(name, format!("{}: {error}", config.listen)),
    }
}

fn check_tls(report: &mut Report, config: &Config) {
    let name = "the TLS certificate and its key fit";
    let Some(files) = &config.tls else { return };
    match (tls::read(files), RealDisk.permission_bits(&files.key)) {
        (Err(failure), _) => report.failed(name, failure.to_string()),
        (_, Err(error)) => report.failed(name, format!("{}: {error}", files.key.display())),
        (_, Ok(bits)) if bits & EVERYONE != 0 => {
            report.failed(name, format!("{} has mode {bits:o}: everyone may read it", files.key.display()));
        }
        _ => {
            report.passed(name, files.cert.display().to_string());
            report.not_checked(
                "for which names and until when the TLS certificate is valid, and who issued it",
            );
        }
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
