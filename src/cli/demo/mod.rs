//! `foreseal demo`: the main job in one command, with nothing but the parts that the service runs.

mod play;
mod tamper;
mod traces;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use self::play::{Cast, Tally};
use self::traces::Run;
use super::arguments::Demo;
use super::files::read_bundle;
use super::init::create;
use super::output::{self, Failure, data, warning};
use super::serve::{activate, is_missing, open, runtime, serve_until_stopped, stop_signal};
use super::{audit, files};
use crate::evidence::audit::Leaves;
use crate::evidence::{Report, Verdict};
use crate::ledger::fsck::{self, Keys};
use crate::ledger::layout::Layout;
use crate::note::TrustPolicy;
use crate::service::Service;

/// The bundled policy: `policies/starter`.
const STARTER: [(&str, &str); 6] = [
    ("coding.cedar", include_str!("../../../policies/starter/coding.cedar")),
    ("common.cedar", include_str!("../../../policies/starter/common.cedar")),
    ("mail.cedar", include_str!("../../../policies/starter/mail.cedar")),
    ("payments.cedar", include_str!("../../../policies/starter/payments.cedar")),
    ("proofs.json", include_str!("../../../policies/starter/proofs.json")),
    ("tools.json", include_str!("../../../policies/starter/tools.json")),
];

pub(super) fn run(what: &Demo) -> Result<ExitCode, Failure> {
    let layout = Layout::new(&what.data, None);
    let disk = files::disk();
    if is_missing(&*disk, &layout)? {
        let made = create(&layout, None)?;
        heading(&format!("A new ledger in {}", layout.data.display()));
        data(&format!("its public key, which an auditor gets from you: {}", made.verifier));
    } else {
        heading(&format!("The ledger in {} is there already: verifying it first", layout.data.display()));
        // As its operator, with the keys: the last run may have been cut short before its last entries were signed.
        let mut progress = output::progress("checking");
        passes(&layout, &fsck::check(&disk, &layout, Keys::Layout, None, &mut progress))?;
    }
    let runs = runs(what)?;
    let policy = match &what.policies {
        Some(directory) => read_bundle(directory)?,
        None => STARTER.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
    };
    let tally = runtime()?.block_on(play(&layout, policy, &runs, what.traces.is_empty()))?;
    heading("The whole log, audited by someone who holds the public key and nothing else");
    verify_log(&layout)?;
    heading("The same audit over a copy in which one bit was flipped");
    let caught = tamper::flip_and_audit(&layout, &trust(&layout)?)?;
    summary(&tally, caught);
    if tally.refused > 0 || tally.unverified > 0 || !caught {
        return Ok(ExitCode::FAILURE);
    }
    if what.no_serve {
        return Ok(ExitCode::SUCCESS);
    }
    stay_up(&layout, what.listen, &tally)
}

fn heading(text: &str) {
    data(&format!("\n\x1b[1m{text}\x1b[0m"));
}

fn trust(layout: &Layout) -> Result<TrustPolicy, Failure> {
    let trust = files::trust(Some(&layout.trust()))?;
    trust.ok_or_else(|| {
        Failure::new("there is no trust policy", "remove the demo's directories and start again")
    })
}

/// Audits the data directory at rest; anything but valid ends the demo.
fn verify_log(layout: &Layout) -> Result<(), Failure> {
    passes(layout, &audit::directory(&layout.data, Leaves::Entries, Some(&trust(layout)?))?)
}

fn passes(layout: &Layout, report: &Report) -> Result<(), Failure> {
    for line in output::lines(report) {
        data(&line);
    }
    if report.verdict == Verdict::Valid {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} does not pass its audit", layout.data.display()),
        "look at it with `foreseal fsck --data DIR`, or give another --data",
    ))
}

fn runs(what: &Demo) -> Result<Vec<Run>, Failure> {
    if what.traces.is_empty() {
        return traces::bundled();
    }
    let mut runs = Vec::new();
    for path in &what.traces {
        runs.extend(traces::read(path)?);
    }
    Ok(runs)
}

