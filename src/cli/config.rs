//! What the service is told: flags win over the environment, the environment over the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::arguments::Serve;
use super::files;
use super::output::Failure;
use crate::ledger::layout::Layout;
use crate::record::statement::AgentKey;

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8470);

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Flag,
    Environment,
    File,
    Default,
}

/// The source of each value that can be given, as [`Config`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    data: Source,
    keys: Source,
    listen: Source,
    tls_cert: Source,
    tls_key: Source,
    policies: Source,
    policy_authors: Source,
    public_log: Source,
    origin: Source,
    log_format: Source,
}

/// Flags win over the environment: a variable that is set and was not overruled is where the value comes from.
fn source(given: Option<&str>, variable: &str, in_file: bool) -> Source {
    match (given, in_file) {
        (Some(value), _) if std::env::var(variable).is_ok_and(|set| set == value) => Source::Environment,
        (Some(_), _) => Source::Flag,
        (None, true) => Source::File,
        (None, false) => Source::Default,
    }
}

/// The service's configuration, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) data: PathBuf,
    pub(super) keys: Option<PathBuf>,
    pub(super) listen: SocketAddr,
    pub(super) tls: Option<TlsFiles>,
    pub(super) policies: Option<PathBuf>,
    /// Whose bundles may become active; nobody named: anybody's.
    pub(super) policy_authors: Vec<[u8; 32]>,
    pub(super) public_log: bool,
    pub(super) origin: Option<String>,
    pub(super) log_format: LogFormat,
    sources: Sources,
}

/// Where the service's certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    keys: Option<PathBuf>,
    listen: Option<SocketAddr>,
    policies: Option<PathBuf>,
    policy_authors: Option<Vec<String>>,
    public_log: Option<bool>,
    origin: Option<String>,
    log_format: Option<String>,
    #[serde(default)]
    tls: TlsTable,
}

impl Config {
    /// Settles the configuration. Flags and environment are in `arguments` already.
    pub(super) fn settle(arguments: Serve) -> Result<Self, Failure> {
        let file = match &arguments.config {
            Some(path) => {
                let text = files::read_text(path)?;
                toml::from_str::<File>(&text).map_err(|error| {
                    Failure::new(
                        format!("{}: {error}", path.display()),
                        "known names are data, keys, listen, policies, policy_authors, public_log, origin, log_format, and cert and key under [tls]",
                    )
                })?
            }
            None => File::default(),
        };
        let sources = Sources::of(&arguments, &file);
        let log_format = arguments.log_format.or(file.log_format);
        Ok(Self {
            data: arguments.data.or(file.data).ok_or_else(|| {
                Failure::new(
                    "no data directory is named",
                    "give --data DIR, FORESEAL_DATA, or data = \"DIR\" in --config FILE",
                )
            })?,
            keys: arguments.keys.or(file.keys),
            listen: arguments.listen.or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.into()),
            tls: tls_files(arguments.tls_cert.or(file.tls.cert), arguments.tls_key.or(file.tls.key))?,
            policies: arguments.policies.or(file.policies),
            policy_authors: authors(arguments.policy_authors, file.policy_authors)?,
            public_log: arguments.public_log || file.public_log.unwrap_or(false),
            origin: arguments.origin.or(file.origin),
            sources,
            log_format: match log_format.as_deref() {
                None | Some("text") => LogFormat::Text,
                Some("json") => LogFormat::Json,
                Some(other) => {
                    return Err(Failure::new(
                        format!("\"{other}\" is no log format"),
                        "log formats are text and json",
                    ));
                }
            },
        })
    }
}

/// The keys of authors. A key that is none is refused: left out, it would let in what it was to keep out.
fn authors(given: Vec<String>, in_file: Option<Vec<String>>) -> Result<Vec<[u8; 32]>, Failure> {
    let texts = if given.is_empty() { in_file.unwrap_or_default() } else { given };
    let key = |text: &String| {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.filter(|bytes| AgentKey::from_bytes(bytes).is_ok()).ok_or_else(|| {
            let hint = "--policy-author takes base64 of 32 bytes: what `foreseal policy sign` prints";
            Failure::new(format!("{text:?} is no author's public key"), hint)
        })
    };
    texts.iter().map(key).collect()
}

/// Both or neither: half of it would be taken for TLS by whoever configured it.
fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Failure> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => {
            Err(Failure::new("a TLS certificate is named without its key", "give --tls-key FILE"))
        }
        (None, Some(_)) => {
            Err(Failure::new("a TLS key is named without its certificate", "give --tls-cert FILE"))
        }
    }
}

