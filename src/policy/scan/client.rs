//! How a client starts its servers: the configuration that editors and desktop applications keep.

use serde_json::{Map, Value, json};

use super::started::{is_loopback, package, secret_in_url};
use super::{Finding, Place, Severity, Source, Threat};
use crate::policy::finding::{has_secret, member, quoted, shown};
use crate::policy::provenance::Pattern;
use crate::policy::registry::parts;
use crate::policy::signals::{Language, Parse, of_call};

/// Where clients keep their servers.
const SERVERS: [&str; 4] = ["/mcpServers", "/servers", "/mcp/servers", "/context_servers"];

/// The servers that a document starts, by their pointers: objects with a command or a URL.
pub(super) fn servers(document: &Value) -> impl Iterator<Item = (String, &Map<String, Value>)> {
    SERVERS.iter().flat_map(move |at| {
        let servers = document.pointer(at).and_then(Value::as_object).into_iter().flatten();
        servers.filter_map(move |(name, server)| {
            let server = server.as_object()?;
            let starts =
                ["command", "url", "serverUrl", "httpUrl"].iter().any(|member| server.contains_key(*member));
            starts.then(|| (member(at, name), server))
        })
    })
}

pub(super) fn look(source: Source<'_>, document: &Value) -> (usize, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut count = 0_usize;
    for (at, server) in servers(document) {
        count = count.saturating_add(1);
        let name = at.rsplit_once('/').map_or("", |(_, name)| name);
        let look = Look { place: Place { file: source.file, at: at.clone(), tool: Some(shown(name)) } };
        findings.extend(look.of_command(server));
        findings.extend(look.of_url(server));
        for member in ["env", "headers", "http_headers"] {
            findings.extend(look.of_pairs(member, server.get(member)));
        }
        for member in ["alwaysAllow", "autoApprove", "trust"] {
            findings.extend(look.of_approval(member, server.get(member)));
        }
    }
    (count, findings)
}

struct Look<'a> {
    place: Place<'a>,
}

fn is(text: &str) -> &str {
    text.rsplit(['/', '\\']).next().unwrap_or(text).trim_end_matches(".exe").trim_end_matches(".cmd")
}

