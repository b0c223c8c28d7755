//! One Rust file as the rules see it: its lines as written, the same text with comments and literals blanked out,
//! and which lines are test code. Not a parser: it knows comments, literals, braces, `use` groups and attributes.

use std::ops::Range;
use std::path::Path;

/// A file under `src/` or `tests/`.
pub(crate) struct Source {
    /// Path from the package's root, with `/`.
    pub(crate) path: String,
    /// The text as written, and its lines.
    text: String,
    pub(crate) lines: Vec<String>,
    /// The text with the inside of comments, strings and character literals replaced by spaces, byte for byte.
    pub(crate) code: String,
    line_starts: Vec<usize>,
    tests: Vec<bool>,
    functions: Vec<Function>,
    inline_modules: Vec<Range<usize>>,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// First and last line, counted from 0.
    pub(crate) lines: (usize, usize),
}

impl Source {
    /// Reads the text of one file.
    pub(crate) fn parse(path: &str, text: &str) -> Source {
        let code = blank(text);
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
            lines: text.split('\n').map(str::to_owned).collect(),
            code,
            line_starts,
            tests: Vec::new(),
            functions: Vec::new(),
            inline_modules: Vec::new(),
        };
        source.tests = source.find_tests();
        source.functions = source.find_functions();
        source.inline_modules = source.find_inline_modules();
        source
    }

    /// The room (folder of `src/`) the file is in; `lib` and `main` for the two files at the root.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or("").trim_end_matches(".rs")
    }

    /// The line, counted from 0, that holds the byte `offset`.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// Whether line `index`, counted from 0, is test code.
    pub(crate) fn is_test(&self, index: usize) -> bool {
        self.tests.get(index).copied().unwrap_or(false)
    }

    pub(crate) fn mark_all_as_test(&mut self) {
        self.tests.fill(true);
    }

    pub(crate) fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// How many modules enclose `offset`: 0 at the crate's root, 1 in a room's `mod.rs`.
    pub(crate) fn module_depth(&self, offset: usize) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let parts: Vec<&str> = inside.split('/').collect();
        let own = match parts.as_slice() {
            ["lib.rs" | "main.rs"] => 0,
            [folders @ .., "mod.rs"] => folders.len(),
            all => all.len(),
        };
        own + self.inline_modules.iter().filter(|range| range.contains(&offset)).count()
    }

    /// Names of modules declared `#[cfg(test)] mod name;`: their files are test code.
    pub(crate) fn test_modules_elsewhere(&self) -> Vec<String> {
        offsets(&self.code, "mod ")
            .filter(|at| self.is_test(self.line_of(*at)))
            .filter_map(|at| {
                let rest = self.code.get(at + 4..)?;
                let (name, _) = rest.split_once(';')?;
                name.bytes().all(is_word_byte).then(|| name.to_owned())
            })
            .collect()
    }

    /// Every attribute with the offset of its `#`, text as written.
    pub(crate) fn attributes(&self) -> Vec<(usize, String)> {
        self.code
            .match_indices('#')
            .filter_map(|(at, _)| {
                let open = match self.code.get(at + 1..)?.as_bytes() {
                    [b'[', ..] => at + 1,
                    [b'!', b'[', ..] => at + 2,
                    _ => return None,
                };
                let close = matching(&self.code, open)?;
                Some((at, self.text.get(at..=close)?.to_owned()))
            })
            .collect()
    }

    fn find_tests(&self) -> Vec<bool> {
        let whole = self.path.starts_with("tests/")
            || Path::new(&self.path).iter().any(|part| part == "tests" || part == "tests.rs")
            || self.code.contains("#![cfg(test)]");
        let mut tests = vec![whole; self.lines.len()];
        for marker in ["#[cfg(test)]", "#[test]"] {
            for (at, _) in self.code.match_indices(marker) {
                let end = item_end(&self.code, at + marker.len());
                for flag in tests.get_mut(self.line_of(at)..=self.line_of(end)).into_iter().flatten() {
                    *flag = true;
                }
            }
        }
        tests
    }

    fn find_functions(&self) -> Vec<Function> {
        offsets(&self.code, "fn ")
            .filter_map(|at| {
                let rest = self.code.get(at + 3..)?;
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let open = body_start(&self.code, at)?;
                let close = matching(&self.code, open)?;
                (!name.is_empty()).then(|| Function { name, lines: (self.line_of(at), self.line_of(close)) })
            })
            .collect()
    }

    fn find_inline_modules(&self) -> Vec<Range<usize>> {
        offsets(&self.code, "mod ")
            .filter_map(|at| {
                let open = body_start(&self.code, at)?;
                Some(open..matching(&self.code, open)?)
            })
            .collect()
    }
}