impl Sources {
    fn of(arguments: &Serve, file: &File) -> Self {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Self {
            data: source(path(&arguments.data).as_deref(), "FORESEAL_DATA", file.data.is_some()),
            keys: source(path(&arguments.keys).as_deref(), "FORESEAL_KEYS", file.keys.is_some()),
            listen: source(
                arguments.listen.map(|address| address.to_string()).as_deref(),
                "FORESEAL_LISTEN",
                file.listen.is_some(),
            ),
            tls_cert: source(
                path(&arguments.tls_cert).as_deref(),
                "FORESEAL_TLS_CERT",
                file.tls.cert.is_some(),
            ),
            tls_key: source(path(&arguments.tls_key).as_deref(), "FORESEAL_TLS_KEY", file.tls.key.is_some()),
            policies: source(
                path(&arguments.policies).as_deref(),
                "FORESEAL_POLICIES",
                file.policies.is_some(),
            ),
            policy_authors: source(
                Some(arguments.policy_authors.join(",")).filter(|given| !given.is_empty()).as_deref(),
                "FORESEAL_POLICY_AUTHORS",
                file.policy_authors.is_some(),
            ),
            public_log: source(
                arguments.public_log.then_some("true"),
                "FORESEAL_PUBLIC_LOG",
                file.public_log.is_some(),
            ),
            origin: source(arguments.origin.as_deref(), "FORESEAL_ORIGIN", file.origin.is_some()),
            log_format: source(
                arguments.log_format.as_deref(),
                "FORESEAL_LOG_FORMAT",
                file.log_format.is_some(),
            ),
        }
    }
}

impl Config {
    /// Every value by its name in the file, and where it comes from.
    pub(super) fn settled(&self, layout: &Layout) -> [(&'static str, String, Source); 10] {
        let policies =
            self.policies.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
        let authors = match self.policy_authors.as_slice() {
            [] => "anybody's, signed or not".to_owned(),
            keys => keys.iter().map(|key| STANDARD.encode(key)).collect::<Vec<_>>().join(", "),
        };
        let origin = self.origin.clone().unwrap_or_else(|| "the ledger's own".to_owned());
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let tls = |file: fn(&TlsFiles) -> &PathBuf| {
            self.tls.as_ref().map_or_else(|| "none".to_owned(), |files| file(files).display().to_string())
        };
        let from = self.sources;
        [
            ("data", layout.data.display().to_string(), from.data),
            ("keys", layout.keys.display().to_string(), from.keys),
            ("listen", self.listen.to_string(), from.listen),
            ("tls.cert", tls(|files| &files.cert), from.tls_cert),
            ("tls.key", tls(|files| &files.key), from.tls_key),
            ("policies", policies, from.policies),
            ("policy_authors", authors, from.policy_authors),
            ("public_log", self.public_log.to_string(), from.public_log),
            ("origin", origin, from.origin),
            ("log_format", format.to_owned(), from.log_format),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(config: Option<PathBuf>) -> Serve {
        Serve {
            data: None,
            keys: None,
            listen: None,
            tls_cert: None,
            tls_key: None,
            policies: None,
            policy_authors: Vec::new(),
            public_log: false,
            origin: None,
            log_format: None,
            config,
        }
    }

    #[test]
    fn flags_win_over_the_file_and_unknown_names_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("foreseal.toml");
        let disk = crate::disk::RealDisk;
        let write = |text: &str| {
            crate::disk::write_file_atomically(&disk, &path, text.as_bytes(), crate::disk::FileMode::Shared)
                .unwrap();
        };
        write("data = \"from-file\"\nlisten = \"127.0.0.1:1\"\npublic_log = true\n");
        let flags = Serve { data: Some("from-flag".into()), ..arguments(Some(path.clone())) };
        let config = Config::settle(flags).unwrap();
        assert_eq!(config.data, PathBuf::from("from-flag"));
        assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
        assert!(config.public_log);
        let sources = config.settled(&Layout::new(&config.data, None)).map(|(_, _, source)| source);
        let [data, keys, listen, ..] = sources;
        assert_eq!([data, keys, listen], [Source::Flag, Source::Default, Source::File]);
        write("data = \"x\"\n[tls]\ncert = \"c\"\n");
        assert!(Config::settle(arguments(Some(path.clone()))).is_err(), "half of TLS");
        let with_key = Serve { tls_key: Some("k".into()), ..arguments(Some(path.clone())) };
        let tls = Config::settle(with_key).unwrap().tls;
        assert_eq!(tls, Some(TlsFiles { cert: "c".into(), key: "k".into() }));
        write("datta = \"x\"\n");
        assert!(Config::settle(arguments(Some(path))).is_err());
        assert!(Config::settle(arguments(None)).is_err());
    }
}
