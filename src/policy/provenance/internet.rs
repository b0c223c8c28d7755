//! Hosts, mail addresses, URLs.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::Write as _;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// A host in lower-case ASCII (UTS #46, non-transitional), or an IP address in its usual form.
pub(super) fn host(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    if text.is_empty() || text.len() > 1_024 {
        return None;
    }
    let ascii =
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify).ok()?;
    // Underscores are in names that resolve, though no host may have them.
    if !ascii.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return None;
    }
    // WHATWG reads a host whose last label is a number as an IPv4 address, in octal, hexadecimal and shorter forms too.
    // One form is taken.
    let last = ascii.rsplit('.').next().unwrap_or("");
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || (last.starts_with("0x") && last.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit()));
    if numeric {
        return ascii.parse::<Ipv4Addr>().ok().map(|address| address.to_string());
    }
    Some(ascii.into_owned())
}

/// A mail address in lower case, also out of `mailto:` and `Name <address>`.
pub(super) fn email(text: &str) -> Option<String> {
    let text = match text.strip_suffix('>') {
        Some(inner) => {
            let (name, address) = inner.rsplit_once('<')?;
            // A name that is itself an address says another one than it means.
            if name.contains(['@', '<', '>']) {
                return None;
            }
            address
        }
        None => text,
    };
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let (local, domain) = text.rsplit_once('@')?;
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let fits = (1..=64).contains(&local.len())
        && local.bytes().all(atext)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    if !fits || local.starts_with("mailto:") {
        return None;
    }
    let domain = host(domain)?;
    let named = domain.contains('.') && domain.ends_with(|c: char| c.is_ascii_alphanumeric());
    named.then(|| format!("{}@{domain}", local.to_ascii_lowercase()))
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

/// `//host[:port][/path][?query]` for the web, `scheme://…` for other places. `None` where a reader might be led elsewhere
/// than it looks: user names, backslashes, white space, broken escapes.
pub(super) fn url(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return None;
    }
    let (scheme, rest, said) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest, true),
        _ => match text.strip_prefix("//") {
            Some(rest) => (String::new(), rest, true),
            None => (String::new(), text, false),
        },
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let web = matches!(scheme.as_str(), "" | "http" | "https");
    let (name, port) = host_and_port(authority)?;
    let name = host(name)?;
    // Without a scheme it is a URL only if it looks like one.
    if !said && !name.contains('.') {
        return None;
    }
    let mut out = if web { "//".to_owned() } else { format!("{scheme}://") };
    out.push_str(&name);
    if let Some(port) = port.filter(|port| !(web && matches!(port, 80 | 443))) {
        let _ = write!(out, ":{port}");
    }
    let tail = tail.split('#').next().unwrap_or("");
    let (path, query) = tail.split_once('?').map_or((tail, None), |(path, query)| (path, Some(query)));
    // The place of a folder is written with and without its last `/`.
    let path = without_dots(&escaped(path)?);
    out.push_str(path.trim_end_matches('/'));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        out.push('?');
        out.push_str(&escaped(query)?);
    }
    (out.len() <= super::kind::VALUE_MAX_BYTES).then_some(out)
}

/// The host of a canonical URL.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("//")?;
    let authority = rest.split(['/', '?']).next()?;
    match authority.strip_prefix('[') {
        Some(inner) => inner.find(']').and_then(|end| authority.get(..end.saturating_add(2))),
        None => authority.split(':').next(),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
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

/// RFC 3986 section 6.2.2: escapes of unreserved characters undone, all others in upper case; what must be escaped is.
fn escaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        at = at.saturating_add(1);
        if byte == b'%' {
            let digits = bytes.get(at..at.saturating_add(2))?;
            let byte = hex_byte(digits)?;
            push_byte(&mut out, byte, is_unreserved(byte));
            at = at.saturating_add(2);
        } else {
            push_byte(&mut out, byte, byte.is_ascii_graphic() && !b"\"<>^`{|}".contains(&byte));
        }
    }
    Some(out)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?).ok()
}

fn push_byte(out: &mut String, byte: u8, plain: bool) {
    if plain {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "%{byte:02X}");
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = String::with_capacity(path.len());
    for part in &parts {
        out.push('/');
        out.push_str(part);
    }
    out
}
