//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::fsck::Fsck;
#[cfg(feature = "server")]
use super::party::Party;
#[cfg(feature = "replay")]
use super::policy::Policy;

/// Seals what an AI agent intends to do, and decides whether it may, before it does it.
#[derive(Debug, Parser)]
#[command(name = "foreseal", version, about, propagate_version = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new ledger: keys, an empty log, the first operator
    #[cfg(feature = "server")]
    Init(Init),
    /// Run the service
    #[cfg(feature = "server")]
    Serve(Serve),
    /// Look at the service's configuration
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Register agents, give them new tokens, end their registration
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Agent(Agent),
    /// Register applications: what opens sessions and passes on the user's words
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Application(Party),
    /// Register tool servers: what reports the outcomes of calls
    #[cfg(feature = "server")]
    #[command(subcommand)]
    ToolServer(Party),
    /// Submit one intent, or one a line, and print the answers
    #[cfg(feature = "server")]
    Submit(Submit),
    /// Verify a receipt, a bundle, or that two checkpoints lie on one history; offline
    #[command(subcommand)]
    Verify(Verify),
    /// Audit a whole log: a data directory, a directory of tiles, or a served log
    Audit(Audit),
    /// Show in words what a receipt, an answer, a checkpoint or a ledger holds
    Inspect(Inspect),
    /// Check every byte of a data directory, with its keys
    Fsck(Fsck),
    /// Derive every decision of a ledger again, without the service
    #[cfg(feature = "replay")]
    Replay(super::replay::Replay),
    /// Hand out a range of the log as one signed file, or the whole log as plain tiles
    Export(Export),
    /// Look at a policy bundle, run its tests, sign it, write a first rule; offline
    #[cfg(feature = "replay")]
    #[command(subcommand)]
    Policy(Policy),
    /// Bring tools into a registry, say what is unsaid about them, look for attacks among them; offline
    #[cfg(feature = "replay")]
    #[command(subcommand)]
    Tool(super::tool::Tool),
    /// See it work: an embedded ledger, example agents, receipts verified, a flipped byte caught
    #[cfg(feature = "server")]
    Demo(Demo),
    /// Measure every number that the design promises, beside its yardstick
    #[cfg(feature = "server")]
    Bench(super::bench::Bench),
}

impl Command {
    /// Whether JSON was asked for: then what goes wrong is JSON too.
    pub(super) fn json(&self) -> bool {
        match self {
            #[cfg(feature = "server")]
            Self::Init(Init { json, .. })
            | Self::Config(ConfigCommand::Check { json, .. })
            | Self::Agent(
                Agent::Add { json, .. }
                | Agent::Rotate { json, .. }
                | Agent::Revoke { json, .. }
                | Agent::List { json, .. },
            )
            | Self::Submit(Submit { json, .. })
            | Self::Export(Export { what: None, bundle: ExportBundle { json, .. } }) => *json,
            Self::Verify(
                Verify::Receipt { json, .. } | Verify::Bundle { json, .. } | Verify::Consistency { json, .. },
            )
            | Self::Audit(Audit { json, .. })
            | Self::Inspect(Inspect { json, .. })
            | Self::Fsck(Fsck { json, .. })
            | Self::Export(Export { what: Some(ExportWhat::Tiles(ExportTiles { json, .. })), .. }) => *json,
            #[cfg(feature = "server")]
            Self::Application(what) | Self::ToolServer(what) => what.json(),
            #[cfg(feature = "replay")]
            Self::Replay(what) => what.json,
            #[cfg(feature = "replay")]
            Self::Policy(what) => what.json(),
            #[cfg(feature = "replay")]
            Self::Tool(what) => what.json(),
            #[cfg(not(feature = "server"))]
            Self::Export(Export { what: None }) => false,
            #[cfg(feature = "server")]
            Self::Bench(what) => what.json(),
            #[cfg(feature = "server")]
            Self::Serve(_) | Self::Demo(_) => false,
        }
    }
}

