//! What nobody should send, and every path's answer to it: methods, queries, slashes, encodings, headers given twice.
//! Each answer is also compared with the document, as all answers in these tests are.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use foreseal::service::ErrorCode;
use serde_json::Value;

use super::agents::allowed;
use super::errors::assert_problem;
use super::http::{Client, Reply, Request};
use super::process::{Home, run};

/// Every path of the document with its methods, its parameters filled in with their examples.
fn paths(document: &Value) -> Vec<(String, Vec<String>, bool)> {
    let paths = document["paths"].as_object().unwrap();
    let filled = paths.iter().map(|(path, item)| {
        let mut filled = path.clone();
        let mut is_open = true;
        for operation in item.as_object().unwrap().values() {
            is_open &= operation["security"].as_array().unwrap().is_empty();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let example = &parameter["example"];
                let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
                filled = filled.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &example);
            }
        }
        (filled, item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect(), is_open)
    });
    filled.collect()
}

fn described(client: &Client) -> Value {
    let reply = client.get("/openapi.json");
    assert_eq!(reply.status, 200);
    reply.json()
}

#[test]
fn the_document_and_its_page_are_served_to_everyone_and_are_this_builds() {
    let home = Home::with_ledger();
    let server = home.serve();
    let stranger = server.stranger();
    assert_eq!(described(&stranger), foreseal::api::http::openapi::document().unwrap());
    let page = stranger.get("/docs");
    for path in described(&stranger)["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.text().contains(&format!("<article id=\"{id}\">")), "{id} is not on the page");
        }
    }
    for code in ErrorCode::ALL {
        assert!(page.text().contains(&format!("id=\"error-{}\"", code.as_str())), "{}", code.as_str());
    }
    // Nothing of it comes from elsewhere, and nothing in it runs.
    let text = page.text().to_lowercase();
    for word in ["<script", "http://fonts", "https://", "onclick", "style=\"", "@import", "url("] {
        let style = stranger.get("/docs/style.css").text();
        assert!(!text.contains(word) && !style.contains(word), "{word}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

/// The first command of each article of the page, by its operation.
fn commands(page: &str) -> Vec<(String, String)> {
    let articles = page.split("<article id=\"").skip(1).map(|article| {
        let id = article.split('"').next().unwrap().to_owned();
        let command = article.split("<pre>").nth(1).unwrap().split("</pre>").next().unwrap();
        let command = command.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
        (id, command.replace("&amp;", "&"))
    });
    articles.collect()
}

/// What is on the page is pasted into a shell as it is, in the order in which one would.
#[test]
fn every_command_on_the_page_works() {
    if !Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: the commands of /docs (there is no curl)");
        return;
    }
    let home = Home::with_ledger();
    let server = home.serve();
    let document = described(&server.stranger());
    let mut commands = commands(&server.stranger().get("/docs").text());
    let first = [
        "registerAgent",
        "registerApplication",
        "registerToolServer",
        "activatePolicy",
        "submitIntent",
        "openSession",
    ];
    let last = [
        "rotateAgent",
        "revokeAgent",
        "rotateApplication",
        "revokeApplication",
        "rotateToolServer",
        "revokeToolServer",
    ];
    commands.sort_by_key(|(id, _)| match first.iter().position(|first| first == id) {
        Some(position) => position,
        None => first.len() + 1 + last.iter().position(|last| last == id).map_or(0, |position| position + 1),
    });
    assert_eq!(
        commands.len(),
        document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum::<usize>()
    );
    let mut tokens: BTreeMap<&str, String> = BTreeMap::new();
    for (id, command) in commands {
        let mut operations = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|path| path.as_object().unwrap().values());
        let operation = operations.find(|operation| operation["operationId"] == *id).unwrap();
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        home.file("body.json", body.to_string());
        let mut shell = Command::new("sh");
        shell
            .current_dir(home.path(""))
            .args(["-c", &format!("{command} --noproxy '*' -w '\\n%{{http_code}}'")]);
        shell.env("FORESEAL_URL", server.url()).env("OPERATOR_TOKEN", home.admin_token()).envs(&tokens);
        let ended = run(&mut shell).expect(0);
        let (answer, status) = ended.stdout.rsplit_once('\n').unwrap();
        // The example's policy allows its intent no payment, and so none of its calls: an outcome of one is refused.
        // And of the examples none puts a policy into shadow.
        let works = match id.as_str() {
            "reportOutcome" => "409",
            "withdrawShadow" => "404",
            _ => "20",
        };
        assert!(
            status.starts_with(works) && operation["responses"][status].is_object(),
            "{id}: {status}: {answer}"
        );
        let holder = match id.as_str() {
            "registerAgent" => "AGENT_TOKEN",
            "registerApplication" => "APPLICATION_TOKEN",
            "registerToolServer" => "TOOL_SERVER_TOKEN",
            _ => continue,
        };
        let token = serde_json::from_str::<Value>(answer).unwrap()["token"].as_str().unwrap().to_owned();
        tokens.insert(holder, token);
    }
}

#[test]
fn every_path_refuses_the_methods_it_does_not_have_and_says_which_it_has() {
    let home = Home::with_ledger();
    let server = home.serve();
    let operator = server.operator();
    for (path, methods, _) in paths(&described(&operator)) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if methods.iter().any(|known| known == method) {
                continue;
            }
            let reply = operator.send(&Request::new(method, path.clone()));
            assert_problem(&reply, ErrorCode::MethodNotAllowed);
            let allow: Vec<&str> = reply.header("allow").unwrap_or_default().split(',').collect();
            let mut expected = methods.clone();
            expected.extend(methods.iter().any(|m| m == "GET").then(|| "HEAD".to_owned()));
            expected.sort();
            let mut said: Vec<String> = allow.iter().map(|m| m.trim().to_owned()).collect();
            said.sort();
            assert_eq!(said, expected, "{method} {path}");
        }
        if methods.iter().any(|method| method == "GET") {
            let (head, get) =
                (operator.send(&Request::new("HEAD", path.clone())), operator.get(path.clone()));
            assert_eq!((head.status, head.body.len()), (get.status, 0), "HEAD {path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "HEAD {path}");
        }
    }
}

