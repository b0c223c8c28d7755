//! Regular expressions of JavaScript, case-insensitive and without flag `u`, in the linear syntax that bundles take.
//!
//! Each construct that is known is written as what it means there: `\d`, `\w`, `\s` and `\b` are of ASCII (`\s` of
//! JavaScript's own list), `.` does not match the four line ends. Look-around, back-references and what is not known are
//! refused. Characters are counted as such, where JavaScript counts UTF-16 units; letters are folded by Unicode's simple
//! folding, where JavaScript folds by upper case: `ſ` is `s` here, and the Kelvin sign `k`.

/// A pattern, translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) pattern: String,
    /// It has `^`, `$`: where a text begins and ends matters.
    pub(super) anchored: bool,
    /// It can match a space, with which the source joins values.
    pub(super) spaced: bool,
}

/// JavaScript's white space and line ends.
const SPACE: &str =
    r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const LINE_ENDS: &str = r"\n\r\x{2028}\x{2029}";

/// Translates a pattern; `Err` says what in it has no linear form.
pub(super) fn linear(source: &str) -> Result<Linear, &'static str> {
    let mut reader = Reader { chars: source.chars().collect(), at: 0 };
    let mut linear = Linear { pattern: "(?i)".to_owned(), anchored: false, spaced: false };
    while let Some(c) = reader.next() {
        match c {
            '\\' => reader.escape(&mut linear, false)?,
            '[' => reader.class(&mut linear)?,
            '(' => reader.group(&mut linear)?,
            '.' => {
                linear.spaced = true;
                linear.pattern.push_str(&format!("[^{LINE_ENDS}]"));
            }
            '^' | '$' => {
                linear.anchored = true;
                linear.pattern.push_str(if c == '^' { r"\A" } else { r"\z" });
            }
            '{' => reader.repetition(&mut linear)?,
            ')' | '|' | '*' | '+' | '?' => linear.pattern.push(c),
            // Annex B lets these stand for themselves.
            ']' | '}' => push(&mut linear, c),
            c => push(&mut linear, c),
        }
    }
    Ok(linear)
}

