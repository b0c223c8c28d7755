//! Agent-SPM's policy bundles: JSON, rules with `match`, `when` and `outcome`, the first that matches decides.

use serde_json::{Map, Value};

use super::first_match::{Deed, Hold, Rule, Rules, Tools};
use super::javascript::linear;
use super::test::{Expr, Signals, Test, literal, signalled};
use super::{Ids, ImportError, Left, STRICTER, left, reason, role};
use crate::policy::finding::member;
use crate::record::time::Timestamp;

/// Terms that share one pattern.
const TERMS: usize = 32;
/// Characters beyond which the source takes a pattern for dangerous.
const PATTERN_CHARS: usize = 512;

pub(super) fn is(document: &Value) -> bool {
    let rules = document.get("rules").and_then(Value::as_array);
    document.pointer("/defaults/outcome").is_some()
        || rules.is_some_and(|rules| rules.iter().any(|rule| rule.get("match").is_some_and(Value::is_object)))
}

pub(super) fn read(document: &Value) -> Result<Rules, ImportError> {
    let wrong = |at: &str, why| ImportError::malformed(at, why);
    let rules = document.get("rules").and_then(Value::as_array).ok_or_else(|| wrong("/rules", "no list"))?;
    let outcome = document.pointer("/defaults/outcome").and_then(Value::as_str);
    let outcome = outcome.ok_or_else(|| wrong("/defaults/outcome", "no outcome"))?;
    let mut reading = Reading { ids: Ids::default(), signals: Signals::default(), left: Vec::new() };
    let otherwise = match deed(outcome) {
        Some(deed) => deed,
        None => return Err(wrong("/defaults/outcome", "not an outcome")),
    };
    let mut read = Vec::with_capacity(rules.len());
    for (i, rule) in rules.iter().enumerate() {
        read.push(reading.rule(rule, &format!("/rules/{i}"))?);
    }
    let until_ms = reading.until(document.get("expires_at"));
    if document.get("signature").is_some_and(|signature| !signature.is_null()) {
        reading.all("signature: it is an HMAC over other bytes", "sign the bundle: `foreseal policy sign`");
    }
    let Reading { signals, left, .. } = reading;
    Ok(Rules { rules: read, otherwise, until_ms, signals, tests: Vec::new(), left })
}

fn deed(outcome: &str) -> Option<Deed> {
    let hold = Hold::default();
    Some(match outcome {
        "ALLOW" => Deed::Allow,
        "DENY" => Deed::Deny,
        "REQUIRE_APPROVAL" | "REQUIRE_HUMAN" => Deed::Hold(hold),
        "REQUIRE_TICKET" => Deed::Hold(Hold { ticket: Some("change".to_owned()), ..hold }),
        "STEP_UP" => Deed::Hold(Hold { step_up: Some("any".to_owned()), ..hold }),
        _ => return None,
    })
}

/// What was read so far.
struct Reading {
    ids: Ids,
    signals: Signals,
    left: Vec<Left>,
}

impl Reading {
    fn all(&mut self, what: &str, instead: &str) {
        self.left.push(Left { rule: None, what: what.to_owned(), instead: instead.to_owned() });
    }

    fn until(&mut self, expires: Option<&Value>) -> Option<i64> {
        let text = expires?.as_str().unwrap_or_default();
        // JavaScript takes a date alone for its first moment, UTC.
        let whole = format!("{text}T00:00:00Z");
        let at = Timestamp::parse(text).or_else(|_| Timestamp::parse(&whole));
        if at.is_err() {
            self.all("expires_at: not an RFC 3339 date-time", "the bundle does not expire");
        }
        at.ok().map(Timestamp::as_millis)
    }

    fn rule(&mut self, rule: &Value, at: &str) -> Result<Rule, ImportError> {
        let wrong = |below: &str, why| ImportError::malformed(format!("{at}{below}"), why);
        let text = |name: &str| rule.get(name).and_then(Value::as_str);
        let given = text("id").filter(|id| !id.is_empty()).ok_or_else(|| wrong("/id", "no id"))?;
        let id = self.ids.of(given);
        let matched =
            rule.get("match").and_then(Value::as_object).ok_or_else(|| wrong("/match", "no object"))?;
        let outcome = text("outcome").ok_or_else(|| wrong("/outcome", "no outcome"))?;
        let mut deed = deed(outcome).ok_or_else(|| wrong("/outcome", "not an outcome"))?;
        if let (Deed::Hold(hold), Some(approver)) = (&mut deed, text("approver_role")) {
            let (role, same) = role(approver);
            if !same {
                let instead = format!("the role is {role}");
                self.left.push(left(&id, format!("approver_role {approver:?} is no name here"), &instead));
            }
            hold.approver = Some(role);
        }
        if rule
            .get("constraints")
            .and_then(Value::as_object)
            .is_some_and(|constraints| !constraints.is_empty())
        {
            self.left.push(left(
                &id,
                "constraints: the source hands them to the application",
                "nothing; @transform(\"cap:/argument:number\") limits a number here",
            ));
        }
        let tools = tools(matched.get("tool_name")).map_err(|why| wrong("/match/tool_name", why))?;
        let mut tests = self.matched(&id, matched);
        match rule.get("when") {
            None | Some(Value::Null) => {}
            Some(Value::Object(when)) => tests.extend(self.when(&id, when, &format!("{at}/when"))?),
            Some(_) => return Err(wrong("/when", "no object")),
        }
        Ok(Rule { id, reason: text("description").and_then(reason), tools, tests, deed })
    }

