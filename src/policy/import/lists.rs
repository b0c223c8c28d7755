//! YAML (or JSON) in two forms: lists of what is allowed, denied and asked for; and rules in an order.
//!
//! ```yaml
//! default: deny                       # what is in no list; deny, if it is not said
//! allow: [read_*, mail/search]        # a tool, or server/tool; * stands for anything
//! ask: [{tool: "send_*", reason: "somebody looks first", approver: support_lead}]
//! deny: ["delete_*"]                  # deny wins over ask, ask over allow
//! tests: [{tool: mail/search, args: {q: x}, expect: allow}]
//! ```
//!
//! ```yaml
//! default_action: allow
//! rules:                              # the highest priority first, then as they stand; the first that matches decides
//!   - {name: big, condition: "action.type == 'pay' and action.args.amount > 100", action: require_approval, priority: 10}
//!   - {tool: "rm_*", action: deny}
//! ```

use serde_json::{Map, Value, json};

use super::first_match::{Deed, Hold, Rule, Rules, Tools};
use super::test::{Expr, Signals, Test, literal, signalled};
use super::{Ids, ImportError, Left, STRICTER, left, reason, role};

/// The names of the lists, the strictest first.
const LISTS: [(&str, &[&str]); 3] = [
    ("deny", &["deny", "block", "forbid", "denied", "deny_list", "denylist"]),
    ("hold", &["ask", "require_approval", "hold", "approve"]),
    ("allow", &["allow", "permit", "allowed", "allow_list", "allowlist"]),
];
const DEFAULTS: [&str; 4] = ["default", "default_action", "defaultAction", "default_effect"];

/// Where the lists stand: at the top, or below one of these.
fn holder(document: &Value) -> Option<&Map<String, Value>> {
    let has = |object: &&Map<String, Value>| {
        LISTS.iter().any(|(_, names)| names.iter().any(|name| object.get(*name).is_some_and(Value::is_array)))
    };
    let below = ["permissions", "tools"].iter().filter_map(|name| document.get(*name));
    std::iter::once(document).chain(below).filter_map(Value::as_object).find(has)
}

pub(super) fn is(document: &Value) -> bool {
    holder(document).is_some()
}

fn deed(word: &str) -> Option<Deed> {
    Some(match word.to_ascii_lowercase().as_str() {
        "allow" | "permit" => Deed::Allow,
        "deny" | "block" | "forbid" => Deed::Deny,
        "ask" | "hold" | "require_approval" | "approve" | "escalate" => Deed::Hold(Hold::default()),
        _ => return None,
    })
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    ids: Ids,
    signals: Signals,
    left: Vec<Left>,
}

pub(super) fn read_lists(document: &Value) -> Result<Rules, ImportError> {
    let lists = holder(document).ok_or(ImportError::UnknownForm)?;
    let mut reading = Reading::default();
    let mut rules = Vec::new();
    for (kind, names) in LISTS {
        for name in names.iter().filter(|name| lists.contains_key(**name)) {
            let items = lists.get(*name).and_then(Value::as_array);
            let items = items.ok_or_else(|| ImportError::malformed(format!("/{name}"), "no list"))?;
            for (i, item) in items.iter().enumerate() {
                rules.push(reading.item(kind, item, &format!("/{name}/{i}"))?);
            }
        }
    }
    let known = |name: &str| LISTS.iter().any(|(_, names)| names.contains(&name));
    reading.unknown(lists.keys().filter(|name| !known(name) && !is_frame(name)));
    // Beside what holds the lists; where that is the document itself, its members were looked at.
    reading.unknown(document_of(document).keys().filter(|name| !known(name) && !is_frame(name)));
    reading.left.sort();
    reading.left.dedup();
    reading.done(document, rules, Deed::Deny)
}

fn document_of(document: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    document.as_object().unwrap_or(&EMPTY)
}

/// Members that say nothing about calls, or are read elsewhere.
fn is_frame(name: &str) -> bool {
    DEFAULTS.contains(&name)
        || [
            "apiVersion",
            "version",
            "name",
            "description",
            "tests",
            "examples",
            "rules",
            "permissions",
            "tools",
            "kind",
        ]
        .contains(&name)
}

