//! The command line: arguments, configuration, the clock, signals, and what a person sees.
//!
//! Does: parse arguments, put rooms together, print reports for people or as JSON, choose exit codes.
//!
//! Does not: verify, decide or store anything by itself.
//!
//! May use: every room.
//!
//! Invariants:
//! - data on stdout, everything else on stderr; colour only on terminals; every error ends in a `hint:`;
//! - with `--json` what is on stdout fits a schema of `schemas/`, whatever went wrong: `docs/json.md`;
//! - exit codes of verification are 0 valid, 1 proven invalid, 2 could not decide, 3 below policy; a service that
//!   poisoned itself exits with 74, one that could not start with 2.

#[cfg(feature = "server")]
mod agent;
mod arguments;
mod audit;
#[cfg(feature = "server")]
mod bench;
#[cfg(feature = "server")]
mod config;
#[cfg(feature = "server")]
mod config_check;
#[cfg(feature = "server")]
mod demo;
mod export;
#[cfg(feature = "server")]
mod export_bundle;
mod files;
mod fsck;
#[cfg(feature = "server")]
mod init;
mod inspect;
mod output;
#[cfg(feature = "server")]
mod party;
#[cfg(feature = "replay")]
mod policy;
#[cfg(feature = "server")]
mod policy_active;
#[cfg(feature = "replay")]
mod policy_diff;
#[cfg(feature = "server")]
mod policy_eval;
#[cfg(feature = "replay")]
mod policy_explain;
#[cfg(feature = "replay")]
mod policy_import;
#[cfg(feature = "replay")]
mod policy_prove;
#[cfg(feature = "replay")]
mod policy_replay;
mod readers;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "replay")]
mod replay;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "prove")]
mod solver;
#[cfg(feature = "server")]
mod submit;
#[cfg(feature = "server")]
mod tls;
#[cfg(feature = "replay")]
mod tool;
mod verify;

use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "server")]
use arguments::ConfigCommand;
use arguments::{Arguments, Command};
use output::{Failure, data, fail};

/// Exit code of a service that stopped sealing after a failed write (`EX_IOERR`).
#[cfg(feature = "server")]
const EXIT_POISONED: u8 = 74;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.command.json();
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(failure) => {
            if json {
                data(&failure.to_json());
            }
            fail(&failure)
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify(what) => verify::run(&what),
        Command::Audit(what) => audit::run(&what),
        Command::Inspect(what) => inspect::run(&what),
        Command::Fsck(what) => fsck::run(&what),
        Command::Export(what) => export::run(&what),
        #[cfg(feature = "replay")]
        Command::Replay(what) => replay::run(&what),
        #[cfg(feature = "replay")]
        Command::Policy(what) => policy::run(&what),
        #[cfg(feature = "replay")]
        Command::Tool(what) => tool::run(&what),
        #[cfg(feature = "server")]
        Command::Init(what) => init::run(&what),
        #[cfg(feature = "server")]
        Command::Serve(what) => serve::run(what),
        #[cfg(feature = "server")]
        Command::Config(ConfigCommand::Check { serve, json }) => config_check::run(serve, json),
        #[cfg(feature = "server")]
        Command::Agent(what) => agent::run(&what),
        #[cfg(feature = "server")]
        Command::Application(what) => party::applications(&what),
        #[cfg(feature = "server")]
        Command::ToolServer(what) => party::tool_servers(&what),
        #[cfg(feature = "server")]
        Command::Submit(what) => submit::run(&what),
        #[cfg(feature = "server")]
        Command::Demo(what) => demo::run(&what),
        #[cfg(feature = "server")]
        Command::Bench(what) => bench::run(&what),
    }
}