    /// All of `match` but the tool.
    fn matched(&mut self, id: &str, matched: &Map<String, Value>) -> Vec<Test> {
        let mut tests = Vec::new();
        for (name, value) in matched {
            match (name.as_str(), value) {
                ("tool_name", _) | (_, Value::Null) => {}
                ("environment", Value::String(text)) if text == "*" => {}
                // A session without an environment is taken for any where that is stricter.
                ("environment", Value::String(text)) => {
                    let is = format!("context.environment == {}", literal(text));
                    tests.push(Test {
                        over: Expr::Cedar(format!("(if context has environment then {is} else true)")),
                        under: Expr::Cedar(format!("(context has environment && {is})")),
                    });
                }
                ("agent_roles_any", Value::Array(roles)) => {
                    let roles: Vec<String> = roles.iter().filter_map(Value::as_str).map(literal).collect();
                    if !roles.is_empty() {
                        let roles = format!("principal.roles.containsAny([{}])", roles.join(", "));
                        tests.push(Test::exact(Expr::Cedar(roles)));
                    }
                }
                (name, _) => {
                    let what = match name {
                        "agent_type" | "trust_level_min" => {
                            format!("match.{name}: an agent has roles here, from the registry")
                        }
                        "tool_provider" => format!("match.{name}: a tool has a server here"),
                        name => format!("match.{name}: not known"),
                    };
                    self.left.push(left(id, what, STRICTER));
                    tests.push(Test::unknown());
                }
            }
        }
        tests
    }

