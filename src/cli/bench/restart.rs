//! `foreseal serve` as a process of its own, over a log of many entries: when it is ready, what memory it takes.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::super::output::Failure;
use super::growth::Wanted;
use super::load::{Requests, closed_loop};
use super::machine::resident_mib;
use super::report::{Bound, Draft, number};
use super::workload::Documents;
use super::{Plan, Results, unexpected};
use crate::ledger::layout::Layout;

pub(super) fn measure(
    plan: &Plan,
    layout: &Layout,
    documents: Documents,
    token: String,
    wanted: &Wanted,
    results: &mut Results,
) -> Result<(), Failure> {
    let first = Served::start(layout)?;
    let at_rest = first.resident_mib()?;
    let answers =
        closed_loop(first.address, Requests::Fresh { documents, token }, plan.clients, plan.length)?;
    let used = first.resident_mib()?;
    let entries = plan.entries + answers.good;
    let after_clean = first.ready_s;
    // As after a loss of power, but for what the system had cached.
    drop(first);
    let again = Served::start(layout)?;
    let after_kill = again.ready_s;
    drop(again);
    let size = number(entries as f64);
    let note = "`foreseal serve` as a process of its own".to_owned();
    if wanted.memory {
        let draft = Draft {
            row: "memory",
            what: format!("memory at {size} entries, under load"),
            unit: "MiB",
            bound: Bound::AtMost,
            hold: 300.0,
            stretch: None,
            notes: vec![
                note.clone(),
                format!(
                    "resident; when just ready {} MiB; {} intents were sealed in between",
                    number(at_rest),
                    number(answers.good as f64)
                ),
            ],
        };
        results.rows.push(draft.alone(&[used]));
    }
    if wanted.restart {
        for (what, value) in [("after a clean end", after_clean), ("after kill -9 under load", after_kill)] {
            let draft = Draft {
                row: "restart",
                what: format!("ready again at {size} entries, {what}"),
                unit: "s",
                bound: Bound::AtMost,
                hold: 2.0,
                stretch: None,
                notes: vec![format!("{note}, from its start to its line \"ready\"")],
            };
            results.rows.push(draft.alone(&[value]));
        }
    }
    Ok(())
}

/// A running `foreseal serve`; killed when dropped.
struct Served {
    process: Child,
    address: SocketAddr,
    ready_s: f64,
}

impl Served {
    fn start(layout: &Layout) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(unexpected)?;
        let started = Instant::now();
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(&layout.data).arg("--keys").arg(&layout.keys);
        command.args(["--listen", "127.0.0.1:0"]).env("FORESEAL_LOG", "warn");
        // Of the service's own settings only those named here count.
        for name in ["FORESEAL_CONFIG", "FORESEAL_POLICIES", "FORESEAL_ORIGIN", "FORESEAL_LOG_FORMAT"] {
            command.env_remove(name);
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(unexpected)?;
        let told =
            process.stderr.take().map(BufReader::new).ok_or_else(|| unexpected("no output to read"))?;
        let mut lines = told.lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let _ = process.kill();
                let _ = process.wait();
                return Err(unexpected(format!("`foreseal serve` ended: {said}")));
            };
            if let Some(address) = address_in(&line) {
                break address;
            }
            said.push_str(&line);
            said.push(' ');
        };
        let ready_s = started.elapsed().as_secs_f64();
        // What it says from now on is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { process, address, ready_s })
    }

    fn resident_mib(&self) -> Result<f64, Failure> {
        resident_mib(self.process.id())
            .ok_or_else(|| unexpected("the system does not tell a process's memory"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("foreseal ready on http://")?;
    after.split(',').next()?.parse().ok()
}
