//! `report.html`: a bundle in plain words. No script, nothing loaded from anywhere, everything escaped, made to be
//! printed. What it says is signed with the manifest; what proves it is in the files beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::make::Row;
use super::manifest::Manifest;
use super::{Opened, ProvenLeaf, Tally};
use crate::record::entry::{Entry, PolicyMode};
use crate::record::json::{JsonLimits, parse_with};

/// What the page is made of.
pub(super) struct Page<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) tally: &'a Tally,
    pub(super) agents: &'a [ProvenLeaf],
    pub(super) policies: &'a [ProvenLeaf],
    pub(super) rows: &'a [Row],
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
td.n{text-align:right;font-variant-numeric:tabular-nums}code,pre{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}\
pre{white-space:pre-wrap;background:#f5f5f3;padding:.6rem;margin:.3rem 0}.allow{color:#14662b}.deny{color:#a11}.hold,.defer,.modify{color:#8a5a00}\
.note{background:#fff8e1;border-left:4px solid #c90;padding:.5rem 1rem}.quiet{color:#666}\
@media print{body{max-width:none;margin:0}tr,pre{break-inside:avoid}}";

/// The page.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut out = String::with_capacity(16 * 1024);
    // INVARIANT: writing to a String cannot fail, so the results carry nothing.
    let _ = head(page, &mut out);
    let _ = counts(page, &mut out);
    let _ = limits(page, &mut out);
    let _ = decisions(page, &mut out);
    let _ = policies(page, &mut out);
    let _ = fingerprints(page, &mut out);
    out.push_str("</body>\n</html>\n");
    out
}

/// For text and attribute values.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // Controls, and what reorders or hides text: shown as what they are.
            c if c.is_control()
                || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}') =>
            {
                let _ = write!(out, "<code>U+{:04X}</code>", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn head(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    let m = page.manifest;
    let (from, to, origin) = (m.scope.from, m.scope.to, escape(&m.origin));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Evidence from {origin}, entries {from} to {}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        to - 1
    )?;
    writeln!(
        out,
        "<h1>What AI agents declared, and what was decided</h1>\n\
         <p class=\"quiet\">Evidence from the log <code>{origin}</code>, entries {from} to {}. Handed out {}, recorded \
         in the log as entry {}.</p>",
        to - 1,
        m.at,
        m.export
    )?;
    writeln!(
        out,
        "<p>Before an agent acts, it declares its reasoning and each planned call. The service checks them against \
         policy, seals declaration and decision as one entry of a log to which can only be added, and then answers. \
         This bundle holds <strong>every</strong> entry of the range above, with a proof that none is missing.</p>\n\
         <p class=\"note\">This page is a summary. By itself it proves nothing: the proofs are in the files beside it, \
         and <code>VERIFY.md</code> says how to check them, offline, with a tool or by hand.</p>"
    )
}

fn counts(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    let (m, tally) = (page.manifest, page.tally);
    writeln!(out, "<h2>In this range</h2>\n<table>")?;
    row(out, "Entries", &(m.scope.to - m.scope.from).to_string())?;
    if let (Some(first), Some(last)) = (tally.first_at, tally.last_at) {
        row(out, "From, until", &format!("{first}, {last}"))?;
    }
    row(out, "Declared intents", &tally.intents.to_string())?;
    for (outcome, count) in &m.outcomes {
        row(out, &format!("&#8195;decided: {}", escape(outcome)), &count.to_string())?;
    }
    row(out, "Signed by the agents themselves", &tally.signed.to_string())?;
    row(out, "Agents", &tally.agent_count().to_string())?;
    for (kind, count) in m.types.iter().filter(|(kind, _)| *kind != "intent") {
        row(out, &format!("Entries of type \u{201C}{}\u{201D}", escape(kind)), &count.to_string())?;
    }
    writeln!(out, "</table>\n<h2>Shown and withheld</h2>\n<table>")?;
    row(out, "Declarations shown whole", &m.shown.documents.to_string())?;
    row(out, "Declarations of which single fields are shown", &m.shown.partial.to_string())?;
    row(out, "Declarations withheld (their decision is shown)", &m.shown.withheld.to_string())?;
    row(out, "Evaluations shown (facts and reasons of the decision)", &m.shown.evaluations.to_string())?;
    writeln!(out, "</table>")
}

/// `what` is markup already.
fn row(out: &mut String, what: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "<tr><th scope=\"row\">{what}</th><td class=\"n\">{}</td></tr>", escape(value))
}

