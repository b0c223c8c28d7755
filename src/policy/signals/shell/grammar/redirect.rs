//! Redirections and here-documents.

use super::{Parsed, Reader, Redirect, RedirectKind, Refused};
use crate::policy::signals::shell::word::Word;

/// A here-document whose text comes with the next line.
pub(super) struct Here {
    command: usize,
    redirect: usize,
    end: Word,
    tabs: bool,
}

impl Reader<'_> {
    /// One redirection, if there is one.
    pub(super) fn redirect(&mut self, slot: usize) -> Parsed<bool> {
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
    pub(super) fn here_documents(&mut self) -> Parsed<()> {
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
