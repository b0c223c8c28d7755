//! Words: what remains when quotes are taken away, and what in them is only known when it runs.

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// The literal text, quotes removed, expansions left out.
    pub(super) text: String,
    /// Something in it is expanded: a variable, a command, arithmetic.
    pub(super) dynamic: bool,
    /// Part of it was quoted: it is no reserved word.
    pub(super) quoted: bool,
    /// It stands for other words: `*`, `?`, `[…]`, `{a,b}`.
    pub(super) pattern: bool,
    /// It is a file that a command writes or reads: `<(…)`.
    pub(super) process: bool,
}

impl Word {
    /// A word that is exactly this text.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), quoted: true, ..Self::default() }
    }

    /// Its text, if that is all there is.
    pub(super) fn known(&self) -> Option<&str> {
        (!self.dynamic && !self.process).then_some(self.text.as_str())
    }

    /// Whether it is this reserved word.
    pub(super) fn is(&self, reserved: &str) -> bool {
        !self.quoted && !self.dynamic && self.text == reserved
    }

    /// The variable that `NAME=value` sets.
    pub(super) fn assigned(&self) -> Option<&str> {
        let (name, _) = self.text.split_once('=')?;
        let name = name.strip_suffix('+').unwrap_or(name);
        let name = name.split('[').next().unwrap_or(name);
        is_name(name).then_some(name)
    }

    /// The file's name of a program.
    pub(super) fn program(&self) -> Option<&str> {
        let text = self.known().filter(|_| !self.pattern)?;
        text.rsplit('/').next().filter(|name| !name.is_empty())
    }
}

/// A shell variable's name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