#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where the ledger will live
    #[arg(long, env = "FORESEAL_DATA", value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Where its keys will live [default: <DATA>.keys]
    #[arg(long, env = "FORESEAL_KEYS", value_name = "DIR")]
    pub(super) keys: Option<PathBuf>,
    /// The log's name, a URL without scheme [default: foreseal.local/ and a random part]
    #[arg(long, env = "FORESEAL_ORIGIN", value_name = "NAME")]
    pub(super) origin: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Flags win over the environment, the environment over the file.
#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The ledger; made if it is missing
    #[arg(long, env = "FORESEAL_DATA", value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Its keys [default: <DATA>.keys]
    #[arg(long, env = "FORESEAL_KEYS", value_name = "DIR")]
    pub(super) keys: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8470]
    #[arg(long, env = "FORESEAL_LISTEN", value_name = "ADDRESS")]
    pub(super) listen: Option<std::net::SocketAddr>,
    /// The certificate of the service and those that lead to its issuer, PEM; then it speaks TLS alone
    #[arg(long, env = "FORESEAL_TLS_CERT", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, env = "FORESEAL_TLS_KEY", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// The policy bundle to activate; without it the last sealed one stays
    #[arg(long, env = "FORESEAL_POLICIES", value_name = "DIR")]
    pub(super) policies: Option<PathBuf>,
    /// An author's public key (base64 of 32 bytes); if any is given, only bundles signed with one become active
    #[arg(
        long = "policy-author",
        env = "FORESEAL_POLICY_AUTHORS",
        value_name = "KEY",
        value_delimiter = ','
    )]
    pub(super) policy_authors: Vec<String>,
    /// Open the log's own reads (checkpoint, tiles, proofs) to everyone
    #[arg(long, env = "FORESEAL_PUBLIC_LOG")]
    pub(super) public_log: bool,
    /// The log's name, for a ledger that is made now
    #[arg(long, env = "FORESEAL_ORIGIN", value_name = "NAME")]
    pub(super) origin: Option<String>,
    /// How to write logs: text or json [default: text]
    #[arg(long, env = "FORESEAL_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// A TOML file with the same names (data, keys, listen, policies, policy_authors, public_log, origin, log_format; cert and key under [tls])
    #[arg(long, env = "FORESEAL_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[cfg(feature = "server")]
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show what `serve` would run with and where each value comes from, and whether it could; changes nothing
    Check {
        #[command(flatten)]
        serve: Serve,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A running service, and who asks.
#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// The service
    #[arg(long, env = "FORESEAL_URL", default_value = "http://127.0.0.1:8470", value_name = "URL")]
    pub(super) url: String,
    /// The token; better in the environment than on the command line
    #[arg(long, env = "FORESEAL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
}