    fn when(&mut self, id: &str, when: &Map<String, Value>, at: &str) -> Result<Vec<Test>, ImportError> {
        let mut tests = Vec::new();
        for (name, value) in when {
            let wrong = |why| ImportError::malformed(member(at, name), why);
            let texts = || {
                let items = value.as_array().ok_or_else(|| wrong("no list of texts"))?;
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| wrong("no list of texts"))
            };
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("contains_any" | "not_contains", _) => {
                    let terms = texts()?;
                    if terms.is_empty() {
                        continue;
                    }
                    let test = self.contains(id, name, &terms);
                    tests.push(if name == "contains_any" { test } else { test.not() });
                }
                ("matches_regex", Value::String(pattern)) => {
                    if !pattern.is_empty() {
                        tests.push(self.matches(id, pattern));
                    }
                }
                ("data_labels_any", _) => {
                    if texts()?.is_empty() {
                        continue;
                    }
                    self.left.push(left(
                        id,
                        "when.data_labels_any: labels that the caller gives; here detectors see them \
                         (context.signals.classes, context.session.labels)",
                        STRICTER,
                    ));
                    tests.push(Test::unknown());
                }
                ("tool_args_match", Value::Object(wanted)) => {
                    tests.extend(wanted.iter().map(|(name, wanted)| self.argument(id, name, wanted)));
                }
                ("matches_regex", _) => return Err(wrong("no text")),
                ("tool_args_match", _) => return Err(wrong("no object")),
                _ => {
                    self.left.push(left(id, format!("when.{name}: not known"), STRICTER));
                    tests.push(Test::unknown());
                }
            }
        }
        Ok(tests)
    }

    fn no_user_input(&mut self) {
        self.all(
            "user_input: conditions on texts look at the user's words as well, which no call carries",
            "they look at the arguments alone",
        );
    }

    /// Some value contains one of these terms.
    fn contains(&mut self, id: &str, condition: &str, terms: &[&str]) -> Test {
        self.no_user_input();
        let mut names = Vec::new();
        for terms in terms.chunks(TERMS) {
            let terms: Vec<String> = terms.iter().map(|term| regex::escape(term)).collect();
            let pattern = format!("(?i){}", terms.join("|"));
            let ending = if condition == "contains_any" { "contains" } else { "forbidden" };
            match self.signals.add(&format!("{id}-{ending}"), None, ("pattern", pattern.into())) {
                Some(name) => names.push(name),
                None => {
                    self.left.push(left(
                        id,
                        format!("when.{condition}: more than a bundle's signals hold"),
                        STRICTER,
                    ));
                    return Test::unknown();
                }
            }
        }
        Test::exact(signalled(&names))
    }

    fn matches(&mut self, id: &str, pattern: &str) -> Test {
        self.no_user_input();
        let linear = match linear(pattern) {
            Ok(linear) => linear,
            Err(why) => {
                self.left.push(left(id, format!("when.matches_regex has no linear form: {why}"), STRICTER));
                return Test::unknown();
            }
        };
        let Some(name) = self.signals.add(&format!("{id}-regex"), None, ("pattern", linear.pattern.into()))
        else {
            let what = "when.matches_regex: larger than a bundle's signals may be, or not a pattern";
            self.left.push(left(id, what, STRICTER));
            return Test::unknown();
        };
        let over = signalled(&[name]);
        let mut under = over.clone();
        if linear.spaced {
            self.left.push(left(
                id,
                "when.matches_regex can match a space: the source joins all values with spaces",
                "each value is looked at alone, so a match that runs over two is not seen",
            ));
        }
        if linear.anchored {
            self.left.push(left(
                id,
                "when.matches_regex says where the text begins or ends: the source joins all values",
                "each value begins and ends; where the rule allows, it allows nothing",
            ));
            under = Expr::Never;
        }
        if is_dangerous(pattern) {
            self.left.push(left(
                id,
                "when.matches_regex looks dangerous to the source, where it never matches",
                "it matches, in linear time; where the rule allows, it allows nothing",
            ));
            under = Expr::Never;
        }
        Test { over, under }
    }

    /// What one argument must be.
    fn argument(&mut self, id: &str, name: &str, wanted: &Value) -> Test {
        let at = member("", name);
        // A segment that is * means each of them.
        if name == "*" {
            self.left.push(left(id, "when.tool_args_match: an argument named *", STRICTER));
            return Test::unknown();
        }
        match wanted {
            Value::Object(wanted) => {
                let tests = wanted.iter().map(|(operator, bound)| self.compared(id, &at, operator, bound));
                let tests: Vec<Test> = tests.collect();
                Test::all(&tests)
            }
            // A list is never the same list in JavaScript.
            Value::Array(_) => Test::exact(Expr::Never),
            scalar => self.signal(id, &at, ("equals", scalar.clone())),
        }
    }

    fn compared(&mut self, id: &str, at: &str, operator: &str, bound: &Value) -> Test {
        match (operator, bound) {
            ("gt" | "gte" | "lt" | "lte", Value::Number(_)) => {
                self.signal(id, at, ("number", serde_json::json!({ operator: bound })))
            }
            ("eq", Value::Array(_) | Value::Object(_)) => Test::exact(Expr::Never),
            ("neq", Value::Array(_) | Value::Object(_)) => Test::exact(Expr::Always),
            ("eq", scalar) => self.signal(id, at, ("equals", scalar.clone())),
            ("neq", scalar) => self.signal(id, at, ("equals", scalar.clone())).not(),
            ("gt" | "gte" | "lt" | "lte", _) => {
                self.left.push(left(
                    id,
                    format!("when.tool_args_match{at}: {operator} with no number"),
                    STRICTER,
                ));
                Test::unknown()
            }
            // The source looks at the operators that it knows, and at no other.
            _ => Test::exact(Expr::Always),
        }
    }

    fn signal(&mut self, id: &str, at: &str, test: (&str, Value)) -> Test {
        match self.signals.add(&format!("{id}-argument"), Some(at), test) {
            Some(name) => Test::exact(signalled(&[name])),
            None => {
                self.left.push(left(id, "when.tool_args_match: more than a bundle's signals", STRICTER));
                Test::unknown()
            }
        }
    }
}

/// `"*"`, a name, `"prefix*"`, or a list of names.
fn tools(given: Option<&Value>) -> Result<Tools, &'static str> {
    match given {
        Some(Value::String(name)) if name == "*" => Ok(Tools::Any),
        Some(Value::String(name)) => match name.strip_suffix('*').filter(|prefix| !prefix.is_empty()) {
            // Only the last * stands for anything.
            Some(prefix) if !prefix.contains('*') => Ok(Tools::Glob { server: None, name: name.clone() }),
            Some(_) => Err("a * before the end stands for itself in the source: not carried over"),
            None => Ok(Tools::Names(vec![name.clone()])),
        },
        Some(Value::Array(names)) => {
            let names: Option<Vec<String>> =
                names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.map(Tools::Names).ok_or("no list of texts")
        }
        _ => Err("neither a text nor a list"),
    }
}

/// What the source's filter takes for a pattern that backtracks without end.
fn is_dangerous(pattern: &str) -> bool {
    let filters = [
        r"\(.*[+*].*\)[+*]",
        r"\(.*\|.*\)[+*]",
        r"\(.*[+*].*\)\{",
        r"\([^)]*\*[^)]*\)\*",
        r"\([^)]*\+[^)]*\)\+",
        r"(\.\*){2,}",
    ];
    pattern.encode_utf16().count() > PATTERN_CHARS
        || filters.iter().any(|filter| regex::Regex::new(filter).is_ok_and(|filter| filter.is_match(pattern)))
}
