//! Files that a person names.

#[cfg(feature = "replay")]
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::output::Failure;
#[cfg(feature = "replay")]
use crate::disk::EntryKind;
use crate::disk::{Disk, DiskFile, OpenMode, RealDisk, read_file};
use crate::evidence::bundle::ByteSource;
use crate::note::TrustPolicy;
#[cfg(feature = "replay")]
use crate::record::limits;

/// Larger than any receipt, answer, intent or policy.
const NAMED_FILE_MAX_BYTES: u64 = 16 << 20;

/// The machine's disk.
pub(super) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Reads a file that was named.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_file(&RealDisk, path, NAMED_FILE_MAX_BYTES).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "check the path, and that it can be read")
    })
}

/// Reads a text file that was named.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    let not_text =
        |_| Failure::new(format!("{}: not UTF-8 text", path.display()), "check that it is the right file");
    String::from_utf8(read(path)?).map_err(not_text)
}

/// The file of this name in a directory, or the file that was named itself.
#[cfg(feature = "replay")]
pub(super) fn in_directory(path: &Path, name: &str) -> std::path::PathBuf {
    match RealDisk.kind(path) {
        Ok(Some(EntryKind::Directory)) => path.join(name),
        _ => path.to_owned(),
    }
}

/// Reads a text file that was named, if it is there.
#[cfg(feature = "replay")]
pub(super) fn read_text_if_there(path: &Path) -> Result<Option<String>, Failure> {
    match RealDisk.kind(path) {
        Ok(None) => Ok(None),
        _ => read_text(path).map(Some),
    }
}

/// Reads a text file that was named, or standard input where `-` was.
#[cfg(feature = "replay")]
pub(super) fn read_text_or_stdin(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;

    if path != Path::new("-") {
        return read_text(path);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(NAMED_FILE_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("standard input: {error}"), "it takes UTF-8 text"))?;
    Ok(text)
}

/// Reads the trust policy, if one was named.
pub(super) fn trust(path: Option<&Path>) -> Result<Option<TrustPolicy>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let policy = TrustPolicy::parse(&read_text(path)?);
    policy.map(Some).map_err(|error| {
        Failure::new(
            format!("{}: {error}", path.display()),
            "--trust takes a tlog-policy file, such as the trust.policy that `foreseal init` writes",
        )
    })
}

/// Reads a policy bundle's directory, and the directories in it. Hidden files are left out, everything else belongs to
/// the bundle.
#[cfg(feature = "replay")]
pub(super) fn read_bundle(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut files = BTreeMap::new();
    read_bundle_below(directory, "", &mut files).map_err(|error| {
        let hint = "--policies, and DIR after `policy`, take a bundle: a directory of *.cedar files, with tools.json, manifest.json and tests/ beside";
        Failure::new(format!("{}: {error}", directory.display()), hint)
    })?;
    Ok(files)
}

/// Directories within directories are named like any file, which no bundle has.
#[cfg(feature = "replay")]
fn read_bundle_below(
    directory: &Path,
    below: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> std::io::Result<()> {
    let names = RealDisk.read_dir(directory)?;
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let path = directory.join(&name);
        match RealDisk.kind(&path)? {
            Some(EntryKind::Directory) if below.is_empty() => {
                read_bundle_below(&path, &format!("{name}/"), files)?;
            }
            Some(EntryKind::Directory) => {
                return Err(std::io::Error::other(format!(
                    "{below}{name} is a directory too deep for a bundle"
                )));
            }
            _ => {
                let bytes = read_file(&RealDisk, &path, limits::POLICY_BUNDLE_MAX_BYTES as u64)?;
                files.insert(format!("{below}{name}"), bytes);
            }
        }
    }
    Ok(())
}

/// A file that is read piece by piece.
pub(super) struct NamedFile(Arc<dyn DiskFile>);

impl NamedFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = RealDisk.open(path, OpenMode::Read);
        file.map(Self).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display()), "check the path, and that it can be read")
        })
    }
}

impl ByteSource for NamedFile {
    fn length(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}
