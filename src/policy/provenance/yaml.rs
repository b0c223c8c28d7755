//! A part of YAML: what PyYAML's `safe_dump` writes in block style, read strictly or not at all. A general parser of YAML
//! reads far more than any tool writes, in ways that two parsers seldom agree on; what is believed must have one reading.
//!
//! All scalars are texts, `null` and `true` too. Refused: control characters other than line feed, comments, directives,
//! `---`, anchors, aliases, tags, `|` and `>`, flow collections but `[]` and `{}`, complex keys, escapes in names, members
//! and elements without a value, a name twice. The whole grammar: docs/grounding.md.
//!
//! Linear: no line is looked at more than a few times, however it is nested.

use serde_json::{Map, Value};

use super::dump::VALUES_MAX;

/// Containers open at once.
const DEPTH_MAX: usize = 64;
/// Characters of a member's name; PyYAML refuses more.
const NAME_MAX_BYTES: usize = 1_024;
/// What a plain scalar does not begin with.
const NOT_PLAIN: &str = "[]{}&*!|>%@`#,";
/// What the plain name of a member does not begin with.
const NOT_NAME: &str = "[]{}#&*!|>'\"%@`,?:-";

/// The value of a document; `None` where the text is not exactly of the form.
pub(super) fn read(text: &str) -> Option<Value> {
    if text.chars().any(is_refused) {
        return None;
    }
    match text.trim_end_matches(['\n', ' ']) {
        "[]" => return Some(Value::Array(Vec::new())),
        "{}" => return Some(Value::Object(Map::new())),
        _ => {}
    }
    let lines: Vec<&str> = text.split('\n').collect();
    let len = lines.iter().rposition(|line| !is_blank(line))?.checked_add(1)?;
    let mut reader = Reader { lines: lines.get(..len)?, next: 0, column: 0, values: 0 };
    reader.go_to(0);
    let value = if reader.column == 0 { reader.block(0, 0)? } else { return None };
    reader.line().is_none().then_some(value)
}

/// Control characters, line breaks beyond the one, and what is no character.
const fn is_refused(c: char) -> bool {
    matches!(c, '\0'..='\t' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|byte| byte == b' ')
}