#[cfg(feature = "server")]
#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// Register an agent and print its token, once
    Add {
        /// Its name
        name: String,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Its Ed25519 public key (base64 of 32 bytes); then its intents must be signed
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give an agent a new token and print it, once; the old one ends
    Rotate {
        /// Its name
        name: String,
        /// Its new Ed25519 public key (base64 of 32 bytes)
        #[arg(long, value_name = "KEY")]
        public_key: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an agent's registration
    Revoke {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the registered agents, one a line
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct Submit {
    /// A file with one intent or one a line, or - for standard input
    pub(super) file: PathBuf,
    /// Print what became of each intent, not answers alone; JSON, one a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct ExportBundle {
    /// The first leaf of the range
    #[arg(long, value_name = "N")]
    pub(super) from: Option<u64>,
    /// The leaf behind the last one of the range
    #[arg(long, value_name = "M")]
    pub(super) to: Option<u64>,
    /// Where to write the bundle; an existing file is not replaced
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// What to show: all, an intent's ID, or ID:/json/pointer for a field (ID: for the list of all fields); may be given
    /// several times
    #[arg(long, value_name = "WHAT")]
    pub(super) reveal: Vec<String>,
    /// Show the evaluations of those intents too: facts, matched rules, reasons
    #[arg(long)]
    pub(super) reveal_evaluation: bool,
    /// The tlog-policy file to verify the received bundle against
    #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
    pub(super) trust: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verify {
    /// Verify that an entry is in the log, and that the answer says what the entry says
    Receipt {
        /// A whole answer (JSON), or a tlog-proof with --entry
        file: PathBuf,
        /// The entry's bytes, for a bare tlog-proof
        #[arg(long, value_name = "FILE")]
        entry: Option<PathBuf>,
        /// The tlog-policy file with the keys you trust, from the log's operator out of band
        #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
        trust: Option<PathBuf>,
        /// The exact body that was submitted, to verify that it is what was sealed
        #[arg(long, value_name = "FILE")]
        intent: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify a bundle: every byte of it, against the keys you trust
    Bundle {
        /// The bundle
        file: PathBuf,
        /// The tlog-policy file with the keys you trust, from the log's operator out of band
        #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify that one signed checkpoint extends another
    Consistency {
        /// The older checkpoint
        old: PathBuf,
        /// The newer checkpoint
        new: PathBuf,
        /// The tlog-policy file with the keys you trust
        #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Make the proof from this data directory
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Ask this service for the proof
        #[cfg(feature = "remote")]
        #[arg(long, value_name = "URL", conflicts_with = "data")]
        server: Option<String>,
        /// The token for the service
        #[cfg(feature = "remote")]
        #[arg(long, env = "FORESEAL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// A data directory, a directory of tiles, or a URL
    #[arg(value_name = "DIR|URL")]
    pub(super) log: String,
    /// Audit a data directory only up to the first signed checkpoint of at least N leaves
    #[arg(long, value_name = "N")]
    pub(super) upto: Option<u64>,
    /// The tlog-policy file with the keys you trust
    #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
    pub(super) trust: Option<PathBuf>,
    /// The token for a served log
    #[cfg(feature = "remote")]
    #[arg(long, env = "FORESEAL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Only hash the leaves: for tlog-tiles logs whose leaves are not Foreseal's entries
    #[arg(long)]
    pub(super) opaque_leaves: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Export {
    #[command(subcommand)]
    pub(super) what: Option<ExportWhat>,
    #[cfg(feature = "server")]
    #[command(flatten)]
    pub(super) bundle: ExportBundle,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExportWhat {
    /// Write the log as plain C2SP tlog-tiles, with its checkpoint last
    Tiles(ExportTiles),
}

#[derive(Debug, Args)]
pub(super) struct ExportTiles {
    /// Where to; one that holds an older export of the same log is brought up to date
    pub(super) directory: PathBuf,
    /// The ledger's data directory, of a service that is stopped
    #[arg(long, env = "FORESEAL_DATA", value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// A served log, or another directory of tiles
    #[arg(long, value_name = "URL|DIR", conflicts_with = "data")]
    pub(super) from: Option<String>,
    /// The token for a served log
    #[cfg(feature = "remote")]
    #[arg(long, env = "FORESEAL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// The tlog-policy file with the keys you trust [default: the data directory's own]
    #[arg(long, env = "FORESEAL_TRUST", value_name = "FILE")]
    pub(super) trust: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// An answer, a tlog-proof, a checkpoint, an entry, or a data directory
    #[arg(value_name = "FILE|DIR")]
    pub(super) what: PathBuf,
    /// The leaf to show, of a data directory
    #[arg(long, value_name = "N")]
    pub(super) index: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the demo's ledger lives
    #[arg(long, default_value = "./foreseal-data", value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Recorded runs to play instead of the bundled ones (.jsonl, .jsonl.zst, .json, .traj); may be given several times
    #[arg(long, value_name = "FILE")]
    pub(super) traces: Vec<PathBuf>,
    /// The policy bundle to decide by [default: the bundled starter]
    #[arg(long, value_name = "DIR")]
    pub(super) policies: Option<PathBuf>,
    /// Where to listen when the show is over; a busy port picks another
    #[arg(long, default_value = "127.0.0.1:8470", value_name = "ADDRESS")]
    pub(super) listen: std::net::SocketAddr,
    /// End instead of staying up
    #[arg(long)]
    pub(super) no_serve: bool,
}
