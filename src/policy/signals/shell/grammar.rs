//! The grammar, by recursive descent over bytes, one look ahead. It gives the simple commands of a script, those in
//! compound commands and substitutions included, in a flat list: every one of them may run.
//!
//! Every step forward is counted. `$((` is tried as arithmetic first and read again as a command if it is none, so the
//! count is of steps, not of bytes.

mod compound;
mod expand;
mod redirect;

use super::DEPTH_MAX;
use super::word::Word;
use compound::{CLOSING, COMPOUND};
use redirect::Here;

/// Steps a parse may take, for each byte.
const STEPS_PER_BYTE: usize = 16;
/// Simple commands of one script.
const COMMANDS_MAX: usize = 1_024;

/// Why there is no script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The text is not in the grammar.
    NotShell,
    /// It is too deep or too much.
    OverBudget,
}

type Parsed<T> = Result<T, Refused>;

/// A simple command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    /// Program and arguments; none where only variables are set.
    pub(super) words: Vec<Word>,
    /// Variables set for it.
    pub(super) assigned: Vec<String>,
    pub(super) redirects: Vec<Redirect>,
    /// Another command's output comes in.
    pub(super) piped: bool,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) kind: RedirectKind,
    /// The file, or the text that comes in.
    pub(super) target: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RedirectKind {
    /// Into a file.
    Write,
    /// Out of a file, or to and from a descriptor.
    Other,
    /// A text comes in: `<<`, `<<<`.
    Text,
}

/// What a text does when a shell reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Script {
    pub(super) commands: Vec<Command>,
    pub(super) substitution: bool,
}

