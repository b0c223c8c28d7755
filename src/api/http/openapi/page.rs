//! The description as a page: one document without scripts, so that it reads the same on an air-gapped machine.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::page_schema::members_of;

/// What a newcomer does first; the operations it leads through stand below in full.
const FIRST_INTENT: &str = r#"FORESEAL_URL=http://127.0.0.1:8470
OPERATOR_TOKEN=$(cat KEYS/admin.token)

# once: register the agent; its token is told here and nowhere else
curl -sS "$FORESEAL_URL/v1/agents" -H "Authorization: Bearer $OPERATOR_TOKEN" \
  -H 'Content-Type: application/json' --data '{"name":"payments-bot"}'
AGENT_TOKEN=fsk_…

# before each action: declare it, and act only on "outcome":"allow"
curl -sS "$FORESEAL_URL/v1/intents" -H "Authorization: Bearer $AGENT_TOKEN" \
  -H 'Content-Type: application/json' --data @intent.json > answer.json

# ever after, offline, with the trust file that the operator published
foreseal verify receipt answer.json --trust trust.policy"#;

/// The page of a document.
pub(super) fn of(document: &Value) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Foreseal: HTTP interface</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n",
    );
    navigation(&mut page, document);
    page.push_str("<main>\n");
    introduction(&mut page, document);
    for (group, about) in groups(document) {
        put(
            &mut page,
            format_args!(
                "<section id=\"{0}\">\n<h2>{0}</h2>\n<p class=\"lead\">{1}</p>\n",
                escaped(group),
                escaped(about)
            ),
        );
        for (method, path, operation) in operations(document, group) {
            article(&mut page, document, method, path, operation);
        }
        page.push_str("</section>\n");
    }
    errors(&mut page, document);
    limits(&mut page, document);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// Writing to a String cannot fail.
pub(super) fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(what);
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Escaped, with `code` and **strong** words.
pub(super) fn marked(text: &str) -> String {
    let mut marked = String::new();
    for (i, part) in escaped(text).split('`').enumerate() {
        if i % 2 == 1 {
            put(&mut marked, format_args!("<code>{part}</code>"));
            continue;
        }
        for (j, words) in part.split("**").enumerate() {
            if j % 2 == 1 {
                put(&mut marked, format_args!("<strong>{words}</strong>"));
            } else {
                marked.push_str(words);
            }
        }
    }
    marked
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn groups(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(document, "tags").map(|tag| (text(tag, "/name"), text(tag, "/description")))
}

/// What an agent does comes before what only reads: POST first, then in the order of the paths.
fn operations<'a>(document: &'a Value, group: &str) -> Vec<(&'a str, &'a str, &'a Value)> {
    let all = members(document, "paths").flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flat_map(Map::iter);
        methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    });
    let mut found: Vec<_> = all.filter(|(_, _, operation)| text(operation, "/tags/0") == group).collect();
    found.sort_by_key(|(method, path, _)| (path.matches('/').count(), *path, *method == "get"));
    found
}

fn navigation(page: &mut String, document: &Value) {
    page.push_str("<nav aria-label=\"Contents\">\n<a class=\"home\" href=\"#top\">Foreseal</a>\n<a href=\"#first\">One intent, start to end</a>\n");
    for (group, _) in groups(document) {
        put(page, format_args!("<a class=\"group\" href=\"#{0}\">{0}</a>\n", escaped(group)));
        for (method, path, operation) in operations(document, group) {
            put(
                page,
                format_args!(
                    "<a href=\"#{}\"><b class=\"{method}\">{}</b> {}</a>\n",
                    escaped(text(operation, "/operationId")),
                    method.to_uppercase(),
                    breakable(path)
                ),
            );
        }
    }
    page.push_str("<a class=\"group\" href=\"#errors\">Error codes</a>\n<a class=\"group\" href=\"#limits\">Limits</a>\n</nav>\n");
}

