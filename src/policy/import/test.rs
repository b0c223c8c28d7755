//! Conditions on their way: what is known to hold where the source's condition does, from both sides.

use serde_json::{Value, json};

use crate::policy::named::{self, compiled};

/// A condition in Cedar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expr {
    Always,
    Never,
    Cedar(String),
}

impl Expr {
    pub(super) fn not(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Cedar(text) => Self::Cedar(format!("!({text})")),
        }
    }

    /// Joins conditions, in pairs of pairs: rules may not nest deep.
    fn joined(mut all: Vec<Self>, operator: &str, neutral: &Self, absorbing: &Self) -> Self {
        if all.contains(absorbing) {
            return absorbing.clone();
        }
        all.retain(|expr| expr != neutral);
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|expr| seen.insert(expr.clone()));
        let mut texts: Vec<String> = all
            .into_iter()
            .filter_map(|expr| if let Self::Cedar(text) = expr { Some(text) } else { None })
            .collect();
        if texts.is_empty() {
            return neutral.clone();
        }
        while texts.len() > 1 {
            texts = texts
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => format!("({a} {operator} {b})"),
                    rest => rest.concat(),
                })
                .collect();
        }
        texts.pop().map_or_else(|| neutral.clone(), Self::Cedar)
    }

    pub(super) fn all(exprs: Vec<Self>) -> Self {
        Self::joined(exprs, "&&", &Self::Always, &Self::Never)
    }

    pub(super) fn any(exprs: Vec<Self>) -> Self {
        Self::joined(exprs, "||", &Self::Never, &Self::Always)
    }
}

/// A condition of the source: `under` implies it, and it implies `over`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) over: Expr,
    pub(super) under: Expr,
}

impl Test {
    /// One that is carried over as it is.
    pub(super) fn exact(expr: Expr) -> Self {
        Self { over: expr.clone(), under: expr }
    }

    /// One of which nothing is known.
    pub(super) const fn unknown() -> Self {
        Self { over: Expr::Always, under: Expr::Never }
    }

    pub(super) fn not(self) -> Self {
        Self { over: self.under.not(), under: self.over.not() }
    }

    pub(super) fn all(tests: &[Self]) -> Self {
        Self {
            over: Expr::all(tests.iter().map(|test| test.over.clone()).collect()),
            under: Expr::all(tests.iter().map(|test| test.under.clone()).collect()),
        }
    }
}

/// A string literal of Cedar.
pub(super) fn literal(text: &str) -> String {
    format!("{text:?}")
}

/// A pattern of Cedar's `like`, of a text in which `*` stands for anything.
pub(super) fn like(glob: &str) -> String {
    let parts: Vec<String> = glob
        .split('*')
        .map(|part| {
            let quoted = format!("{part:?}");
            quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
        })
        .collect();
    format!("\"{}\"", parts.join("*"))
}

/// The named signals that conditions become.
#[derive(Debug, Default)]
pub(super) struct Signals(Vec<(String, Value)>);

impl Signals {
    /// One more signal, or the one that says the same; `None` where a bundle holds no more, or the pattern is too large.
    pub(super) fn add(&mut self, name: &str, at: Option<&str>, test: (&str, Value)) -> Option<String> {
        let (kind, value) = test;
        if kind == "pattern" && compiled(value.as_str()?).is_err() {
            return None;
        }
        let mut signal = json!({ kind: value });
        if let (Some(at), Some(signal)) = (at, signal.as_object_mut()) {
            signal.insert("at".to_owned(), json!([at]));
        }
        if let Some((name, _)) = self.0.iter().find(|(_, known)| *known == signal) {
            return Some(name.clone());
        }
        if self.0.len() >= named::MOST {
            return None;
        }
        let taken = |name: &str| self.0.iter().any(|(known, _)| known == name);
        let mut own = name.to_owned();
        let mut number = 2_u32;
        while taken(&own) {
            own = format!("{name}-{number}");
            number = number.saturating_add(1);
        }
        self.0.push((own.clone(), signal));
        Some(own)
    }

    /// `signals.json`; `None` where there are no signals.
    pub(super) fn written(&self) -> Option<String> {
        let lines = self.0.iter().map(|(name, signal)| {
            let mut members = vec![format!("\"name\": {}", Value::from(name.as_str()))];
            let signal = signal.as_object().into_iter().flatten();
            members.extend(signal.map(|(name, value)| format!("{}: {value}", Value::from(name.as_str()))));
            format!("    {{{}}}", members.join(", "))
        });
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| format!("{{\n  \"signals\": [\n{}\n  ]\n}}\n", lines.join(",\n")))
    }
}

/// One of these signals is there.
pub(super) fn signalled(names: &[String]) -> Expr {
    match names {
        [] => Expr::Never,
        [name] => Expr::Cedar(format!("context.signals.named.contains({})", literal(name))),
        names => {
            let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
            Expr::Cedar(format!("context.signals.named.containsAny([{}])", names.join(", ")))
        }
    }
}