/// Plays the runs against a service in this process, and verifies every receipt.
async fn play(
    layout: &Layout,
    policy: BTreeMap<String, Vec<u8>>,
    runs: &[Run],
    told: bool,
) -> Result<Tally, Failure> {
    let (ledger, _) = open(layout)?;
    let service = Arc::new(Service::new(Arc::new(ledger), false));
    activate(&service, policy).await?;
    let cast = Cast::register(&service, runs).await?;
    let calls: usize = runs.iter().map(Run::call_count).sum();
    heading(&format!(
        "{} agents, {} runs, {calls} calls: each sealed before it may happen",
        cast.len(),
        runs.len()
    ));
    let trust = Arc::new(trust(layout)?);
    let tally = play::play(&service, &cast, runs, &trust, told).await?;
    let ledger = Arc::clone(service.ledger());
    let stopped = tokio::task::spawn_blocking(move || ledger.stop()).await;
    stopped.map_err(|error| Failure::new(error.to_string(), "report this as a defect"))?;
    Ok(Tally { tokens: cast.tokens(), ..tally })
}

fn summary(tally: &Tally, caught: bool) {
    heading("Summary");
    let outcomes: Vec<String> =
        tally.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    data(&format!("{} sealed ({}), {} refused", tally.sealed, outcomes.join(", "), tally.refused));
    for (why, count) in &tally.refusals {
        data(&format!("  {count} refused: {why}"));
    }
    let verified = tally.sealed - tally.unverified;
    data(&format!("{verified} of {} receipts verified offline", tally.sealed));
    data(if caught { "the flipped bit was caught" } else { "the flipped bit was NOT caught" });
}

/// Serves the demo's ledger and says what to try.
fn stay_up(layout: &Layout, listen: SocketAddr, tally: &Tally) -> Result<ExitCode, Failure> {
    let (ledger, _) = open(layout)?;
    let service = Arc::new(Service::new(Arc::new(ledger), false));
    runtime()?.block_on(async {
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(error) => {
                warning(&format!("{listen} is not free ({error}); taking another port"));
                TcpListener::bind(SocketAddr::new(listen.ip(), 0)).await.map_err(|error| {
                    Failure::new(format!("listening on {}: {error}", listen.ip()), "give another --listen")
                })?
            }
        };
        let address =
            listener.local_addr().map_err(|error| Failure::new(error.to_string(), "see the message"))?;
        let signals = stop_signal()?;
        invite(layout, address, tally)?;
        serve_until_stopped(listener, service, signals).await
    })
}

fn invite(layout: &Layout, address: SocketAddr, tally: &Tally) -> Result<(), Failure> {
    let url = format!("http://{address}");
    let admin = Zeroizing::new(files::read_text(&layout.admin_token())?);
    heading(&format!("The service is up on {url} (ctrl-c ends it)"));
    data(&format!("operator's token: {}", *admin));
    for (agent, token) in &tally.tokens {
        data(&format!("{agent}'s token: {token}"));
    }
    let Some((agent, token)) = tally.tokens.first() else { return Ok(()) };
    let intent = json!({
        "agent": agent, "session": "try-1", "goal": "see what happens", "reasoning": ["I was asked to try it"],
        "calls": [{"id": "c1", "server": "bank", "tool": "get_balance", "args": {"account": "current-1"}}],
    });
    data("\nseal an intent of your own:");
    data(&format!(
        "  curl -s {url}/v1/intents -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{intent}' | tee answer.json"
    ));
    data("verify the receipt, offline:");
    data(&format!("  foreseal verify receipt answer.json --trust {}", layout.trust().display()));
    data("audit the log as it is served:");
    data(&format!("  FORESEAL_TOKEN={token} foreseal audit {url} --trust {}", layout.trust().display()));
    Ok(())
}