#[test]
fn no_path_ignores_what_it_does_not_understand() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (operator, stranger) = (server.operator(), server.stranger());
    let ask = |client: &Client, method: &str, target: String| -> Reply {
        let request = if method == "POST" { Request::post(target, "{}") } else { Request::get(target) };
        client.send(&request)
    };
    for (path, methods, is_open) in paths(&described(&operator)) {
        for method in &methods {
            for query in ["verbose=1", "%61gnt=x", "=", "a&b", "agent%00=x"] {
                let reply = ask(&operator, method, format!("{path}?{query}"));
                assert_problem(&reply, ErrorCode::MalformedRequest);
                // Whoever may not ask is told only that.
                if !is_open {
                    let reply = ask(&stranger, method, format!("{path}?{query}"));
                    assert_problem(&reply, ErrorCode::Unauthenticated);
                }
            }
            let long = ask(&operator, method, format!("{path}?{}", "x".repeat(8192)));
            assert_problem(&long, ErrorCode::UriTooLong);
            for slashed in [format!("{path}/"), format!("/{path}")] {
                let reply = ask(&operator, method, slashed.clone());
                // Within a tile's path a slash belongs to the name, and no tile has that name.
                let wanted =
                    if slashed.starts_with("/tile/") { ErrorCode::NotInLog } else { ErrorCode::NotFound };
                assert_problem(&reply, wanted);
            }
        }
    }
    for (target, code) in [
        ("/v1/proofs/inclusion?index=0&index=0", ErrorCode::MalformedRequest),
        ("/v1/proofs/inclusion?index=0&%69ndex=0", ErrorCode::MalformedRequest),
        ("/v1/proofs/inclusion?index=+0", ErrorCode::MalformedRequest),
        ("/v1/proofs/inclusion?index=0&size=", ErrorCode::MalformedRequest),
        ("/v1/agents?after=18446744073709551616", ErrorCode::MalformedRequest),
        // Schemathesis: taken although the description ends at 2^53 - 1.
        ("/v1/agents?after=9007199254740992", ErrorCode::MalformedRequest),
        ("/v1/proofs/consistency?from=0&to=9007199254740992", ErrorCode::MalformedRequest),
        ("/v1/intents/01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e?agent=a%20b", ErrorCode::MalformedRequest),
        ("/v1/intents/01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e?agent=%ff", ErrorCode::MalformedRequest),
        ("/v1/%69ntents", ErrorCode::NotFound),
        ("/v1/proofs%2Finclusion?index=0", ErrorCode::NotFound),
        ("/v1/../healthz", ErrorCode::NotFound),
    ] {
        assert_problem(&operator.get(target), code);
    }
    assert_eq!(operator.get("/healthz?").status, 200, "an empty query names nothing");
    assert_eq!(operator.get("/tile/0%2F000.p/1").body, operator.get("/tile/0/000.p/1").body);
    assert_eq!(operator.get("/v1/proofs/inclusion?%69ndex=%30").status, 200);
}

#[test]
fn what_an_error_repeats_is_cut_short() {
    let home = Home::with_ledger();
    let server = home.serve();
    let stranger = server.stranger();
    let reply = stranger.get(format!("/{}", "%C3%A4".repeat(1000)));
    assert_problem(&reply, ErrorCode::NotFound);
    assert!(reply.body.len() < 1000, "{}", reply.text());
    let method = "M".repeat(1000).leak();
    let reply = stranger.send(&Request::new(method, "/healthz"));
    assert_problem(&reply, ErrorCode::MethodNotAllowed);
    assert!(reply.body.len() < 1000, "{}", reply.text());
}

#[test]
fn headers_that_mean_something_mean_one_thing() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let body = allowed("bot").to_string();
    let post = |content_type: &str| {
        Request::new("POST", "/v1/intents").header("Content-Type", content_type).body(body.clone())
    };
    let twice = post("application/json").header("Authorization", "Bearer fsk_another");
    assert_problem(&bot.send(&twice), ErrorCode::MalformedRequest);
    let seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let seeds = post("application/json").header("Foreseal-Seed", seed).header("Foreseal-Seed", seed);
    assert_problem(&bot.send(&seeds), ErrorCode::MalformedRequest);
    let types = post("application/json").header("Content-Type", "application/json");
    assert_problem(&bot.send(&types), ErrorCode::MalformedRequest);
    for wrong in [
        "application/json; charset=utf-16",
        "application/json;x=1;charset=\"latin1\"",
        "application/cbor",
        "json",
        "",
    ] {
        assert_problem(&bot.send(&post(wrong)), ErrorCode::UnsupportedMediaType);
    }
    for coding in ["gzip", "identity, gzip", "x"] {
        let request = post("application/json").header("Content-Encoding", coding);
        assert_problem(&bot.send(&request), ErrorCode::UnsupportedMediaType);
    }
    let size = server.operator().size();
    for right in ["Application/JSON; Charset=UTF-8", "application/json ;charset=\"utf-8\""] {
        assert_eq!(bot.send(&post(right).header("Content-Encoding", "identity")).status, 201, "{right}");
    }
    assert_eq!(server.operator().size(), size + 1, "one id, one leaf");
}