fn indentation(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

struct Reader<'a> {
    lines: &'a [&'a str],
    /// The line that is read next, and the column at which what is left of it begins.
    next: usize,
    column: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// What is left of the line, and its column.
    fn line(&self) -> Option<(usize, &'a str)> {
        Some((self.column, self.lines.get(self.next)?.get(self.column..)?))
    }

    fn go_to(&mut self, line: usize) {
        self.next = line;
        self.column = self.lines.get(line).map_or(0, |line| indentation(line));
    }

    fn advance(&mut self) {
        self.go_to(self.next.saturating_add(1));
    }

    fn count(&mut self) -> Option<()> {
        self.values = self.values.checked_add(1).filter(|values| *values <= VALUES_MAX)?;
        Some(())
    }

    /// The mapping or sequence that begins here.
    fn block(&mut self, column: usize, depth: usize) -> Option<Value> {
        match self.line()? {
            (at, rest) if at == column && (rest == "-" || rest.starts_with("- ")) => {
                self.sequence(column, depth)
            }
            (at, _) if at == column => self.mapping(column, depth),
            _ => None,
        }
    }

    /// Recurses at most [`DEPTH_MAX`] deep.
    fn sequence(&mut self, column: usize, depth: usize) -> Option<Value> {
        let deeper = depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?;
        self.count()?;
        let mut items = Vec::new();
        while let Some((_, rest)) = self.line().filter(|(at, _)| *at == column) {
            let Some(item) = rest.strip_prefix("- ") else {
                if rest == "-" {
                    return None;
                }
                break;
            };
            let inner = column.checked_add(2)?;
            items.push(if item.starts_with("- ") {
                self.column = inner;
                self.sequence(inner, deeper)?
            } else if name(item).is_some() {
                self.column = inner;
                self.mapping(inner, deeper)?
            } else {
                self.scalar(inner, column)?
            });
        }
        Some(Value::Array(items))
    }

    /// Recurses at most [`DEPTH_MAX`] deep.
    fn mapping(&mut self, column: usize, depth: usize) -> Option<Value> {
        let deeper = depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?;
        self.count()?;
        let mut members = Map::new();
        while let Some((_, rest)) = self.line().filter(|(at, _)| *at == column) {
            if rest.starts_with("- ") {
                break;
            }
            let (name, value_at) = name(rest)?;
            if members.contains_key(&name) {
                return None;
            }
            let value = if value_at < rest.len() {
                self.scalar(column.checked_add(value_at)?, column)?
            } else {
                self.advance();
                match self.line()? {
                    (at, rest) if at == column && rest.starts_with("- ") => self.sequence(at, deeper)?,
                    (at, _) if at > column => self.block(at, deeper)?,
                    _ => return None,
                }
            };
            members.insert(name, value);
        }
        Some(Value::Object(members))
    }

    /// A scalar, or an empty collection, that begins at this column and goes on over lines deeper than `parent`.
    fn scalar(&mut self, column: usize, parent: usize) -> Option<Value> {
        self.count()?;
        #[cfg(test)]
        super::steps::add(column);
        let rest = self.lines.get(self.next)?.get(column..)?;
        let empty = match rest {
            "[]" => Some(Value::Array(Vec::new())),
            "{}" => Some(Value::Object(Map::new())),
            _ => None,
        };
        if empty.is_some() {
            self.advance();
            return empty;
        }
        match rest.chars().next()? {
            '\'' => self.single(column, parent).map(Value::String),
            '"' => self.double(column, parent).map(Value::String),
            c if NOT_PLAIN.contains(c) => None,
            _ => self.plain(rest, parent).map(Value::String),
        }
    }

    fn plain(&mut self, first: &str, parent: usize) -> Option<String> {
        let marked =
            first.strip_prefix(['-', '?', ':']).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        if marked || first.starts_with(' ') || first.ends_with(' ') || !is_plain(first) {
            return None;
        }
        let mut out = first.to_owned();
        self.advance();
        loop {
            let breaks = self.skip_blank();
            match self.line() {
                Some((at, _)) if at > parent => {}
                _ if breaks == 0 => return Some(out),
                // Empty lines are part of a scalar or of nothing.
                _ => return None,
            }
            let (_, rest) = self.line()?;
            let rest = rest.trim_end_matches(' ');
            if !is_plain(rest) {
                return None;
            }
            fold(breaks, &mut out);
            out.push_str(rest);
            self.advance();
        }
    }

    /// Passes over empty lines, and says how many.
    fn skip_blank(&mut self) -> usize {
        let from = self.next;
        while self.lines.get(self.next).is_some_and(|line| is_blank(line)) {
            self.advance();
        }
        self.next.saturating_sub(from)
    }

    /// Goes on to the next line of a quoted scalar that has words in it; says how many empty ones were passed.
    fn next_quoted(&mut self, parent: usize) -> Option<(usize, &'a str)> {
        self.advance();
        let breaks = self.skip_blank();
        let (_, rest) = self.line().filter(|(at, _)| *at > parent)?;
        Some((breaks, rest))
    }

    fn single(&mut self, column: usize, parent: usize) -> Option<String> {
        let mut rest = self.lines.get(self.next)?.get(column..)?.strip_prefix('\'')?;
        let mut out = String::new();
        loop {
            match rest.split_once('\'') {
                Some((text, after)) if after.starts_with('\'') => {
                    out.push_str(text);
                    out.push('\'');
                    rest = after.get(1..)?;
                }
                Some((text, after)) => {
                    out.push_str(text);
                    self.advance();
                    return is_blank(after).then_some(out);
                }
                None => {
                    out.push_str(rest);
                    out.truncate(out.trim_end_matches(' ').len());
                    let (breaks, more) = self.next_quoted(parent)?;
                    fold(breaks, &mut out);
                    rest = more;
                }
            }
        }
    }

    fn double(&mut self, column: usize, parent: usize) -> Option<String> {
        let mut chars = self.lines.get(self.next)?.get(column..)?.strip_prefix('"')?.chars();
        let mut out = String::new();
        // What is escaped is not white space around a break.
        let mut kept = 0;
        loop {
            match chars.next() {
                Some('"') => {
                    self.advance();
                    return is_blank(chars.as_str()).then_some(out);
                }
                Some('\\') if !chars.as_str().is_empty() => {
                    out.push(escaped(&mut chars)?);
                    kept = out.len();
                }
                Some('\\') => {
                    let (breaks, more) = self.next_quoted(parent)?;
                    out.extend(std::iter::repeat_n('\n', breaks));
                    kept = out.len();
                    chars = more.chars();
                }
                Some(c) => out.push(c),
                None => {
                    let end = out.trim_end_matches(' ').len().max(kept);
                    out.truncate(end);
                    let (breaks, more) = self.next_quoted(parent)?;
                    fold(breaks, &mut out);
                    kept = out.len();
                    chars = more.chars();
                }
            }
        }
    }
}

