//! Words and what is expanded in them.

use super::{Parsed, Reader, Refused};
use crate::policy::signals::shell::word::Word;

/// What ends a word that is not quoted.
const META: &[u8] = b" \t\r\n;&|<>()";

impl Reader<'_> {
    /// The next word, if one begins here.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let mut word = Word::default();
        let mut bytes: Vec<u8> = Vec::new();
        let from = self.at;
        if self.starts("<(") || self.starts(">(") {
            self.skip(2)?;
            self.substitution(&mut word)?;
            word.process = true;
        }
        while let Some(byte) = self.peek() {
            match byte {
                byte if META.contains(&byte) => break,
                b'\\' => {
                    self.skip(1)?;
                    match self.peek() {
                        Some(b'\n') => self.skip(1)?,
                        Some(next) => {
                            word.quoted = true;
                            bytes.push(next);
                            self.skip(1)?;
                        }
                        None => return Err(Refused::NotShell),
                    }
                }
                b'\'' => {
                    word.quoted = true;
                    self.skip(1)?;
                    self.single(&mut bytes)?;
                }
                b'"' => {
                    word.quoted = true;
                    self.skip(1)?;
                    self.double(&mut word, &mut bytes)?;
                }
                b'$' | b'`' => self.expansion(&mut word, &mut bytes)?,
                byte => {
                    word.pattern |= matches!(byte, b'*' | b'?' | b'[' | b'{');
                    bytes.push(byte);
                    self.skip(1)?;
                }
            }
        }
        word.text = String::from_utf8_lossy(&bytes).into_owned();
        // A lone bracket is a program, and braces without a comma or dots stand for themselves.
        if word.pattern
            && (word.text == "[" || !word.text.contains(['*', '?', '[', ',']) && !word.text.contains(".."))
        {
            word.pattern = false;
        }
        Ok((self.at > from).then_some(word))
    }

    fn single(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let len = rest.iter().position(|byte| *byte == b'\'').ok_or(Refused::NotShell)?;
        bytes.extend_from_slice(rest.get(..len).unwrap_or(&[]));
        self.skip(len.saturating_add(1))
    }

    fn double(&mut self, word: &mut Word, bytes: &mut Vec<u8>) -> Parsed<()> {
        loop {
            match self.peek().ok_or(Refused::NotShell)? {
                b'"' => return self.skip(1),
                b'\\' => self.escaped_in_double(bytes)?,
                b'$' | b'`' => self.expansion(word, bytes)?,
                byte => {
                    bytes.push(byte);
                    self.skip(1)?;
                }
            }
        }
    }

    /// Within double quotes a backslash is itself before most characters.
    fn escaped_in_double(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        self.skip(1)?;
        match self.peek() {
            Some(b'\n') => self.skip(1),
            Some(byte @ (b'"' | b'\\' | b'$' | b'`')) => {
                bytes.push(byte);
                self.skip(1)
            }
            Some(_) => {
                bytes.push(b'\\');
                Ok(())
            }
            None => Err(Refused::NotShell),
        }
    }

    /// What begins with `$` or a backtick, within double quotes or without.
    fn expansion(&mut self, word: &mut Word, bytes: &mut Vec<u8>) -> Parsed<()> {
        if self.take("`")? {
            word.dynamic = true;
            return self.backticks();
        }
        self.skip(1)?;
        match self.peek() {
            Some(b'(') => {
                word.dynamic = true;
                if self.starts("((") && self.deeper(Self::arithmetic)? {
                    return Ok(());
                }
                self.skip(1)?;
                self.substitution(word)
            }
            Some(b'{') => {
                word.dynamic = true;
                self.skip(1)?;
                self.deeper(Self::parameter)
            }
            Some(b'\'') => {
                word.quoted = true;
                self.skip(1)?;
                self.ansi(bytes)
            }
            Some(b'"') => {
                word.quoted = true;
                self.skip(1)?;
                self.double(word, bytes)
            }
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                word.dynamic = true;
                let rest = self.bytes.get(self.at..).unwrap_or(&[]);
                let len = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
                self.skip(len.unwrap_or(rest.len()))
            }
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                word.dynamic = true;
                self.skip(1)
            }
            _ => {
                bytes.push(b'$');
                Ok(())
            }
        }
    }

    /// Commands up to `)`.
    fn substitution(&mut self, word: &mut Word) -> Parsed<()> {
        word.dynamic = true;
        self.script.substitution = true;
        self.deeper(|reader| {
            // Documents that begin within end within.
            let outside = std::mem::take(&mut reader.here);
            reader.list(&[], true)?;
            let closed = reader.take(")")? && reader.here.is_empty();
            reader.here = outside;
            if closed { Ok(()) } else { Err(Refused::NotShell) }
        })
    }

    /// Commands between backticks: one level of backslashes is taken off first.
    fn backticks(&mut self) -> Parsed<()> {
        self.script.substitution = true;
        let mut inner = Vec::new();
        loop {
            match self.peek().ok_or(Refused::NotShell)? {
                b'`' => break,
                b'\\' => {
                    self.skip(1)?;
                    let next = self.peek().ok_or(Refused::NotShell)?;
                    if !matches!(next, b'`' | b'\\' | b'$') {
                        inner.push(b'\\');
                    }
                    inner.push(next);
                    self.skip(1)?;
                }
                byte => {
                    inner.push(byte);
                    self.skip(1)?;
                }
            }
        }
        self.skip(1)?;
        let inner = String::from_utf8_lossy(&inner).into_owned();
        let script = self.deeper(|reader| super::parse(&inner, reader.depth))?;
        self.script.commands.extend(script.commands);
        Ok(())
    }

    /// `((…))` from the first bracket on. `false`, and nothing read, where the brackets do not end together: then it is
    /// a command in brackets.
    pub(super) fn arithmetic(&mut self) -> Parsed<bool> {
        let (from, commands) = (self.at, self.script.commands.len());
        self.skip(2)?;
        let mut open = 0_usize;
        let mut word = Word::default();
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                Some(b'(') => {
                    open = open.saturating_add(1);
                    self.skip(1)?;
                }
                Some(b')') if open > 0 => {
                    open = open.saturating_sub(1);
                    self.skip(1)?;
                }
                Some(b')') if self.starts("))") => {
                    self.skip(2)?;
                    return Ok(true);
                }
                Some(b'"') => {
                    self.skip(1)?;
                    self.double(&mut word, &mut bytes)?;
                }
                Some(b'$' | b'`') => self.expansion(&mut word, &mut bytes)?,
                Some(b'\\') => self.skip(2)?,
                Some(byte) if byte != b')' && byte != b'\'' => self.skip(1)?,
                _ => {
                    self.at = from;
                    self.script.commands.truncate(commands);
                    return Ok(false);
                }
            }
        }
    }

    pub(super) fn arithmetic_command(&mut self) -> Parsed<bool> {
        self.deeper(Self::arithmetic)
    }

    /// `${…}` after the brace.
    fn parameter(&mut self) -> Parsed<()> {
        let mut word = Word::default();
        let mut bytes = Vec::new();
        // `${}` and `${ ` are none.
        if self.peek().is_none_or(|byte| b"} \t\n|&;<>()".contains(&byte)) {
            return Err(Refused::NotShell);
        }
        loop {
            match self.peek().ok_or(Refused::NotShell)? {
                b'}' => return self.skip(1),
                b'\\' => self.skip(2)?,
                b'\'' => {
                    self.skip(1)?;
                    self.single(&mut bytes)?;
                }
                b'"' => {
                    self.skip(1)?;
                    self.double(&mut word, &mut bytes)?;
                }
                b'$' | b'`' => self.expansion(&mut word, &mut bytes)?,
                _ => self.skip(1)?,
            }
        }
    }

    /// `$'…'`
    fn ansi(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        loop {
            match self.peek().ok_or(Refused::NotShell)? {
                b'\'' => return self.skip(1),
                b'\\' => {
                    self.skip(1)?;
                    self.ansi_escape(bytes)?;
                }
                byte => {
                    bytes.push(byte);
                    self.skip(1)?;
                }
            }
        }
    }

    fn ansi_escape(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        let byte = self.peek().ok_or(Refused::NotShell)?;
        let (radix, skip, max) = match byte {
            b'x' => (16, 1, 2),
            b'u' => (16, 1, 4),
            b'U' => (16, 1, 8),
            b'0'..=b'7' => (8, 0, 3),
            byte => {
                self.skip(1)?;
                bytes.push(match byte {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'a' => 7,
                    b'b' => 8,
                    b'e' | b'E' => 0x1B,
                    b'f' => 12,
                    b'v' => 11,
                    byte => byte,
                });
                return Ok(());
            }
        };
        self.skip(skip)?;
        let mut code = 0_u32;
        for _ in 0..max {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else { break };
            code = code.wrapping_mul(radix).wrapping_add(digit);
            self.skip(1)?;
        }
        if max > 3 {
            let c = char::from_u32(code).unwrap_or('\u{FFFD}');
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(code.to_le_bytes()[0]);
        }
        Ok(())
    }

    /// A here-document's text, in which commands and variables are expanded.
    pub(super) fn expanded_text(&mut self, text: &str) -> Parsed<Word> {
        let depth = self.depth;
        let mut inner = Reader {
            bytes: text.as_bytes(),
            at: 0,
            steps: self.steps,
            depth,
            script: super::Script::default(),
            here: Vec::new(),
        };
        let (mut word, mut bytes) = (Word { quoted: true, ..Word::default() }, Vec::new());
        while let Some(byte) = inner.peek() {
            match byte {
                b'\\' if inner.at.saturating_add(1) < inner.bytes.len() => {
                    inner.escaped_in_double(&mut bytes)?;
                }
                b'$' | b'`' => inner.expansion(&mut word, &mut bytes)?,
                byte => {
                    bytes.push(byte);
                    inner.skip(1)?;
                }
            }
        }
        word.text = String::from_utf8_lossy(&bytes).into_owned();
        self.steps = inner.steps;
        self.script.substitution |= inner.script.substitution;
        self.script.commands.extend(inner.script.commands);
        Ok(word)
    }
}
