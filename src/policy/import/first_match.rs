//! Rules of which the first that matches decides, as rules of which the strictest does.
//!
//! A condition `C` of the source is known from two sides, `under` ⇒ `C` ⇒ `over`, which are the same where it is carried
//! over wholly. Then:
//!
//! | source | here |
//! |---|---|
//! | allow *i* | permit when `under(i)` |
//! | deny *i* | forbid when `over(i)`, unless `under(j)` of an earlier allow or hold |
//! | hold *i* | permit when `under(i)`; hold when `over(i)`, unless `under(j)` of an earlier allow, or of a hold that asks for something else |
//! | otherwise allow | permit |
//! | otherwise deny | nothing: without a permit there is no call |
//! | otherwise hold | permit; hold unless `under(j)` of an allow or of a hold that asks for something else |
//!
//! An earlier deny needs no exclusion: it wins in any case. Where the first matching rule is a deny or hold, no earlier
//! `under` holds, so its own forbid does: what came over is never milder than the source.

use std::collections::BTreeMap;

use serde_json::Value;

use super::test::{Expr, Signals, Test, like, literal};
use super::{Left, left};

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Allow,
    Deny,
    Hold(Hold),
}

/// What a hold asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hold {
    pub(super) approver: Option<String>,
    pub(super) ticket: Option<String>,
    pub(super) step_up: Option<String>,
}

/// The tools that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tools {
    Any,
    /// Names, whatever the server.
    Names(Vec<String>),
    /// A name in which `*` stands for anything, and the server where one is given, likewise.
    Glob {
        server: Option<String>,
        name: String,
    },
}

impl Tools {
    pub(super) fn expr(&self) -> Expr {
        let of = |what: &str, glob: &str| match glob.contains('*') {
            true if glob.chars().all(|c| c == '*') => Expr::Always,
            true => Expr::Cedar(format!("context.tool.{what} like {}", like(glob))),
            false => Expr::Cedar(format!("context.tool.{what} == {}", literal(glob))),
        };
        match self {
            Self::Any => Expr::Always,
            Self::Names(names) => match names.as_slice() {
                [] => Expr::Never,
                [name] => Expr::Cedar(format!("context.tool.name == {}", literal(name))),
                names => {
                    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
                    Expr::Cedar(format!("[{}].contains(context.tool.name)", names.join(", ")))
                }
            },
            Self::Glob { server, name } => {
                let server = server.as_ref().map_or(Expr::Always, |server| of("server", server));
                Expr::all(vec![server, of("name", name)])
            }
        }
    }

    /// Can a tool be of both?
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Names(names), Self::Names(others)) => names.iter().any(|name| others.contains(name)),
            (Self::Names(names), Self::Glob { name: glob, .. })
            | (Self::Glob { name: glob, .. }, Self::Names(names)) => {
                names.iter().any(|name| glob.contains('*') || name == glob)
            }
            (Self::Glob { name, .. }, Self::Glob { name: other, .. }) => {
                name.contains('*') || other.contains('*') || name == other
            }
            (Self::Any, _) | (_, Self::Any) => true,
        }
    }
}

/// A rule of the source.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) reason: Option<String>,
    pub(super) tools: Tools,
    pub(super) tests: Vec<Test>,
    pub(super) deed: Deed,
}

impl Rule {
    fn test(&self) -> Test {
        let tools = Test::exact(self.tools.expr());
        Test::all(&[std::slice::from_ref(&tools), &self.tests].concat())
    }
}

/// A source, read.
#[derive(Debug)]
pub(super) struct Rules {
    /// In the order in which they are asked.
    pub(super) rules: Vec<Rule>,
    /// What happens where none matches.
    pub(super) otherwise: Deed,
    /// From when on nothing is allowed: milliseconds since 1970.
    pub(super) until_ms: Option<i64>,
    pub(super) signals: Signals,
    pub(super) tests: Vec<Value>,
    pub(super) left: Vec<Left>,
}

/// Bytes of one rule's conditions: far below what a rule may have operators.
const CONDITION_BYTES: usize = 12_000;
/// Operators of one rule's conditions; a bundle's rule may have 1,000.
const OPERATORS: usize = 900;

impl Rules {
    /// The bundle's files, and what was left out.
    pub(super) fn written(self, form: &str) -> (BTreeMap<String, Vec<u8>>, Vec<Left>) {
        let mut left_out = self.left.clone();
        let mut text = format!(
            "// Carried over from {form}. The first rule that matched there decided: so each rule excludes those\n// before it that would have answered otherwise.\n"
        );
        if let Some(until) = self.until_ms {
            text.push_str(&format!(
                "\n@id(\"source-expired\")\n@reason(\"the policy that this came from has expired\")\nforbid (principal, action, resource)\nwhen {{ context.time.ms >= {until} }};\n"
            ));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            let earlier = self.rules.get(..i).unwrap_or_default();
            text.push_str(&self.one(rule, earlier, &mut left_out));
        }
        text.push_str(&self.last(&mut left_out));
        let mut files = BTreeMap::from([("imported.cedar".to_owned(), text.into_bytes())]);
        if let Some(signals) = self.signals.written() {
            files.insert("signals.json".to_owned(), signals.into_bytes());
        }
        if !self.tests.is_empty() {
            let tests = serde_json::json!({ "tests": self.tests });
            let tests = serde_json::to_vec_pretty(&tests).unwrap_or_default();
            files.insert("tests/imported.json".to_owned(), tests);
        }
        left_out.sort();
        left_out.dedup();
        (files, left_out)
    }