/// A path that may be broken behind its slashes.
fn breakable(path: &str) -> String {
    escaped(path).replace('/', "/<wbr>")
}

fn introduction(page: &mut String, document: &Value) {
    put(
        page,
        format_args!(
            "<header id=\"top\">\n<h1>Foreseal: HTTP interface</h1>\n<p class=\"lead\">Version {}. For programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p>\n",
            escaped(text(document, "/info/version"))
        ),
    );
    for paragraph in text(document, "/info/description").split("\n\n") {
        put(page, format_args!("<p>{}</p>\n", marked(paragraph)));
    }
    put(
        page,
        format_args!(
            "</header>\n<section id=\"first\">\n<h2>One intent, start to end</h2>\n<pre>{}</pre>\n</section>\n",
            escaped(FIRST_INTENT)
        ),
    );
}

fn article(page: &mut String, document: &Value, method: &str, path: &str, operation: &Value) {
    put(
        page,
        format_args!(
            "<article id=\"{}\">\n<h3><b class=\"{method}\">{}</b> <code>{}</code></h3>\n<p><strong>{}.</strong> {}</p>\n<p class=\"needs\">{}</p>\n",
            escaped(text(operation, "/operationId")),
            method.to_uppercase(),
            breakable(path),
            marked(text(operation, "/summary")),
            marked(text(operation, "/description")),
            needs(operation),
        ),
    );
    put(page, format_args!("<pre>{}</pre>\n", escaped(&curl(method, path, operation))));
    parameters(page, operation);
    if let Some(body) = operation.pointer("/requestBody/content/application~1json") {
        let about = marked(text(operation, "/requestBody/description"));
        put(page, format_args!("<details>\n<summary>Body</summary>\n<p>{about}</p>\n"));
        members_of(page, document, body.get("schema"));
        example(page, body.get("example"));
        page.push_str("</details>\n");
    }
    answers(page, document, operation);
    page.push_str("</article>\n");
}

fn needs(operation: &Value) -> &'static str {
    let schemes: Vec<&str> = list(operation, "security")
        .filter_map(|s| s.as_object()?.keys().next())
        .map(String::as_str)
        .collect();
    match schemes.as_slice() {
        [] => "Needs no credential.",
        ["agent"] => "Needs an agent's token.",
        ["operator"] => "Needs an operator's token.",
        ["application"] => "Needs an application's token.",
        ["tool_server"] => "Needs a tool server's token.",
        _ => "Needs a token, of an agent, an operator, an application or a tool server.",
    }
}

/// The request, to be pasted into a shell.
fn curl(method: &str, path: &str, operation: &Value) -> String {
    let mut target = path.to_owned();
    let mut query = Vec::new();
    for parameter in list(operation, "parameters") {
        let (name, value) = (text(parameter, "/name"), parameter.get("example"));
        let value = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let is_required = parameter.get("required") == Some(&Value::Bool(true));
        match (text(parameter, "/in"), value) {
            ("path", Some(value)) => target = target.replace(&format!("{{{name}}}"), &value),
            ("query", Some(value)) if is_required => query.push(format!("{name}={value}")),
            _ => {}
        }
    }
    let mark = if query.is_empty() { "" } else { "?" };
    let mut command = format!("curl -sS \"$FORESEAL_URL{target}{mark}{}\"", query.join("&"));
    let body = operation.pointer("/requestBody/content/application~1json/example");
    if method == "post" && body.is_none() {
        command.push_str(" -X POST");
    }
    match needs(operation) {
        "Needs no credential." => {}
        "Needs an operator's token." => {
            command.push_str(" \\\n  -H \"Authorization: Bearer $OPERATOR_TOKEN\"");
        }
        "Needs an application's token." => {
            command.push_str(" \\\n  -H \"Authorization: Bearer $APPLICATION_TOKEN\"");
        }
        "Needs a tool server's token." => {
            command.push_str(" \\\n  -H \"Authorization: Bearer $TOOL_SERVER_TOKEN\"");
        }
        _ => command.push_str(" \\\n  -H \"Authorization: Bearer $AGENT_TOKEN\""),
    }
    if let Some(body) = body {
        let text = body.to_string();
        let data = if text.len() > 200 {
            "@body.json".to_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        };
        put(&mut command, format_args!(" \\\n  -H 'Content-Type: application/json' --data {data}"));
    }
    command
}

