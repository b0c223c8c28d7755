//! Hosts, mail addresses, URLs.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::Write as _;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// A name in lower-case ASCII (UTS #46, non-transitional). No label is empty, or begins or ends with `-`.
fn ascii(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 1_024 {
        return None;
    }
    let ascii =
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify).ok()?;
    // Underscores are in names that resolve, though no host may have them.
    let plain = ascii.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let sound =
        !ascii.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-'));
    (plain && sound).then(|| ascii.into_owned())
}

/// A host in lower-case ASCII, or an IP address in its usual form.
pub(super) fn host(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let ascii = ascii(text)?;
    let (names, last) = ascii.rsplit_once('.').unwrap_or(("", &ascii));
    // WHATWG reads a host whose last label is a number as an IPv4 address, in octal, hexadecimal and shorter forms too.
    // One form is taken.
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || (last.starts_with("0x") && last.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit()));
    if numeric {
        return ascii.parse::<Ipv4Addr>().ok().map(|address| address.to_string());
    }
    // `e.g`, `v1.b2`, `12.5kg` are no hosts.
    let top = last.len() >= 2
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && (last.ends_with(|c: char| c.is_ascii_lowercase()) || last.starts_with("xn--"));
    (names.is_empty() || top).then_some(ascii)
}

/// A mail address in lower case.
pub(super) fn email(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    if !(1..=64).contains(&local.len()) || !local.bytes().all(atext) {
        return None;
    }
    // What ends in a dot was another spelling of the host, but is none of an address.
    let domain = ascii(domain)
        .filter(|ascii| ascii.contains('.') && !ascii.contains('_') && !domain.ends_with('.'))?;
    Some(format!("{}@{domain}", local.to_ascii_lowercase()))
}

/// Whether a mail address stands around the `@` at `at`.
pub(in crate::policy) fn email_at(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let in_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let local = bytes.get(..at).unwrap_or(&[]).last().is_some_and(in_local);
    let domain = bytes.get(at.saturating_add(1)..).unwrap_or(&[]);
    let in_domain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let len = domain.iter().take(255).take_while(|byte| in_domain(byte)).count();
    let domain = text.get(at.saturating_add(1)..at.saturating_add(1).saturating_add(len)).unwrap_or("");
    let mut labels = domain.trim_end_matches(['.', '-']).rsplit('.');
    let top = labels.next().unwrap_or("");
    let names = labels.clone().count();
    local
        && names > 0
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        && labels.all(|l| !l.is_empty())
}

/// `//host[:port][/path][?query]`. `None` where a reader might be led elsewhere than it looks: user names, backslashes,
/// white space, steps that lead back; and where it is not of the web.
pub(super) fn url(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"\\^`{}|".contains(c)) {
        return None;
    }
    let (rest, said) = match text.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") =>
        {
            (rest, true)
        }
        _ => match text.strip_prefix("//") {
            Some(rest) => (rest, true),
            None => (text, false),
        },
    };
    let rest = rest.split('#').next().unwrap_or("");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    // Another scheme.
    if !said && authority.ends_with(':') {
        return None;
    }
    let (name, port) = host_and_port(authority)?;
    let name = host(name)?;
    // Without a scheme it is a URL only if it looks like one.
    if !said && !name.contains('.') {
        return None;
    }
    let mut out = format!("//{name}");
    if let Some(port) = port.filter(|port| !matches!(port, 80 | 443)) {
        let _ = write!(out, ":{port}");
    }
    let path = tail.split('?').next().unwrap_or("");
    if path.split('/').any(|step| matches!(step, "." | "..") || is_escaped_dots(step)) {
        return None;
    }
    // The place of a folder is written with and without its last `/`.
    out.push_str(if tail.contains('?') { tail } else { tail.trim_end_matches('/') });
    (out.len() <= super::kind::VALUE_MAX_BYTES).then_some(out)
}

/// `%2e`, `.%2E`, …: some readers take it for a step that leads back.
fn is_escaped_dots(step: &str) -> bool {
    let plain = step.to_ascii_lowercase().replace("%2e", ".");
    plain.len() != step.len() && matches!(plain.as_str(), "." | "..")
}

/// The host of a URL, or a host alone, with a port that is not the web's.
pub(super) fn host_of_text(text: &str) -> Option<String> {
    match url(text) {
        Some(url) => host_of(&url).map(str::to_owned),
        None => host(text).filter(|_| !text.contains(['/', '?', '#'])),
    }
}

/// The host of a canonical URL, with its port.
pub(super) fn host_of(url: &str) -> Option<&str> {
    url.strip_prefix("//")?.split(['/', '?']).next()
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.contains('@') {
        return None;
    }
    let (name, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => {
            (authority.get(..at)?, authority.get(at.saturating_add(1)..)?)
        }
        _ => (authority, ""),
    };
    if port.is_empty() {
        return Some((name, None));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if digits { port.parse().ok().map(|port| (name, Some(port))) } else { None }
}
