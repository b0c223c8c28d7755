//! The grammar, by recursive descent over bytes, one look ahead. It gives the simple commands of a script, those in
//! compound commands and substitutions included, in a flat list: every one of them may run.
//!
//! Every step forward is counted. `$((` is tried as arithmetic first and read again as a command if it is none, so the
//! count is of steps, not of bytes.

mod expand;

use super::DEPTH_MAX;
use super::word::{Word, is_name};

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

/// A here-document whose text comes with the next line.
struct Here {
    command: usize,
    redirect: usize,
    end: Word,
    tabs: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    steps: usize,
    depth: usize,
    script: Script,
    here: Vec<Here>,
}

/// Words that no command begins with, because they belong to one that is open.
const CLOSING: &[&str] = &["then", "else", "elif", "fi", "do", "done", "esac", "}", "]]", "in"];

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
        self.deeper(|reader| reader.any_command(piped))?;
        if piped {
            for command in self.script.commands.iter_mut().skip(first) {
                command.piped = true;
            }
        }
        Ok(())
    }

    fn any_command(&mut self, piped: bool) -> Parsed<()> {
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
        self.simple(piped)
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

    fn braces(&mut self) -> Parsed<()> {
        self.some(&["}"])?;
        self.reserved("}")
    }

    fn if_then(&mut self) -> Parsed<()> {
        loop {
            self.some(&["then"])?;
            self.reserved("then")?;
            self.some(&["elif", "else", "fi"])?;
            if self.at_reserved(&["elif"]) {
                self.skip(4)?;
                continue;
            }
            if self.at_reserved(&["else"]) {
                self.skip(4)?;
                self.some(&["fi"])?;
            }
            return self.reserved("fi");
        }
    }

    fn while_do(&mut self) -> Parsed<()> {
        self.some(&["do"])?;
        self.do_done()
    }

    fn do_done(&mut self) -> Parsed<()> {
        self.newlines()?;
        if self.at_reserved(&["{"]) {
            self.skip(1)?;
            return self.braces();
        }
        self.reserved("do")?;
        self.some(&["done"])?;
        self.reserved("done")
    }

    fn for_in(&mut self) -> Parsed<()> {
        self.blanks()?;
        if self.starts("((") {
            if !self.arithmetic_command()? {
                return Err(Refused::NotShell);
            }
        } else {
            let name = self.word()?.ok_or(Refused::NotShell)?;
            if !is_name(&name.text) || name.quoted || name.dynamic {
                return Err(Refused::NotShell);
            }
            self.newlines()?;
            if self.at_reserved(&["in"]) {
                self.skip(2)?;
                loop {
                    self.blanks()?;
                    if self.word()?.is_none() {
                        break;
                    }
                }
            }
        }
        self.blanks()?;
        self.take(";")?;
        self.do_done()
    }

    fn case_in(&mut self) -> Parsed<()> {
        self.blanks()?;
        self.word()?.ok_or(Refused::NotShell)?;
        self.reserved("in")?;
        loop {
            self.newlines()?;
            if self.at_reserved(&["esac"]) {
                return self.skip(4);
            }
            self.take("(")?;
            loop {
                self.blanks()?;
                self.word()?.ok_or(Refused::NotShell)?;
                self.blanks()?;
                if !self.take("|")? {
                    break;
                }
            }
            if !self.take(")")? {
                return Err(Refused::NotShell);
            }
            self.list(&["esac", ";;"], false)?;
            self.newlines()?;
            let ended = self.take(";;&")? || self.take(";;")? || self.take(";&")?;
            if !ended && !self.at_reserved(&["esac"]) {
                return Err(Refused::NotShell);
            }
        }
    }

    fn function(&mut self) -> Parsed<()> {
        self.blanks()?;
        self.word()?.ok_or(Refused::NotShell)?;
        self.blanks()?;
        if self.take("(")? {
            self.blanks()?;
            if !self.take(")")? {
                return Err(Refused::NotShell);
            }
        }
        self.newlines()?;
        self.command(false)
    }

    /// `[[ … ]]`: words and operators up to the end.
    fn test(&mut self) -> Parsed<()> {
        loop {
            self.newlines()?;
            if self.at_reserved(&["]]"]) {
                return self.skip(2);
            }
            match self.peek() {
                None => return Err(Refused::NotShell),
                Some(b'&' | b'|' | b'<' | b'>' | b'(' | b')') => self.skip(1)?,
                Some(_) => {
                    self.word()?.ok_or(Refused::NotShell)?;
                }
            }
        }
    }

    fn coproc(&mut self) -> Parsed<()> {
        self.command(false)
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

    fn simple(&mut self, _piped: bool) -> Parsed<()> {
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

    /// One redirection, if there is one.
    fn redirect(&mut self, slot: usize) -> Parsed<bool> {
        self.blanks()?;
        let before = self.at;
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let number = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        self.skip(number)?;
        // The longest first.
        let operators: [(&str, RedirectKind); 13] = [
            ("&>>", RedirectKind::Write),
            ("&>", RedirectKind::Write),
            ("<<<", RedirectKind::Text),
            ("<<-", RedirectKind::Text),
            ("<<", RedirectKind::Text),
            ("<>", RedirectKind::Write),
            ("<&", RedirectKind::Other),
            (">>", RedirectKind::Write),
            (">|", RedirectKind::Write),
            (">&", RedirectKind::Write),
            ("<(", RedirectKind::Other),
            (">(", RedirectKind::Other),
            (">", RedirectKind::Write),
        ];
        let found = operators.iter().find(|(text, _)| self.starts(text)).copied();
        let (text, kind) = match found {
            // A process substitution is a word.
            Some(("<(" | ">(", _)) => ("", RedirectKind::Other),
            Some(found) => found,
            None if self.starts("<") => ("<", RedirectKind::Other),
            None => ("", RedirectKind::Other),
        };
        if text.is_empty() || (number > 0 && text.starts_with('&')) {
            self.at = before;
            return Ok(false);
        }
        self.skip(text.len())?;
        self.blanks()?;
        let target = self.word()?.ok_or(Refused::NotShell)?;
        let to_descriptor = text.ends_with('&')
            && target
                .known()
                .is_some_and(|text| text.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit()));
        let kind = if to_descriptor { RedirectKind::Other } else { kind };
        let here = matches!(text, "<<" | "<<-");
        let Some(command) = self.script.commands.get_mut(slot) else { return Err(Refused::NotShell) };
        if here {
            let redirect = command.redirects.len();
            self.here.push(Here { command: slot, redirect, end: target.clone(), tabs: text == "<<-" });
        }
        command.redirects.push(Redirect { kind, target });
        Ok(true)
    }

    /// The texts of the here-documents of the line that has just ended.
    fn here_documents(&mut self) -> Parsed<()> {
        for here in std::mem::take(&mut self.here) {
            let mut lines: Vec<u8> = Vec::new();
            loop {
                let rest =
                    self.bytes.get(self.at..).filter(|rest| !rest.is_empty()).ok_or(Refused::NotShell)?;
                let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                let line = rest.get(..len).unwrap_or(&[]);
                let tabs = if here.tabs { line.iter().take_while(|byte| **byte == b'\t').count() } else { 0 };
                let line = line.get(tabs..).unwrap_or(&[]);
                let is_end = line == here.end.text.as_bytes();
                if !is_end {
                    lines.extend_from_slice(line);
                    lines.push(b'\n');
                }
                self.skip(len.saturating_add(1))?;
                if is_end {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&lines).into_owned();
            let target = if here.end.quoted { Word::literal(&text) } else { self.expanded_text(&text)? };
            let place =
                self.script.commands.get_mut(here.command).and_then(|c| c.redirects.get_mut(here.redirect));
            if let Some(redirect) = place {
                redirect.target = target;
            }
        }
        Ok(())
    }
}

type Compound = fn(&mut Reader<'_>) -> Parsed<()>;

/// The compound commands by the reserved word they begin with.
const COMPOUND: [(&str, Compound); 10] = [
    ("{", |reader| reader.braces()),
    ("if", |reader| reader.if_then()),
    ("while", |reader| reader.while_do()),
    ("until", |reader| reader.while_do()),
    ("for", |reader| reader.for_in()),
    ("select", |reader| reader.for_in()),
    ("case", |reader| reader.case_in()),
    ("function", |reader| reader.function()),
    ("[[", |reader| reader.test()),
    ("coproc", |reader| reader.coproc()),
];