/// Reads a script.
pub(super) fn parse(text: &str, depth: usize) -> Parsed<Script> {
    if text.contains('\0') {
        return Err(Refused::NotShell);
    }
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
        steps: text.len().saturating_mul(STEPS_PER_BYTE).saturating_add(256),
        depth,
        script: Script::default(),
        here: Vec::new(),
    };
    reader.list(&[], false)?;
    reader.blanks()?;
    if reader.at < reader.bytes.len() || !reader.here.is_empty() {
        return Err(Refused::NotShell);
    }
    Ok(reader.script)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    steps: usize,
    depth: usize,
    script: Script,
    here: Vec<Here>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn starts(&self, text: &str) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    fn skip(&mut self, len: usize) -> Parsed<()> {
        self.steps = self.steps.checked_sub(len.max(1)).ok_or(Refused::OverBudget)?;
        self.at = self.at.saturating_add(len).min(self.bytes.len());
        Ok(())
    }

    fn take(&mut self, text: &str) -> Parsed<bool> {
        let there = self.starts(text);
        if there {
            self.skip(text.len())?;
        }
        Ok(there)
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Refused::OverBudget);
        }
        self.depth = self.depth.saturating_add(1);
        let result = inner(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Spaces, joined lines and comments.
    fn blanks(&mut self) -> Parsed<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.skip(1)?,
                Some(b'\\') if self.starts("\\\n") => self.skip(2)?,
                Some(b'#') => {
                    let rest = self.bytes.get(self.at..).unwrap_or(&[]);
                    self.skip(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()))?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Blanks and line ends; after a line's end come the texts of its here-documents.
    fn newlines(&mut self) -> Parsed<()> {
        loop {
            self.blanks()?;
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.skip(1)?;
            self.here_documents()?;
        }
    }

    /// Commands up to one of the reserved words `until`, or up to `)` where `close` says so. Says how many.
    fn list(&mut self, until: &[&str], close: bool) -> Parsed<usize> {
        let mut count = 0_usize;
        loop {
            self.newlines()?;
            let ended = match self.peek() {
                None => true,
                Some(b')') => close,
                Some(b';') => until.contains(&";;") && (self.starts(";;") || self.starts(";&")),
                _ => self.at_reserved(until),
            };
            if ended {
                return Ok(count);
            }
            self.and_or()?;
            count = count.saturating_add(1);
            self.blanks()?;
            match self.peek() {
                Some(b';') if self.starts(";;") || self.starts(";&") => {}
                Some(b';' | b'&') => self.skip(1)?,
                Some(b'\n' | b')') | None => {}
                // `{ a; } }`, `(a) then`: what follows a compound command must close what is open.
                _ if self.at_reserved(until) => {}
                _ => return Err(Refused::NotShell),
            }
        }
    }

    /// Whether one of these reserved words comes next, as a whole word.
    fn at_reserved(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            self.starts(word)
                && self
                    .bytes
                    .get(self.at.saturating_add(word.len()))
                    .is_none_or(|byte| b" \t\r\n;&|<>()".contains(byte))
        })
    }

    fn reserved(&mut self, word: &str) -> Parsed<()> {
        self.newlines()?;
        if self.at_reserved(&[word]) { self.skip(word.len()) } else { Err(Refused::NotShell) }
    }

    fn and_or(&mut self) -> Parsed<()> {
        loop {
            self.pipeline()?;
            self.blanks()?;
            if !(self.take("&&")? || self.take("||")?) {
                return Ok(());
            }
            self.newlines()?;
        }
    }

    fn pipeline(&mut self) -> Parsed<()> {
        self.blanks()?;
        while self.at_reserved(&["!", "time"]) {
            let time = self.starts("time");
            self.skip(if time { 4 } else { 1 })?;
            self.blanks()?;
            if time && self.at_reserved(&["-p"]) {
                self.skip(2)?;
                self.blanks()?;
            }
        }
        self.command(false)?;
        loop {
            self.blanks()?;
            if self.starts("||") || !(self.take("|&")? || self.take("|")?) {
                return Ok(());
            }
            self.newlines()?;
            self.command(true)?;
        }
    }

    /// A simple or compound command. What comes in through a pipe comes in to every command within.
    fn command(&mut self, piped: bool) -> Parsed<()> {
        let first = self.script.commands.len();
        self.deeper(Self::any_command)?;
        if piped {
            for command in self.script.commands.iter_mut().skip(first) {
                command.piped = true;
            }
        }
        Ok(())
    }

    fn any_command(&mut self) -> Parsed<()> {
        self.blanks()?;
        if self.starts("((") && self.arithmetic_command()? {
            return self.redirects_after();
        }
        if self.take("(")? {
            self.closed_list()?;
            return self.redirects_after();
        }
        for (word, compound) in COMPOUND {
            if self.at_reserved(&[word]) {
                self.skip(word.len())?;
                compound(self)?;
                return self.redirects_after();
            }
        }
        if self.at_reserved(CLOSING) {
            return Err(Refused::NotShell);
        }
        self.simple()
    }

    /// Commands up to `)`; at least one.
    fn closed_list(&mut self) -> Parsed<()> {
        let count = self.list(&[], true)?;
        if count == 0 || !self.take(")")? { Err(Refused::NotShell) } else { Ok(()) }
    }

    /// Commands up to one of `until`; at least one.
    fn some(&mut self, until: &[&str]) -> Parsed<()> {
        if self.list(until, false)? == 0 { Err(Refused::NotShell) } else { Ok(()) }
    }

    /// Redirections of a compound command, as those of a command without a program.
    fn redirects_after(&mut self) -> Parsed<()> {
        let slot = self.open()?;
        while self.redirect(slot)? {}
        if self.script.commands.get(slot).is_some_and(|command| command.redirects.is_empty()) {
            self.script.commands.truncate(slot);
        }
        Ok(())
    }

    /// A place for a command, before what stands within its words.
    fn open(&mut self) -> Parsed<usize> {
        let slot = self.script.commands.len();
        if slot >= COMMANDS_MAX {
            return Err(Refused::OverBudget);
        }
        self.script.commands.push(Command::default());
        Ok(slot)
    }

    fn simple(&mut self) -> Parsed<()> {
        let slot = self.open()?;
        let mut words: Vec<Word> = Vec::new();
        let mut assigned = Vec::new();
        let mut any = false;
        loop {
            self.blanks()?;
            if self.redirect(slot)? {
                any = true;
                continue;
            }
            let Some(word) = self.word()? else { break };
            any = true;
            let name = word.assigned().filter(|_| words.is_empty());
            match name {
                Some(name) => {
                    assigned.push(name.to_owned());
                    if word.text.ends_with('=') && self.peek() == Some(b'(') {
                        self.array()?;
                    }
                }
                None => words.push(word),
            }
            if words.len() == 1 && assigned.is_empty() && self.function_follows()? {
                return Ok(());
            }
        }
        if !any {
            return Err(Refused::NotShell);
        }
        if let Some(command) = self.script.commands.get_mut(slot) {
            command.words = words;
            command.assigned = assigned;
        }
        Ok(())
    }

    /// `name() command`
    fn function_follows(&mut self) -> Parsed<bool> {
        let before = self.at;
        self.blanks()?;
        if !self.take("(")? {
            self.at = before;
            return Ok(false);
        }
        self.blanks()?;
        if !self.take(")")? {
            return Err(Refused::NotShell);
        }
        self.newlines()?;
        self.command(false)?;
        Ok(true)
    }

    /// `name=(…)`
    fn array(&mut self) -> Parsed<()> {
        self.skip(1)?;
        loop {
            self.newlines()?;
            if self.take(")")? {
                return Ok(());
            }
            self.word()?.ok_or(Refused::NotShell)?;
        }
    }
}