fn parameters(page: &mut String, operation: &Value) {
    if list(operation, "parameters").next().is_none() {
        return;
    }
    page.push_str("<div class=\"wide\"><table>\n<tr><th>Parameter</th><th>In</th><th>What</th></tr>\n");
    for parameter in list(operation, "parameters") {
        let required = if parameter.get("required") == Some(&Value::Bool(true)) { "" } else { ", optional" };
        put(
            page,
            format_args!(
                "<tr><td><code>{}</code></td><td>{}{required}</td><td>{} <span class=\"type\">{}</span></td></tr>\n",
                escaped(text(parameter, "/name")),
                escaped(text(parameter, "/in")),
                marked(text(parameter, "/description")),
                parameter.get("schema").map(super::page_schema::kind).unwrap_or_default(),
            ),
        );
    }
    page.push_str("</table></div>\n");
}

fn example(page: &mut String, value: Option<&Value>) {
    let Some(value) = value else { return };
    let shown = match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    put(page, format_args!("<pre>{}</pre>\n", escaped(&shown)));
}

fn answers(page: &mut String, document: &Value, operation: &Value) {
    let (mut good, mut bad) = (String::new(), String::new());
    for (status, answer) in members(operation, "responses") {
        let Some((media_type, content)) = members(answer, "content").next() else { continue };
        if media_type == "application/problem+json" {
            for (code, _) in members(content, "examples") {
                put(&mut bad, format_args!("<a href=\"#error-{0}\">{status}&nbsp;{0}</a> ", escaped(code)));
            }
            continue;
        }
        put(
            &mut good,
            format_args!(
                "<details>\n<summary>{status}: {} <span class=\"type\">{}</span></summary>\n",
                marked(text(answer, "/description")),
                escaped(media_type)
            ),
        );
        members_of(&mut good, document, content.get("schema"));
        example(&mut good, content.get("example"));
        good.push_str("</details>\n");
    }
    page.push_str(&good);
    put(page, format_args!("<p class=\"codes\">Errors: {bad}</p>\n"));
}

fn errors(page: &mut String, document: &Value) {
    page.push_str("<section id=\"errors\">\n<h2>Error codes</h2>\n<p class=\"lead\">Stable; the words of <code>detail</code> are not.</p>\n<div class=\"wide\"><table>\n<tr><th>Code</th><th>Status</th><th>Meaning</th><th>Try again</th></tr>\n");
    for error in list(document, "x-errors") {
        put(
            page,
            format_args!(
                "<tr id=\"error-{0}\"><td><code>{0}</code></td><td>{1}</td><td>{2}</td><td>{3}</td></tr>\n",
                escaped(text(error, "/code")),
                error.get("status").and_then(Value::as_u64).unwrap_or_default(),
                marked(text(error, "/meaning")),
                marked(text(error, "/retry")),
            ),
        );
    }
    page.push_str("</table></div>\n</section>\n");
}

fn limits(page: &mut String, document: &Value) {
    page.push_str("<section id=\"limits\">\n<h2>Limits</h2>\n<div class=\"wide\"><table>\n<tr><th>Limit</th><th>Value</th><th>Of what</th><th>Beyond it</th></tr>\n");
    for limit in list(document, "x-limits") {
        put(
            page,
            format_args!(
                "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
                escaped(text(limit, "/name")),
                limit.get("value").and_then(Value::as_u64).unwrap_or_default(),
                escaped(text(limit, "/unit")),
                escaped(text(limit, "/beyond")),
            ),
        );
    }
    page.push_str("</table></div>\n</section>\n");
}
