//! What a command fetches and runs, and where a URL leads.

/// A package that a runner fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    /// What it is fetched from.
    pub(super) kind: &'static str,
    /// Is it one version, and always the same?
    pub(super) pinned: bool,
    pub(super) hint: &'static str,
}

/// Flags of runners that are followed by a value that is no package.
const VALUED: [&str; 28] = [
    "--python",
    "-p",
    "--with",
    "--index-url",
    "--extra-index-url",
    "--index",
    "--registry",
    "--cache",
    "--userconfig",
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "--mount",
    "--name",
    "--network",
    "--net",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--entrypoint",
    "--platform",
    "--memory",
    "-m",
    "--cpus",
    "--add-host",
];

/// The package that a command line fetches and runs, if it does.
pub(super) fn package<'a>(program: &str, args: &[&'a str]) -> Option<Package<'a>> {
    let after = |words: &[&str]| {
        let mut rest = args.iter().copied();
        words
            .iter()
            .all(|word| rest.by_ref().find(|arg| !arg.starts_with('-')) == Some(*word))
            .then_some(rest)
    };
    let npm = |rest: Vec<&'a str>| {
        let name = flagged(&rest, &["--package", "-p"]).or_else(|| first(&rest))?;
        let hint = "name one version, as in package@1.2.3, and look at it before the next";
        Some(Package { name, kind: "the npm package", pinned: is_exact(after_at(name)), hint })
    };
    let pypi = |rest: Vec<&'a str>| {
        let name = flagged(&rest, &["--from", "--spec"]).or_else(|| first(&rest))?;
        let hint = "name one version, as in package==1.2.3, and look at it before the next";
        let version = name.split_once("==").map(|(_, version)| version).or_else(|| after_at(name));
        let commit = version
            .is_some_and(|version| version.len() == 40 && version.bytes().all(|b| b.is_ascii_hexdigit()));
        Some(Package { name, kind: "the Python package", pinned: commit || is_exact(version), hint })
    };
    match program {
        "npx" | "bunx" | "pnpx" => npm(args.to_vec()),
        "npm" => npm(after(&["exec"]).or_else(|| after(&["x"]))?.collect()),
        "pnpm" | "yarn" => npm(after(&["dlx"])?.collect()),
        "bun" => npm(after(&["x"])?.collect()),
        "uvx" => pypi(args.to_vec()),
        "uv" => pypi(after(&["tool", "run"])?.collect()),
        "pipx" => pypi(after(&["run"])?.collect()),
        "docker" | "podman" | "nerdctl" => {
            let name = first(&after(&["run"])?.collect::<Vec<_>>())?;
            let hint = "name the image by its digest, as in image@sha256:…: a tag moves";
            Some(Package { name, kind: "the image", pinned: name.contains("@sha256:"), hint })
        }
        _ => None,
    }
}

/// The value of the first of these flags that is there.
fn flagged<'a>(args: &[&'a str], flags: &[&str]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(i, arg)| match arg.split_once('=') {
        Some((flag, value)) if flags.contains(&flag) => Some(value),
        _ if flags.contains(arg) => args.get(i.checked_add(1)?).copied(),
        _ => None,
    })
}

/// The first word that is neither a flag nor a flag's value.
fn first<'a>(args: &[&'a str]) -> Option<&'a str> {
    let mut skip = false;
    args.iter().copied().find(|arg| {
        let value = std::mem::take(&mut skip);
        skip = VALUED.contains(arg);
        !value && !arg.starts_with('-')
    })
}

/// What stands behind the `@` of a package's name; a scope has one of its own.
fn after_at(name: &str) -> Option<&str> {
    let (before, version) = name.rsplit_once('@')?;
    (!before.is_empty()).then_some(version)
}

/// One version, and no range or tag.
fn is_exact(version: Option<&str>) -> bool {
    version.is_some_and(|version| {
        let digits = version.starts_with(|c: char| c.is_ascii_digit());
        let plain =
            version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'!'));
        let whole = version.split(['-', '+']).next().unwrap_or_default();
        digits && plain && version.contains('.') && !whole.split('.').any(|part| part == "x" || part == "X")
    })
}

/// Does a URL lead to this machine?
pub(super) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    address || host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
}

/// Does a URL carry a password, or a member of its query that is one by its name?
pub(super) fn secret_in_url(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').is_some_and(|(user, _)| {
        user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !password.contains('$'))
    });
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let secret = ["key", "token", "secret", "password"].iter().any(|word| name.contains(word));
        secret && value.len() >= 6 && !value.contains(['$', '<', '{'])
    });
    user || named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_pinned_by_one_version_or_digest() {
        for (line, name, pinned) in [
            (
                "npx -y @modelcontextprotocol/server-filesystem /home",
                "@modelcontextprotocol/server-filesystem",
                false,
            ),
            ("npx -y @scope/server@1.2.3", "@scope/server@1.2.3", true),
            ("npx server@latest", "server@latest", false),
            ("npx server@^1.2.3", "server@^1.2.3", false),
            ("npx server@1", "server@1", false),
            ("npx --package=server@1.2.3 run-it", "server@1.2.3", true),
            ("npm exec -y server", "server", false),
            ("pnpm dlx server@1.2.3-beta.1", "server@1.2.3-beta.1", true),
            ("uvx mcp-server-git", "mcp-server-git", false),
            ("uvx mcp-server-git==0.6.2", "mcp-server-git==0.6.2", true),
            ("uvx mcp-server-git@0.6.2", "mcp-server-git@0.6.2", true),
            (
                "uvx --python 3.12 --from git+https://h.example/r@main tool",
                "git+https://h.example/r@main",
                false,
            ),
            ("uv tool run mcp-server", "mcp-server", false),
            ("pipx run --spec pkg==1.0 tool", "pkg==1.0", true),
            ("docker run -i --rm -e TOKEN ghcr.io/x/y:1.2", "ghcr.io/x/y:1.2", false),
            ("docker run ghcr.io/x/y@sha256:00", "ghcr.io/x/y@sha256:00", true),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let found = package(words[0], &words[1..]).unwrap();
            assert_eq!((found.name, found.pinned), (name, pinned), "{line}");
        }
        assert_eq!(package("node", &["server.js"]), None);
        assert_eq!(package("npm", &["start"]), None);
        assert_eq!(package("docker", &["ps"]), None);
    }

    #[test]
    fn urls_are_read_to_their_host() {
        for url in ["http://localhost:3000/sse", "http://127.0.0.1", "http://[::1]:8/", "http://a.localhost/"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://localhost.evil.example", "http://127.0.0.1@evil.example/", "http://10.0.0.1"] {
            assert!(!is_loopback(url), "{url}");
        }
        assert!(secret_in_url("https://user:hunter2@h.example/"));
        assert!(secret_in_url("https://h.example/sse?api_key=abcdef123"));
        assert!(
            !secret_in_url("https://h.example/sse?api_key=${KEY}")
                && !secret_in_url("https://h.example/?q=abcdef")
        );
    }
}
