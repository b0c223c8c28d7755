//! Compound commands.

use super::{Parsed, Reader, Refused};
use crate::policy::signals::shell::word::is_name;

/// Words that no command begins with, because they belong to one that is open.
pub(super) const CLOSING: &[&str] = &["then", "else", "elif", "fi", "do", "done", "esac", "}", "]]", "in"];

pub(super) type Compound = fn(&mut Reader<'_>) -> Parsed<()>;

/// The compound commands by the reserved word they begin with.
pub(super) const COMPOUND: [(&str, Compound); 10] = [
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

impl Reader<'_> {
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
}
