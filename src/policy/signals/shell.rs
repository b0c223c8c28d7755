//! Shell, read by a parser: which programs run, and what is done with what they say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a command line does. All command lines of a call together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShellFacts {
    /// The programs that run, by their file's name, also those that another one starts (`sudo`, `xargs`, `sh -c`).
    pub programs: BTreeSet<String>,
    /// Programs with subcommands, with it: `git push`, `kubectl delete`.
    pub commands: BTreeSet<String>,
    /// The branches that `git push` names on the other side; `*` where they are not known.
    pub pushes: BTreeSet<String>,
    /// Files, disks, processes or history are removed or overwritten for good.
    pub destructive: bool,
    /// Something is sent to, or fetched from, the network.
    pub network: bool,
    /// Another user's rights are taken.
    pub privileged: bool,
    /// What a program says is run by an interpreter.
    pub pipe_to_shell: bool,
    /// A command stands inside a word or is made into a file.
    pub substitution: bool,
    /// A program's name, or what an interpreter runs, is only known when it runs.
    pub dynamic: bool,
    /// A file is written by redirection.
    pub redirects: bool,
    /// Some of it did not parse.
    pub unparsed: bool,
}