pub(super) fn read_rules(document: &Value) -> Result<Rules, ImportError> {
    let items = document.get("rules").and_then(Value::as_array).ok_or(ImportError::UnknownForm)?;
    let mut reading = Reading::default();
    let mut ranked = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let priority = match item.get("priority") {
            None | Some(Value::Null) => 0.0,
            Some(priority) => priority
                .as_f64()
                .ok_or_else(|| ImportError::malformed(format!("/rules/{i}/priority"), "no number"))?,
        };
        ranked.push((priority, item, i));
    }
    // Stable: equal priorities stay as they stand.
    ranked.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut rules = Vec::with_capacity(ranked.len());
    for (_, item, i) in ranked {
        rules.extend(reading.rule(item, &format!("/rules/{i}"))?);
    }
    reading.unknown(document_of(document).keys().filter(|name| !is_frame(name)));
    reading.done(document, rules, Deed::Deny)
}

impl Reading {
    fn unknown<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        for name in names {
            self.left.push(Left {
                rule: None,
                what: crate::policy::shown(&format!("{name}: not known")),
                instead: "nothing".to_owned(),
            });
        }
    }

    fn done(mut self, document: &Value, rules: Vec<Rule>, silent: Deed) -> Result<Rules, ImportError> {
        let given = DEFAULTS.iter().find_map(|name| Some((*name, document.get(*name)?)));
        let otherwise = match given {
            None => silent,
            Some((name, word)) => word
                .as_str()
                .and_then(deed)
                .ok_or_else(|| ImportError::malformed(format!("/{name}"), "neither allow, deny nor ask"))?,
        };
        let mut tests = Vec::new();
        for name in ["tests", "examples"] {
            for (i, test) in document.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
                match example(test, i) {
                    Some(test) => tests.push(test),
                    None => self.left.push(Left {
                        rule: None,
                        what: format!(
                            "/{name}/{i}: no example of a tool, its arguments and what is expected"
                        ),
                        instead: "no test".to_owned(),
                    }),
                }
            }
        }
        let Self { signals, left, .. } = self;
        Ok(Rules { rules, otherwise, until_ms: None, signals, tests, left })
    }

    /// An item of a list.
    fn item(&mut self, kind: &str, item: &Value, at: &str) -> Result<Rule, ImportError> {
        let wrong = |why| ImportError::malformed(at, why);
        let (glob, members) = match item {
            Value::String(glob) => (glob.as_str(), None),
            Value::Object(members) => {
                let glob = members.get("tool").or_else(|| members.get("name")).and_then(Value::as_str);
                (glob.ok_or_else(|| wrong("no tool"))?, Some(members))
            }
            _ => return Err(wrong("neither a tool nor an object")),
        };
        // A name alone also says which arguments, as in Bash(git push:*): that is another form.
        if glob.is_empty() || glob.contains(['(', ')']) {
            return Err(wrong("not the name of a tool: * stands for anything, and arguments are not named"));
        }
        let id = self.ids.of(&format!("{kind}-{}", glob.replace('*', "any")));
        let mut deed = deed(kind).ok_or_else(|| wrong("no outcome"))?;
        let text = |name: &str| members.and_then(|members| members.get(name)).and_then(Value::as_str);
        self.approver(&id, &mut deed, text("approver").or_else(|| text("approver_role")));
        let mut tests = Vec::new();
        for name in members.into_iter().flat_map(Map::keys) {
            if !["tool", "name", "reason", "description", "approver", "approver_role"]
                .contains(&name.as_str())
            {
                self.left.push(left(&id, format!("{name}: not known"), STRICTER));
                tests.push(Test::unknown());
            }
        }
        let reason = text("reason").or_else(|| text("description")).and_then(reason);
        Ok(Rule { id, reason, tools: tools(glob), tests, deed })
    }

    fn approver(&mut self, id: &str, deed: &mut Deed, given: Option<&str>) {
        let (Deed::Hold(hold), Some(given)) = (deed, given) else { return };
        let (name, same) = role(given);
        if !same {
            let instead = format!("the role is {name}");
            self.left.push(left(id, format!("the approver {given:?} is no name here"), &instead));
        }
        hold.approver = Some(name);
    }

    /// A rule; none where it allows and cannot be carried over.
    fn rule(&mut self, item: &Value, at: &str) -> Result<Option<Rule>, ImportError> {
        let wrong = |why| ImportError::malformed(at, why);
        let members = item.as_object().ok_or_else(|| wrong("no object"))?;
        let text = |names: &[&str]| names.iter().find_map(|name| members.get(*name)).and_then(Value::as_str);
        let id = self.ids.of(text(&["name", "id"]).unwrap_or(at.trim_start_matches('/')));
        let word = text(&["action", "effect", "outcome", "decision"]).ok_or_else(|| wrong("no action"))?;
        let mut deed = match deed(word) {
            Some(deed) => deed,
            None if ["warn", "log", "audit", "alert", "monitor"].contains(&word) => {
                let what = format!("action {word}: a call that is allowed and told of");
                self.left.push(left(
                    &id,
                    what,
                    "nothing: it allows nothing; every call is sealed in any case",
                ));
                return Ok(None);
            }
            None => {
                self.left.push(left(&id, format!("action {word:?}: not known"), "it denies"));
                Deed::Deny
            }
        };
        let approvers = members.get("approvers").and_then(Value::as_array);
        let approvers: Vec<&str> = approvers.into_iter().flatten().filter_map(Value::as_str).collect();
        if approvers.len() > 1 {
            let instead = format!("the first alone: {}", approvers.first().copied().unwrap_or_default());
            self.left.push(left(&id, "several approvers, any of whom will do", &instead));
        }
        let approver = text(&["approver", "approver_role"]).or_else(|| approvers.first().copied());
        self.approver(&id, &mut deed, approver);
        let mut tests = Vec::new();
        let mut of_tools = Vec::new();
        for (name, value) in members {
            match (name.as_str(), value) {
                (
                    "name" | "id" | "action" | "effect" | "outcome" | "decision" | "priority" | "description"
                    | "reason" | "message" | "approver" | "approver_role" | "approvers",
                    _,
                )
                | (_, Value::Null) => {}
                ("tool" | "tool_name" | "pattern" | "match", Value::String(glob)) => {
                    of_tools.push(vec![glob.as_str()]);
                }
                ("tools" | "actions", Value::Array(globs)) => {
                    let globs: Option<Vec<&str>> = globs.iter().map(Value::as_str).collect();
                    of_tools.push(globs.ok_or_else(|| wrong("no list of tools"))?);
                }
                ("condition", Value::String(condition)) => tests.push(self.condition(&id, condition)),
                (name, _) => {
                    self.left.push(left(&id, format!("{name}: not known"), STRICTER));
                    tests.push(Test::unknown());
                }
            }
        }
        let mut alone = Tools::Any;
        for globs in of_tools {
            if let [glob] = globs.as_slice() {
                alone = tools(glob);
            }
            tests.push(Test::exact(Expr::any(globs.iter().map(|glob| tools(glob).expr()).collect())));
        }
        let reason = text(&["description", "reason", "message"]).and_then(reason);
        Ok(Some(Rule { id, reason, tools: alone, tests, deed }))
    }

    /// `action.type == 'x'`, `action.type in ['a', 'b']`, `environment == 'prod'`, `action.args.amount > 100`, several
    /// with `and`.
    fn condition(&mut self, id: &str, condition: &str) -> Test {
        let mut tests = Vec::new();
        for clause in clauses(condition) {
            tests.push(self.clause(id, clause.trim()).unwrap_or_else(|| {
                self.left.push(left(id, format!("condition {:?}", clause.trim()), STRICTER));
                Test::unknown()
            }));
        }
        Test::all(&tests)
    }

    fn clause(&mut self, id: &str, clause: &str) -> Option<Test> {
        let end = clause.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_')))?;
        let (path, rest) = clause.split_at(end);
        let rest = rest.trim_start();
        let operator =
            ["==", "!=", ">=", "<=", ">", "<", "in"].into_iter().find(|word| rest.starts_with(word))?;
        let value = value(rest.get(operator.len()..)?.trim())?;
        let names =
            ["action.type", "action_id", "action.tool", "action.tool_name", "tool", "tool_name", "tool.name"];
        if names.contains(&path) {
            let all = match (&value, operator) {
                (Value::String(name), "==" | "!=") => vec![name.clone()],
                (Value::Array(names), "in") => {
                    names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?
                }
                _ => return None,
            };
            let test = Test::exact(Tools::Names(all).expr());
            return Some(if operator == "!=" { test.not() } else { test });
        }
        if path == "environment" {
            let Value::String(name) = &value else { return None };
            let is = format!("context.environment == {}", literal(name));
            let test = Test {
                over: Expr::Cedar(format!("(if context has environment then {is} else true)")),
                under: Expr::Cedar(format!("(context has environment && {is})")),
            };
            return match operator {
                "==" => Some(test),
                "!=" => Some(test.not()),
                _ => None,
            };
        }
        let argument = ["action.args.", "action.params.", "action.parameters.", "args.", "params."]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))?;
        let at = format!("/{}", argument.replace('.', "/"));
        let test = match (operator, &value) {
            ("==" | "!=", Value::Array(_)) => return None,
            ("==" | "!=", scalar) => vec![("equals", scalar.clone())],
            ("in", Value::Array(items)) => items.iter().map(|item| ("equals", item.clone())).collect(),
            (">" | ">=" | "<" | "<=", Value::Number(_)) => {
                let bound = match operator {
                    ">" => "gt",
                    ">=" => "gte",
                    "<" => "lt",
                    _ => "lte",
                };
                vec![("number", json!({ bound: value }))]
            }
            _ => return None,
        };
        let names = test.into_iter().map(|test| self.signals.add(&format!("{id}-argument"), Some(&at), test));
        let test = Test::exact(signalled(&names.collect::<Option<Vec<_>>>()?));
        Some(if operator == "!=" { test.not() } else { test })
    }
}