/// A line break is a space, and so many empty lines are as many line feeds.
fn fold(breaks: usize, out: &mut String) {
    if breaks == 0 {
        out.push(' ');
    }
    out.extend(std::iter::repeat_n('\n', breaks));
}

/// May the line be one of a plain scalar?
fn is_plain(line: &str) -> bool {
    !(line.contains(": ") || line.ends_with(':') || line.contains(" #") || line.starts_with('#'))
}

/// The name of the member that begins here, and where its value does.
fn name(line: &str) -> Option<(String, usize)> {
    #[cfg(test)]
    super::steps::add(line.len());
    let (name, len) = match line.as_bytes().first()? {
        b'\'' => single_name(line)?,
        b'"' => {
            let (name, _) = line.get(1..)?.split_once('"')?;
            if name.contains('\\') {
                return None;
            }
            (name.to_owned(), name.len().checked_add(2)?)
        }
        _ => plain_name(line)?,
    };
    let after = line.get(len..)?.strip_prefix(':')?;
    let value_at =
        if after.is_empty() { line.len() } else { after.starts_with(' ').then_some(len.checked_add(2)?)? };
    (len <= NAME_MAX_BYTES).then_some((name, value_at))
}

/// A name in single quotes, and the bytes that it takes.
fn single_name(line: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut rest = line.get(1..)?;
    loop {
        let (text, after) = rest.split_once('\'')?;
        name.push_str(text);
        match after.strip_prefix('\'') {
            Some(after) => {
                name.push('\'');
                rest = after;
            }
            None => return Some((name, line.len().checked_sub(after.len())?)),
        }
    }
}

/// A name without quotes: it ends before the first `:` at the end or before a space. It has no `#`, no `:` before another
/// or before white space, and after a `-` none at all.
fn plain_name(line: &str) -> Option<(String, usize)> {
    let dash = line.starts_with('-');
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            _ if at == 0 && (c.is_whitespace() || (NOT_NAME.contains(c) && !dash)) => return None,
            '-' if at == 0 && next.is_none_or(|next| next.is_whitespace() || next == '#') => return None,
            '#' => return None,
            ':' if next.is_none_or(|next| next == ' ') => {
                let name = line.get(..at)?;
                let fits = !name.ends_with(char::is_whitespace) && name != "-";
                return fits.then(|| (name.to_owned(), at));
            }
            ':' if dash || next.is_some_and(|next| next.is_whitespace() || next == ':' || next == '#') => {
                return None;
            }
            _ => {}
        }
    }
    None
}

/// The character of an escape, after its backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let digits = match chars.next()? {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        c => {
            return Some(match c {
                '0' => '\0',
                'a' => '\u{7}',
                'b' => '\u{8}',
                't' => '\t',
                'n' => '\n',
                'v' => '\u{b}',
                'f' => '\u{c}',
                'r' => '\r',
                'e' => '\u{1b}',
                ' ' | '"' | '/' | '\\' => c,
                'N' => '\u{85}',
                '_' => '\u{a0}',
                'L' => '\u{2028}',
                'P' => '\u{2029}',
                _ => return None,
            });
        }
    };
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests;
