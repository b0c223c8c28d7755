//! Names of every file in the data directory and in the key directory.

use std::path::{Path, PathBuf};

/// The data directory's format. A directory of a newer one is refused.
pub const DATA_FORMAT: u32 = 2;

/// Where a ledger lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Journal, tiles, snapshots, index: everything that may be copied without secrets going along.
    pub data: PathBuf,
    /// Log key, key-encryption key, wrapped payload roots, admin token, head. Never inside `data`.
    pub keys: PathBuf,
}

impl Layout {
    /// A ledger in `data` with its keys in `keys`, or beside it in `<data>.keys`.
    #[must_use]
    pub fn new(data: &Path, keys: Option<&Path>) -> Self {
        // By components, so that `ledger/` and `ledger` are one directory with one key directory beside it.
        let data: PathBuf = data.components().collect();
        let beside = || {
            let mut name = data.as_os_str().to_owned();
            name.push(".keys");
            PathBuf::from(name)
        };
        let keys = keys.map_or_else(beside, |keys| keys.components().collect());
        Self { data, keys }
    }

    /// Whether keys and data lie apart: neither within the other, and the data directory has a name of its own.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        self.data.file_name().is_some()
            && !self.keys.starts_with(&self.data)
            && !self.data.starts_with(&self.keys)
    }

    /// Names the format; written last by `init`, so its presence says that `init` was completed.
    #[must_use]
    pub fn format(&self) -> PathBuf {
        self.data.join("format")
    }

    /// Held while a service writes.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    /// The journal's segments.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Packed tiles and bundles.
    #[must_use]
    pub fn tiles(&self) -> PathBuf {
        self.data.join("tiles")
    }

    /// Snapshots of the folded state.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// The index, a cache.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.data.join("index.redb")
    }

    /// The tlog-policy that `--trust` takes, as `init` wrote it.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.data.join("trust.policy")
    }

    /// The log's signing key.
    #[must_use]
    pub fn log_key(&self) -> PathBuf {
        self.keys.join("log.key")
    }

    /// The key that signs the manifests of bundles. Made with the first of them.
    #[must_use]
    pub fn bundle_key(&self) -> PathBuf {
        self.keys.join("bundle.key")
    }

    /// The key that wraps payload roots and the session key, and seals snapshots.
    #[must_use]
    pub fn key_encryption_key(&self) -> PathBuf {
        self.keys.join("kek")
    }

    /// The session key, wrapped.
    #[must_use]
    pub fn session_key(&self) -> PathBuf {
        self.keys.join("session.key")
    }

    /// The key that tags journal frames, wrapped.
    #[must_use]
    pub fn journal_key(&self) -> PathBuf {
        self.keys.join("journal.key")
    }

    /// The first operator's token.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.keys.join("admin.token")
    }

    /// The latest published checkpoint.
    #[must_use]
    pub fn head(&self) -> PathBuf {
        self.keys.join("head")
    }

    /// Wrapped payload roots, one file an epoch.
    #[must_use]
    pub fn epochs(&self) -> PathBuf {
        self.keys.join("epochs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_beside_the_data_never_in_it() {
        let layout = Layout::new(Path::new("d/ledger"), None);
        assert_eq!(layout.keys, Path::new("d/ledger.keys"));
        assert!(!layout.head().starts_with(&layout.data));
        assert!(layout.is_apart());
        assert_eq!(Layout::new(Path::new("d/ledger/"), None), layout);
        for (data, keys) in
            [(".", None), ("/", None), ("..", None), ("d", Some("d")), ("d", Some("d/k")), ("k/d", Some("k"))]
        {
            assert!(!Layout::new(Path::new(data), keys.map(Path::new)).is_apart(), "{data} {keys:?}");
        }
        assert_eq!(Layout::new(Path::new("d"), Some(Path::new("k"))).keys, Path::new("k"));
    }
}