/// The parts of a condition that ` and ` joins, outside quotes and brackets; one with ` or ` is one part.
fn clauses(condition: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0_usize, None);
    for (at, c) in condition.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => {
                let rest = condition.get(at..).unwrap_or_default();
                if rest.starts_with(" or ") || rest.starts_with(" || ") {
                    return vec![condition];
                }
                let joined = [" and ", " && "].into_iter().find(|word| rest.starts_with(word));
                if let Some(word) = joined.filter(|_| at >= start) {
                    parts.push(condition.get(start..at).unwrap_or_default());
                    start = at.saturating_add(word.len());
                }
            }
            _ => {}
        }
    }
    parts.push(condition.get(start..).unwrap_or_default());
    parts
}

/// `'text'`, `"text"`, a number, `true`, `false`, or a list of these. Nothing may follow.
fn value(text: &str) -> Option<Value> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return inner.split(',').map(|item| value(item.trim())).collect::<Option<Vec<_>>>().map(Value::Array);
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote) {
            let inner = inner.strip_suffix(quote)?;
            return (!inner.contains([quote, '\\'])).then(|| Value::from(inner));
        }
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => serde_json::from_str::<Value>(text).ok().filter(Value::is_number),
    }
}

/// A tool as lists write it: `tool`, or `server/tool`.
fn tools(glob: &str) -> Tools {
    match glob.split_once('/') {
        Some((server, name)) => Tools::Glob { server: Some(server.to_owned()), name: name.to_owned() },
        None if glob == "*" => Tools::Any,
        None => Tools::Glob { server: None, name: glob.to_owned() },
    }
}

