//! Shell, read by a parser: which programs run, and what is done with what they say.
//!
//! The grammar of POSIX (XCU 2.10) with what bash adds. It is our own because the permissively licensed one there is
//! (`brush-parser` 0.4) keeps texts it has read in caches of the process, panics on long numbers, and backtracks without
//! a bound; `bash -n` judges this one in its tests. What runs cannot always be known before it runs; then
//! [`ShellFacts::dynamic`] or [`ShellFacts::unparsed`] says so, and rules should read them as the worst.

mod effects;
mod grammar;
mod programs;
mod word;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of one command line that is parsed.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Scripts within scripts: `sh -c "sh -c '…'"`, command substitutions.
const DEPTH_MAX: usize = 24;
/// Names in each of the sets of [`ShellFacts`], and bytes of each.
const NAMES_MAX: usize = 64;
const NAME_MAX_BYTES: usize = 128;

/// What a command line does. All command lines of a call together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShellFacts {
    /// The programs that run, by their file's name, also those that another one starts (`sudo`, `xargs`, `sh -c`).
    pub programs: BTreeSet<String>,
    /// Programs with subcommands, with it: `git push`, `kubectl delete`.
    pub commands: BTreeSet<String>,
    /// The branches that `git push` names on the other side; `*` where they are not known.
    pub pushes: BTreeSet<String>,
    /// Directories, disks, processes or history are removed or overwritten for good. A plain `rm file` is not here, it is
    /// among the programs.
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
    /// A program in another language stands in the command line: `python -c`, `perl -e`. It is not read.
    pub inline_code: bool,
    /// A file is written by redirection.
    pub redirects: bool,
    /// Some of it did not parse.
    pub unparsed: bool,
}

/// Adds what a command line does: a text, or a list of texts, which is one command that no shell takes apart. Says
/// whether it was over a bound.
pub(super) fn read(value: &Value, facts: &mut ShellFacts) -> bool {
    match value {
        Value::String(text) => script(text, 0, facts),
        Value::Array(items) => {
            let words: Option<Vec<word::Word>> =
                items.iter().map(|item| item.as_str().map(word::Word::literal)).collect();
            match words.filter(|words| !words.is_empty() && words.len() <= TEXT_MAX_BYTES) {
                Some(words) => effects::command(&grammar::Command { words, ..Default::default() }, 0, facts),
                None => {
                    facts.unparsed = true;
                    false
                }
            }
        }
        _ => {
            facts.unparsed = true;
            false
        }
    }
}

/// Adds what a script does. Says whether it was over a bound.
fn script(text: &str, depth: usize, facts: &mut ShellFacts) -> bool {
    if text.len() > TEXT_MAX_BYTES || depth > DEPTH_MAX {
        facts.unparsed = true;
        return true;
    }
    let mut over = false;
    match grammar::parse(text, depth) {
        Ok(script) => {
            facts.substitution |= script.substitution;
            for command in &script.commands {
                over |= effects::command(command, depth, facts);
            }
        }
        Err(grammar::Refused::NotShell) => facts.unparsed = true,
        Err(grammar::Refused::OverBudget) => {
            facts.unparsed = true;
            over = true;
        }
    }
    over
}

/// Adds a name; one too many, or too long, counts as not known.
fn put(set: &mut BTreeSet<String>, name: &str) -> bool {
    let fits = name.len() <= NAME_MAX_BYTES && (set.len() < NAMES_MAX || set.contains(name));
    if fits {
        set.insert(name.to_owned());
    }
    !fits
}

#[cfg(test)]
mod tests;
