//! What the service is told: flags win over the environment, the environment over the file.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::arguments::Serve;
use super::files;
use super::output::Failure;

const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8470);

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// The service's configuration, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) data: PathBuf,
    pub(super) keys: Option<PathBuf>,
    pub(super) listen: SocketAddr,
    pub(super) policies: Option<PathBuf>,
    pub(super) public_log: bool,
    pub(super) origin: Option<String>,
    pub(super) log_format: LogFormat,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    keys: Option<PathBuf>,
    listen: Option<SocketAddr>,
    policies: Option<PathBuf>,
    public_log: Option<bool>,
    origin: Option<String>,
    log_format: Option<String>,
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
                        "known names are data, keys, listen, policies, public_log, origin, log_format",
                    )
                })?
            }
            None => File::default(),
        };
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
            policies: arguments.policies.or(file.policies),
            public_log: arguments.public_log || file.public_log.unwrap_or(false),
            origin: arguments.origin.or(file.origin),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(config: Option<PathBuf>) -> Serve {
        Serve {
            data: None,
            keys: None,
            listen: None,
            policies: None,
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
        write("datta = \"x\"\n");
        assert!(Config::settle(arguments(Some(path))).is_err());
        assert!(Config::settle(arguments(None)).is_err());
    }
}