/// An example as a bundle's test.
fn example(test: &Value, i: usize) -> Option<Value> {
    let tool = test.get("tool").and_then(Value::as_str)?;
    let (server, tool) = tool.split_once('/').unwrap_or(("", tool));
    let expected = match test.get("expect").and_then(Value::as_str).and_then(deed)? {
        Deed::Allow => "allow",
        Deed::Deny => "deny",
        Deed::Hold(_) => "hold",
    };
    let args = test.get("args").cloned().unwrap_or_else(|| json!({}));
    if !args.is_object() {
        return None;
    }
    let name = test.get("name").and_then(Value::as_str).map_or_else(|| format!("example {i}"), str::to_owned);
    let mut call = json!({"id": "c1", "tool": tool, "args": args});
    if let (false, Some(call)) = (server.is_empty(), call.as_object_mut()) {
        call.insert("server".to_owned(), server.into());
    }
    let mut facts = json!({});
    if let (Some(environment), Some(facts)) = (test.get("environment"), facts.as_object_mut()) {
        facts.insert("environment".to_owned(), environment.clone());
        facts.insert("opened".to_owned(), true.into());
    }
    let intent = json!({"agent": "example", "session": "example", "calls": [call]});
    Some(json!({"name": name, "intent": intent, "facts": facts, "expect": {"outcome": expected}}))
}