/// A character that stands for itself.
fn push(linear: &mut Linear, c: char) {
    linear.spaced |= c == ' ';
    linear.pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> bool {
        let wanted: Vec<char> = text.chars().collect();
        let end = self.at.saturating_add(wanted.len());
        let is = self.chars.get(self.at..end) == Some(wanted.as_slice());
        if is {
            self.at = end;
        }
        is
    }

    fn group(&mut self, linear: &mut Linear) -> Result<(), &'static str> {
        if self.take("?:") || self.peek() != Some('?') {
            linear.pattern.push_str("(?:");
            return Ok(());
        }
        Err("look-around and named groups")
    }

    /// `{n}`, `{n,}`, `{n,m}`, or a bracket that stands for itself.
    fn repetition(&mut self, linear: &mut Linear) -> Result<(), &'static str> {
        let rest: String = self.chars.get(self.at..).unwrap_or_default().iter().take(16).collect();
        let Some((inner, _)) = rest.split_once('}') else {
            push(linear, '{');
            return Ok(());
        };
        let (from, to) = inner.split_once(',').map_or((inner, None), |(from, to)| (from, Some(to)));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if from.is_empty() || !digits(from) || !to.is_none_or(digits) {
            push(linear, '{');
            return Ok(());
        }
        self.at = self.at.saturating_add(inner.chars().count()).saturating_add(1);
        linear.pattern.push_str(&format!("{{{inner}}}"));
        Ok(())
    }

    /// What follows a `\`.
    fn escape(&mut self, linear: &mut Linear, in_class: bool) -> Result<(), &'static str> {
        let c = self.next().ok_or("a lone \\ at the end")?;
        let set = |linear: &mut Linear, inner: &str, negated: bool, spaced: bool| {
            linear.spaced |= spaced;
            let text = match (in_class, negated) {
                (true, false) => inner.to_owned(),
                (true, true) | (false, true) => format!("[^{inner}]"),
                (false, false) => format!("[{inner}]"),
            };
            linear.pattern.push_str(&text);
        };
        match c {
            'd' => set(linear, "0-9", false, false),
            'D' => set(linear, "0-9", true, true),
            'w' => set(linear, "0-9A-Za-z_", false, false),
            'W' => set(linear, "0-9A-Za-z_", true, true),
            's' => set(linear, SPACE, false, true),
            'S' => set(linear, SPACE, true, false),
            'b' if !in_class => linear.pattern.push_str(r"(?-u:\b)"),
            'B' if !in_class => return Err("\\B"),
            't' | 'n' | 'r' => linear.pattern.push_str(&format!("\\{c}")),
            'b' => linear.pattern.push_str(r"\x08"),
            'v' => linear.pattern.push_str(r"\x0B"),
            'f' => linear.pattern.push_str(r"\x0C"),
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => linear.pattern.push_str(r"\x00"),
            'x' => push(linear, self.code(2)?),
            'u' => push(linear, self.code(4)?),
            '0'..='9' | 'k' => return Err("back-references"),
            'c' | 'p' | 'P' => return Err("control and property escapes"),
            c if c.is_ascii_alphabetic() => push(linear, c),
            c => push(linear, c),
        }
        Ok(())
    }

    fn code(&mut self, digits: usize) -> Result<char, &'static str> {
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.next().and_then(|c| c.to_digit(16)).ok_or("an escape without its digits")?;
            code = code.wrapping_mul(16).wrapping_add(digit);
        }
        char::from_u32(code).ok_or("half a character")
    }

    fn class(&mut self, linear: &mut Linear) -> Result<(), &'static str> {
        let negated = self.take("^");
        if self.take("]") {
            // `[]` matches nothing, `[^]` anything.
            linear.spaced |= negated;
            linear.pattern.push_str(if negated { r"[\x00-\x{10FFFF}]" } else { r"[^\x00-\x{10FFFF}]" });
            return Ok(());
        }
        linear.spaced |= negated;
        linear.pattern.push_str(if negated { "[^" } else { "[" });
        loop {
            let c = self.next().ok_or("a class without its end")?;
            match c {
                ']' => break,
                '\\' => self.escape(linear, true)?,
                // A range whose ends are on both sides of the space holds it.
                '-' => {
                    let ends = (self.at.checked_sub(2).and_then(|at| self.chars.get(at)), self.peek());
                    let is_set = |back: usize| {
                        let start = self.at.checked_sub(back);
                        let pair = start.and_then(|at| self.chars.get(at..at.saturating_add(2)));
                        matches!(pair, Some(['\\', 'd' | 'D' | 'w' | 'W' | 's' | 'S']))
                    };
                    let after = self.chars.get(self.at..self.at.saturating_add(2));
                    let before_set = matches!(after, Some(['\\', 'd' | 'D' | 'w' | 'W' | 's' | 'S']));
                    let is_range = !matches!(ends.0, Some('[' | '^'))
                        && ends.1 != Some(']')
                        && !is_set(3)
                        && !before_set;
                    if is_range {
                        linear.spaced |= ends.0.is_some_and(|from| *from <= ' ');
                        linear.pattern.push('-');
                    } else {
                        linear.pattern.push_str(r"\-");
                    }
                }
                c => push(linear, c),
            }
        }
        linear.pattern.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn matches(source: &str, text: &str) -> bool {
        Regex::new(&linear(source).unwrap().pattern).unwrap().is_match(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_javascript() {
        for (source, text, wanted) in [
            (r"drop\s+table", "DROP  TABLE x", true),
            (r"^\d{3}-\d{2}$", "123-45", true),
            (r"^\d{3}-\d{2}$", "123-45\n", false),
            (r"^\d+$", "١٢٣", false),
            (r"^\w+$", "ü", false),
            (r"^\s$", "\u{feff}", true),
            (r"a.b", "a\u{2028}b", false),
            (r"a[^x]b", "a\nb", true),
            (r"\bfoo\b", "üfooü", true),
            (r"a{2}", "aa", true),
            (r"a{,2}", "a{,2}", true),
            (r"[[]x", "[x", true),
            (r"[a&&b]", "&", true),
            (r"[~~]", "~", true),
            (r"[a-c-]", "-", true),
            (r"[\w-]+@", "a-b@", true),
            (r"^[\d-f]$", "e", false),
            (r"^[a-\d]$", "-", true),
            (r"[^]", "\n", true),
            (r"x[]", "x", false),
            (r"\/\-\_", "/-_", true),
            (r"\u0041\x42", "ab", true),
            (r"]}", "]}", true),
            (r"(?:a|b)+?c", "abc", true),
        ] {
            assert_eq!(matches(source, text), wanted, "{source} on {text:?}");
        }
        for bad in
            [r"(?=a)", r"(?<n>a)", r"(?<!a)", r"(a)\1", r"\k<n>", r"\p{L}", "[a", "\\", r"\u{41}", r"\B"]
        {
            assert!(linear(bad).is_err(), "{bad}");
        }
        let flags = |source: &str| linear(source).map(|linear| (linear.anchored, linear.spaced)).unwrap();
        assert_eq!(flags("abc|[a-z]+"), (false, false));
        assert_eq!(flags("^a b$"), (true, true));
        assert_eq!(flags("[\t-z]"), (false, true));
        assert_eq!(flags("a.*b"), (false, true));
    }
}