    fn one(&self, rule: &Rule, earlier: &[Rule], left_out: &mut Vec<Left>) -> String {
        let test = rule.test();
        let mut text = String::new();
        let permit = |ending: &str| Said {
            id: format!("{}{ending}", rule.id),
            notes: Vec::new(),
            reason: rule.reason.as_deref(),
            effect: "permit",
        };
        match &rule.deed {
            Deed::Allow => text.push_str(&permit("").written(&test.under, &Expr::Never)),
            Deed::Deny => {
                let excluded = excluded(rule, earlier, |deed| *deed != Deed::Deny, &test.over, left_out);
                text.push_str(&Said { effect: "forbid", ..permit("") }.written(&test.over, &excluded));
            }
            Deed::Hold(hold) => {
                text.push_str(&permit(".permit").written(&test.under, &Expr::Never));
                let excluded = excluded(rule, earlier, |deed| is_other(deed, hold), &test.over, left_out);
                let said = Said { effect: "forbid", notes: hold.annotations(), ..permit("") };
                text.push_str(&said.written(&test.over, &excluded));
            }
        }
        text
    }

    /// What happens where no rule matches.
    fn last(&self, left_out: &mut Vec<Left>) -> String {
        let permit = "\n@id(\"otherwise.permit\")\npermit (principal, action, resource);\n";
        match &self.otherwise {
            Deed::Deny => String::new(),
            Deed::Allow => permit.to_owned(),
            Deed::Hold(hold) => {
                let last = Rule {
                    id: "otherwise".to_owned(),
                    reason: None,
                    tools: Tools::Any,
                    tests: Vec::new(),
                    deed: self.otherwise.clone(),
                };
                let excluded =
                    excluded(&last, &self.rules, |deed| is_other(deed, hold), &Expr::Always, left_out);
                let said = Said { id: last.id, notes: hold.annotations(), reason: None, effect: "forbid" };
                format!("{permit}{}", said.written(&Expr::Always, &excluded))
            }
        }
    }
}

/// Would it answer otherwise, and milder than a denial?
fn is_other(deed: &Deed, hold: &Hold) -> bool {
    match deed {
        Deed::Allow => true,
        Deed::Deny => false,
        Deed::Hold(other) => other != hold,
    }
}

/// What the earlier rules of these deeds are sure to have answered. Where that is too much for one rule, it is left out:
/// then this rule stops more.
fn excluded(
    rule: &Rule,
    earlier: &[Rule],
    counts: impl Fn(&Deed) -> bool,
    over: &Expr,
    left_out: &mut Vec<Left>,
) -> Expr {
    let others = earlier.iter().filter(|other| counts(&other.deed) && rule.tools.meets(&other.tools));
    let excluded = Expr::any(others.map(|other| other.test().under).collect());
    let size = |expr: &Expr| match expr {
        Expr::Cedar(text) => (text.len(), operators(text)),
        _ => (0, 0),
    };
    let ((bytes, count), (own_bytes, own_count)) = (size(&excluded), size(over));
    if bytes.saturating_add(own_bytes) <= CONDITION_BYTES && count.saturating_add(own_count) <= OPERATORS {
        return excluded;
    }
    left_out.push(left(
        &rule.id,
        "so many earlier rules answer otherwise that they cannot all be excluded",
        "it stops what they allow as well",
    ));
    Expr::Never
}

/// As a bundle counts them; those inside strings are counted too, which errs on the right side.
fn operators(text: &str) -> usize {
    text.bytes().filter(|byte| b".!-+*<>=&|([{f".contains(byte)).count()
}

impl Hold {
    fn annotations(&self) -> Vec<String> {
        let mut notes = vec!["@outcome(\"hold\")".to_owned()];
        let given = [("approver", &self.approver), ("ticket", &self.ticket), ("step_up", &self.step_up)];
        notes.extend(
            given.into_iter().filter_map(|(name, value)| {
                value.as_ref().map(|value| format!("@{name}({})", literal(value)))
            }),
        );
        notes
    }
}

/// A rule about to be written.
struct Said<'a> {
    id: String,
    notes: Vec<String>,
    reason: Option<&'a str>,
    effect: &'static str,
}

impl Said<'_> {
    /// Nothing, where it cannot match.
    fn written(&self, when: &Expr, unless: &Expr) -> String {
        if *when == Expr::Never || *unless == Expr::Always {
            return String::new();
        }
        let mut text = format!("\n@id({})\n", literal(&self.id));
        self.notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
        if let Some(reason) = self.reason {
            text.push_str(&format!("@reason({})\n", literal(reason)));
        }
        text.push_str(&format!("{} (principal, action, resource)", self.effect));
        if let Expr::Cedar(when) = when {
            text.push_str(&format!("\nwhen {{ {when} }}"));
        }
        if let Expr::Cedar(unless) = unless {
            text.push_str(&format!("\nunless {{ {unless} }}"));
        }
        text.push_str(";\n");
        text
    }
}