fn limits(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>What this bundle does not establish</h2>\n<ul>")?;
    for what in &page.manifest.not_established {
        writeln!(out, "<li>{}</li>", escape(what))?;
    }
    writeln!(out, "</ul>")
}

fn decisions(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    let names: BTreeMap<u64, String> =
        page.agents.iter().filter_map(|leaf| Some((leaf.index, agent_name(leaf)?))).collect();
    writeln!(out, "<h2>Decisions</h2>")?;
    let all = page.tally.intents;
    if all > page.rows.len() as u64 {
        writeln!(
            out,
            "<p>The first {} of {all}. All of them are in <code>data/entries.jsonl</code>.</p>",
            page.rows.len()
        )?;
    }
    writeln!(
        out,
        "<table>\n<thead><tr><th>Entry</th><th>Time (UTC)</th><th>Agent</th><th>Calls</th><th>Decision</th></tr></thead>"
    )?;
    for row in page.rows {
        let unnamed = || format!("registered in entry {}", row.agent);
        let name = names.get(&row.agent).map_or_else(unnamed, |name| escape(name));
        writeln!(
            out,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{name}</td><td class=\"n\">{}</td><td class=\"{}\">{}</td></tr>",
            row.index, row.at, row.calls, row.outcome, row.outcome
        )?;
        if let Some(shown) = &row.shown {
            writeln!(out, "<tr><td></td><td colspan=\"4\"><pre>{}</pre></td></tr>", escape(shown))?;
        }
    }
    writeln!(out, "</table>")
}

/// Whether the bundle only watched.
fn is_shadow(leaf: &ProvenLeaf) -> bool {
    let entry = Entry::parse(leaf.entry.as_bytes());
    matches!(entry, Ok(Entry::Policy(policy)) if policy.mode == PolicyMode::Shadow)
}

fn policies(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Policies</h2>")?;
    if page.policies.is_empty() {
        writeln!(out, "<p>None: without a policy everything is denied.</p>")?;
    }
    for leaf in page.policies {
        let Some(Opened::Whole { document, .. }) = &leaf.record else { continue };
        let limits = JsonLimits { max_bytes: document.len(), ..JsonLimits::default() };
        let Ok(record) = parse_with(document.as_bytes(), &limits) else { continue };
        let text = |name: &str| record.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        writeln!(
            out,
            "<p>{} from entry {}. Author: {}. Digest <code>{}</code>.</p>",
            if is_shadow(leaf) { "In shadow: it decided nothing," } else { "Active" },
            leaf.index,
            escape(text("author")),
            escape(text("digest"))
        )?;
        for (name, file) in record.get("files").and_then(serde_json::Value::as_object).into_iter().flatten() {
            let file = file.as_str().unwrap_or_default();
            writeln!(
                out,
                "<details open><summary><code>{}</code></summary><pre>{}</pre></details>",
                escape(name),
                escape(file)
            )?;
        }
    }
    Ok(())
}

fn fingerprints(page: &Page<'_>, out: &mut String) -> std::fmt::Result {
    let m = page.manifest;
    writeln!(
        out,
        "<h2>Fingerprints</h2>\n<p>Proven under the log's signed head of {} entries, root <code>{}</code>. The manifest is \
         signed by the key that the log announced in entry {}. Bundle <code>{}</code>, made by {}.</p>",
        m.checkpoint.size,
        m.checkpoint.root,
        m.key,
        m.id,
        escape(&m.software)
    )
}

/// The name that a registration shows.
fn agent_name(leaf: &ProvenLeaf) -> Option<String> {
    let Some(Opened::Fields(fields)) = &leaf.record else { return None };
    fields.iter().find(|field| field.path == "/agent")?.value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_document_becomes_markup_or_hides() {
        assert_eq!(
            escape("<script>alert('\"&')</script>"),
            "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;"
        );
        assert_eq!(
            escape("a\u{202E}b\u{200B}\u{0}"),
            "a<code>U+202E</code>b<code>U+200B</code><code>U+0000</code>"
        );
        assert_eq!(escape("Grüße\n"), "Grüße\n");
    }
}