impl Look<'_> {
    fn found(
        &self,
        at: &str,
        rule: &'static str,
        severity: Severity,
        message: String,
        hint: &str,
    ) -> Finding {
        self.place.found(at, rule, Threat::Configuration, severity, message, hint)
    }

    fn of_command(&self, server: &Map<String, Value>) -> Vec<Finding> {
        // One client writes {"command": {"path", "args", "env"}}.
        let inner = server.get("command").and_then(Value::as_object);
        let (start, path) =
            (inner.unwrap_or(server), if inner.is_some() { "/command/path" } else { "/command" });
        let text = |name: &str| start.get(name).and_then(Value::as_str);
        let Some(command) = text(if inner.is_some() { "path" } else { "command" }) else { return Vec::new() };
        let args = start.get("args").and_then(Value::as_array).into_iter().flatten();
        let args: Vec<&str> = args.filter_map(Value::as_str).collect();
        // A command with spaces and no arguments is taken apart by a shell.
        let line = match args.is_empty() && command.contains(' ') {
            true => Value::from(command),
            false => std::iter::once(command).chain(args.iter().copied()).map(Value::from).collect(),
        };
        let mut findings = self.of_line(path, &line);
        let words: Vec<&str> = match &line {
            Value::String(line) => line.split_whitespace().collect(),
            _ => std::iter::once(command).chain(args.iter().copied()).collect(),
        };
        let (first, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        if let Some(package) = package(is(first), rest).filter(|package| !package.pinned) {
            let message = format!("whatever {} is today is run: {}", package.kind, shown(package.name));
            let hint = package.hint;
            let found = self.place.found(
                path,
                "unpinned-package",
                Threat::SupplyChain,
                Severity::Medium,
                message,
                hint,
            );
            findings.push(found);
        }
        if ["tmp", "var/tmp", "dev/shm"].iter().any(|place| lies_in(first, place)) {
            let message = "the program lies where every user of the machine may write".to_owned();
            let found =
                self.found(path, "writable-program", Severity::High, message, "install it somewhere else");
            findings.push(Finding { excerpt: quoted(first), ..found });
        }
        if matches!(is(first), "docker" | "podman" | "nerdctl") {
            findings.extend(self.of_container(rest));
        }
        findings.extend(self.of_args(&args));
        findings
    }

    /// What the command line does, as the shell's parser reads it.
    fn of_line(&self, path: &str, line: &Value) -> Vec<Finding> {
        let Ok(at) = Pattern::parse("/command") else { return Vec::new() };
        let signals = of_call(&json!({ "command": line }), &[Parse { at, language: Language::Shell }]);
        let Some(shell) = signals.shell else { return Vec::new() };
        let hint = "start the server's program itself, with fixed arguments";
        let said = [
            (
                shell.pipe_to_shell,
                "runs-what-it-fetches",
                Severity::Critical,
                "runs what another program says",
            ),
            (
                shell.destructive,
                "destructive-command",
                Severity::Critical,
                "destroys files, disks or history",
            ),
            (shell.privileged, "takes-rights", Severity::High, "takes another user's rights"),
            (
                shell.inline_code,
                "inline-code",
                Severity::High,
                "runs a program that stands in the configuration",
            ),
            (
                shell.dynamic || shell.unparsed || signals.over_budget,
                "unreadable-command",
                Severity::Medium,
                "nobody can say what it runs before it runs",
            ),
            (
                signals.invisible,
                "invisible-characters",
                Severity::Critical,
                "has characters that nobody sees",
            ),
        ];
        let starts_shell = ["sh", "bash", "zsh", "dash", "cmd", "powershell", "pwsh"]
            .iter()
            .any(|shell_name| shell.programs.contains(*shell_name));
        let mut findings: Vec<Finding> = said
            .into_iter()
            .filter(|(is, ..)| *is)
            .map(|(_, rule, severity, what)| {
                self.found(path, rule, severity, format!("the command that starts it {what}"), hint)
            })
            .collect();
        if starts_shell {
            let message = "it is started by a shell".to_owned();
            findings.push(self.found(path, "starts-a-shell", Severity::Medium, message, hint));
        }
        // Quoted only where there is no secret in it.
        let quoted =
            (!signals.classes.iter().any(|class| class.starts_with("secret-"))).then(|| match line {
                Value::String(line) => shown(line),
                line => shown(&line.to_string()),
            });
        findings.into_iter().map(|found| Finding { excerpt: quoted.clone(), ..found }).collect()
    }

    fn of_container(&self, args: &[&str]) -> Vec<Finding> {
        let joined = args.join(" ");
        let risky = [
            ("--privileged", "with all rights of the machine"),
            ("docker.sock", "with the control of all other containers"),
            ("--pid=host", "among the machine's own processes"),
            ("--network=host", "on the machine's own network"),
            ("--net=host", "on the machine's own network"),
            ("--network host", "on the machine's own network"),
            ("-v /:", "with the machine's whole disk"),
            ("--volume /:", "with the machine's whole disk"),
            ("source=/,", "with the machine's whole disk"),
        ];
        let found = risky.iter().filter(|(flag, _)| joined.contains(flag)).map(|(flag, what)| {
            let message = format!("the container runs {what}: {flag}");
            self.found(
                "/args",
                "open-container",
                Severity::High,
                message,
                "give the container what it needs alone",
            )
        });
        found.collect()
    }

    fn of_args(&self, args: &[&str]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            let at = format!("/args/{i}");
            let home = ["/", "~", "~/", "$HOME", "${HOME}", "/home", "/Users", "/root", "/etc", "C:\\"];
            if home.contains(arg) {
                let message = format!("it is given a whole disk or home: {}", shown(arg));
                let hint = "name the folders that it needs";
                findings.push(self.found(&at, "broad-path", Severity::Medium, message, hint));
            }
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (i.checked_sub(1).and_then(|i| args.get(i)).copied().unwrap_or_default(), Some(*arg)),
            };
            let named = name.starts_with('-') && is_secret_name(name);
            let shaped = has_secret(arg);
            if (named && value.is_some_and(|value| is_literal(value) && !value.starts_with('-'))) || shaped {
                findings.push(
                    self.secret(&at, "among its arguments, which every process of the machine can read"),
                );
            }
            if arg.starts_with("http://") && !is_loopback(arg) {
                findings.push(self.plain(&at, arg));
            }
        }
        findings
    }

    fn of_url(&self, server: &Map<String, Value>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for name in ["url", "serverUrl", "httpUrl"] {
            let Some(url) = server.get(name).and_then(Value::as_str) else { continue };
            let at = format!("/{name}");
            let lower = url.to_ascii_lowercase();
            if (lower.starts_with("http://") || lower.starts_with("ws://")) && !is_loopback(url) {
                findings.push(self.plain(&at, url));
            }
            if secret_in_url(url) {
                findings.push(self.secret(&at, "in its URL, which logs keep"));
            }
        }
        findings
    }

    fn plain(&self, at: &str, url: &str) -> Finding {
        let message =
            "it is reached without TLS: whoever is on the way reads and changes all of it".to_owned();
        let found = self.found(at, "plain-http", Severity::High, message, "use https");
        Finding { excerpt: (!secret_in_url(url)).then(|| shown(url)), ..found }
    }

    fn secret(&self, at: &str, place: &str) -> Finding {
        let message = format!("a secret stands {place}");
        let hint =
            "keep it in the system's keychain or the client's own store of secrets, and revoke this one";
        self.found(at, "secret-in-configuration", Severity::High, message, hint)
    }

    fn of_pairs(&self, of: &str, pairs: Option<&Value>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, value) in pairs.and_then(Value::as_object).into_iter().flatten() {
            let Some(value) = value.as_str() else { continue };
            let at = member(&format!("/{of}"), name);
            let is_auth = of != "env" && name.eq_ignore_ascii_case("authorization");
            let bare = value.split_once(' ').map_or(value, |(_, rest)| if is_auth { rest } else { value });
            if is_literal(bare) && (is_auth || is_secret_name(name) || has_secret(value)) {
                findings.push(self.secret(&at, "in the configuration"));
            }
            let loads = [
                "LD_PRELOAD",
                "LD_LIBRARY_PATH",
                "DYLD_INSERT_LIBRARIES",
                "NODE_OPTIONS",
                "PYTHONPATH",
                "PYTHONSTARTUP",
                "BASH_ENV",
                "PERL5OPT",
                "RUBYOPT",
            ];
            if of == "env" && loads.contains(&name.as_str()) {
                let message = format!("{} makes the program load other code", shown(name));
                let hint = "leave it out, and install what the server needs";
                let found = self.found(&at, "loads-other-code", Severity::High, message, hint);
                findings.push(Finding { excerpt: (!has_secret(value)).then(|| shown(value)), ..found });
            }
            let off = ["NODE_TLS_REJECT_UNAUTHORIZED", "PYTHONHTTPSVERIFY", "GIT_SSL_NO_VERIFY"];
            if of == "env" && off.contains(&name.as_str()) {
                let message = format!("{} turns off the check of certificates", shown(name));
                findings.push(self.found(&at, "unchecked-tls", Severity::High, message, "leave it out"));
            }
        }
        findings
    }

    fn of_approval(&self, name: &str, value: Option<&Value>) -> Option<Finding> {
        let on = match value? {
            Value::Bool(on) => *on,
            Value::Array(tools) => !tools.is_empty(),
            _ => false,
        };
        let message = "calls of its tools are not shown before they run".to_owned();
        let hint = "let a policy decide which calls need nobody";
        on.then(|| self.found(&format!("/{name}"), "approved-beforehand", Severity::Medium, message, hint))
    }
}

/// Does a path lead into this folder, from the root?
fn lies_in(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(folder));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn is_secret_name(name: &str) -> bool {
    let secret =
        ["token", "key", "apikey", "secret", "password", "passwd", "pwd", "credential", "credentials", "pat"];
    parts(name).iter().any(|part| secret.contains(&part.as_str()))
}

/// Is it a value, and not a reference to one, or a place for one?
fn is_literal(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let stands_for =
        ["${", "$", "<", "{{", "op://", "keychain:", "vault:", "your", "xxx", "***", "...", "env:", "file:"];
    value.len() >= 6
        && !lower.contains("${")
        && !stands_for.iter().any(|prefix| lower.starts_with(prefix))
        && !matches!(lower.as_str(), "changeme" | "placeholder" | "example" | "insert-here")
}