/// Offsets of `word` in `code` where it does not continue a longer name.
pub(crate) fn offsets<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts_as_word = word.bytes().next().is_some_and(is_word_byte);
    let ends_as_word = word.bytes().last().is_some_and(is_word_byte);
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| code.as_bytes().get(i)).copied();
        let after = code.as_bytes().get(at + word.len()).copied();
        let continues = starts_as_word && before.is_some_and(is_word_byte);
        let goes_on = ends_as_word && after.is_some_and(is_word_byte);
        !continues && !goes_on
    })
}

/// Every path in `code` that starts with `root::`, groups taken apart: `use std::{fs, io::Read}` gives `std::fs` and
/// `std::io::Read`. With the offset of its last part.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in offsets(code, root) {
        // `mine::std::x` is not `std::x`, but `::std::x` is.
        let head = code.get(..at).unwrap_or("");
        let is_inner = head.strip_suffix("::").is_some_and(|h| h.bytes().last().is_some_and(is_word_byte));
        if !is_inner && code.get(at + root.len()..).is_some_and(|rest| rest.starts_with("::")) {
            walk_path(code, at + root.len() + 2, root, &mut found);
        }
    }
    found
}

/// Reads one part of a path at `at`, or a group of them; gives the offset behind it.
fn walk_path(code: &str, at: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let bytes = code.as_bytes();
    let skip_space = |mut i: usize| {
        while bytes.get(i).is_some_and(u8::is_ascii_whitespace) {
            i += 1;
        }
        i
    };
    let mut at = skip_space(at);
    if bytes.get(at) == Some(&b'{') {
        at = skip_space(at + 1);
        while !matches!(bytes.get(at), None | Some(b'}')) {
            let next = walk_path(code, at, prefix, found);
            at = skip_space(next.max(at + 1));
            // `name as other` inside a group: on to the comma.
            while !matches!(bytes.get(at), None | Some(b',' | b'}')) {
                at += 1;
            }
            if bytes.get(at) == Some(&b',') {
                at = skip_space(at + 1);
            }
        }
        return at + 1;
    }
    let end = at + bytes.iter().skip(at).take_while(|b| is_word_byte(**b) || **b == b'*').count();
    if end == at {
        return at;
    }
    let path = format!("{prefix}::{}", code.get(at..end).unwrap_or(""));
    if bytes.get(end..end + 2) == Some(b"::") && bytes.get(end + 2) != Some(&b'<') {
        return walk_path(code, end + 2, &path, found);
    }
    found.push((at, path));
    end
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The offset of the bracket that closes the one at `open`.
fn matching(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Where the head of the item at `at` ends: at the `{` of its body, its `;`, or the `}` of what encloses it.
fn head_end(code: &str, at: usize) -> Option<(usize, u8)> {
    let mut depth = 0usize;
    for (i, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' | b'}' | b';' if depth == 0 => return Some((i, byte)),
            _ => {}
        }
    }
    None
}

fn body_start(code: &str, at: usize) -> Option<usize> {
    head_end(code, at).and_then(|(i, byte)| (byte == b'{').then_some(i))
}

/// The last byte of the item that follows an attribute.
fn item_end(code: &str, at: usize) -> usize {
    match head_end(code, at) {
        Some((open, b'{')) => matching(code, open).unwrap_or(code.len()),
        Some((end, _)) => end,
        None => code.len(),
    }
}

/// Replaces what is inside comments, strings and character literals by spaces, and keeps every offset.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_before = out.bytes().last().is_some_and(is_word_byte);
        let (kept, hidden) = literal(rest, word_before).unwrap_or((first.len_utf8(), 0));
        out.push_str(rest.get(..kept).unwrap_or(""));
        for c in rest.get(kept..kept + hidden).unwrap_or("").chars() {
            for _ in 0..c.len_utf8() {
                out.push(if c == '\n' { '\n' } else { ' ' });
            }
        }
        rest = rest.get(kept + hidden..).unwrap_or("");
    }
    out
}

/// If `rest` starts a comment or a literal: how many bytes of it stay, and how many after them are blanked.
fn literal(rest: &str, word_before: bool) -> Option<(usize, usize)> {
    if rest.starts_with("//") {
        return Some((0, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((0, block_comment(rest)));
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return Some((1, escaped_end(inside, b'"')));
    }
    if !word_before && let Some(raw) = raw_string(rest) {
        return Some(raw);
    }
    let inside = rest.strip_prefix('\'')?;
    let mut chars = inside.chars();
    match (chars.next()?, chars.next()) {
        ('\\', _) => Some((1, escaped_end(inside, b'\''))),
        (c, Some('\'')) => Some((1, c.len_utf8() + 1)),
        _ => None, // a lifetime
    }
}

/// Bytes up to and with the closing quote.
fn escaped_end(inside: &str, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let after = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.bytes().take_while(|b| *b == b'#').count();
    let inside = after.get(hashes..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let kept = rest.len() - inside.len();
    Some((kept, inside.find(&close).map_or(inside.len(), |at| at + close.len())))
}

fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}
