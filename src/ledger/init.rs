//! A new ledger: directories, keys, an empty journal, and the first operator as leaf 0.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use base64::Engine as _;
use zeroize::Zeroizing;

use super::admin::{Admin, Change};
use super::keyring::{Keyring, random};
use super::layout::{DATA_FORMAT, Layout};
use super::open::{HeadFile, LedgerOptions, check_apart, lock};
use super::open_error::OpenError;
use super::running::Ledger;
use super::state::CredentialDigest;
use crate::disk::{
    DirMode, Disk, DiskLock, FileMode, create_dir_durably, write_file_atomically, write_new_file,
};
use crate::journal::SegmentedJournal;
use crate::note::{KeyName, LogSigner, TrustPolicy, VerifierKey};

/// A ledger that was just made.
#[derive(Debug)]
pub struct Initialised {
    /// The log's public key: what verifiers must get from you, out of band.
    pub verifier: VerifierKey,
}

/// Makes a ledger. The format file is written last: without it the directory is not a ledger.
///
/// # Errors
/// [`OpenError`]; [`OpenError::AlreadyThere`] rather than overwrite anything.
pub fn init(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    origin: &str,
    options: &LedgerOptions,
) -> Result<Initialised, OpenError> {
    let io = |what| move |source| OpenError::Io { what, source };
    check_apart(layout)?;
    let name = KeyName::parse(origin).map_err(|e| OpenError::LogKey(e.to_string()))?;
    refuse_used(&**disk, layout)?;
    create_dir_durably(&**disk, &layout.data, DirMode::Private).map_err(io("making the data directory"))?;
    // Whoever else is making this ledger now has looked before this, or looks again below: one of them goes on.
    let lock = lock(disk, layout)?;
    refuse_used(&**disk, layout)?;
    for directory in [&layout.tiles(), &layout.snapshots()] {
        create_dir_durably(&**disk, directory, DirMode::Private).map_err(io("making the data directory"))?;
    }
    for directory in [&layout.keys, &layout.epochs()] {
        create_dir_durably(&**disk, directory, DirMode::Private).map_err(io("making the key directory"))?;
    }
    let write = |path: &Path, text: &str, mode, what| {
        write_file_atomically(&**disk, path, text.as_bytes(), mode).map_err(io(what))
    };
    let signer = LogSigner::from_seed(name, &*random::<32>()?);
    let secret = Zeroizing::new(format!("{}\n", *signer.to_secret_text()));
    // The first file of the key directory, and never over another: a data directory of its own has a lock of its own.
    write_new_file(&**disk, &layout.log_key(), secret.as_bytes(), FileMode::Private).map_err(|source| {
        match source.kind() {
            std::io::ErrorKind::AlreadyExists => OpenError::AlreadyThere(layout.keys.display().to_string()),
            _ => OpenError::Io { what: "writing the log key", source },
        }
    })?;
    Keyring::create(disk, layout, origin)?;
    let keyring = Keyring::open(Arc::clone(disk), layout, origin)?;
    let token = new_token("fsa_")?;
    write(&layout.admin_token(), &token, FileMode::Private, "writing the admin token")?;
    write(
        &layout.trust(),
        &TrustPolicy::of_log(&signer).to_string(),
        FileMode::Private,
        "writing the trust policy",
    )?;
    // Closed at once: the ledger opens it the way it always does.
    let (journal, key) = (layout.journal(), keyring.frame_key());
    drop(SegmentedJournal::create(Arc::clone(disk), &journal, &options.journal, key)?);
    seal_first_operator(disk, layout, options, &token, lock)?;
    write(
        &layout.format(),
        &format!("foreseal data {DATA_FORMAT}\n"),
        FileMode::Private,
        "writing the format file",
    )?;
    Ok(Initialised { verifier: signer.verifier().clone() })
}

/// Nothing is overwritten: not a ledger, not what another `init` left, not somebody else's files.
fn refuse_used(disk: &dyn Disk, layout: &Layout) -> Result<(), OpenError> {
    let lock = layout.lock();
    for (directory, what) in [(&layout.data, "data"), (&layout.keys, "keys")] {
        let names = match disk.read_dir(directory) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(OpenError::Io { what, source }),
        };
        if names.iter().any(|name| directory.join(name) != lock) {
            return Err(OpenError::AlreadyThere(directory.display().to_string()));
        }
    }
    Ok(())
}

fn seal_first_operator(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    options: &LedgerOptions,
    token: &str,
    lock: DiskLock,
) -> Result<(), OpenError> {
    let (ledger, _) = Ledger::open_locked(disk, layout, options, HeadFile::NotYet, lock)?;
    let change =
        Change::RegisterOperator { name: "admin".to_owned(), credential: CredentialDigest::of(token) };
    let (told, answer) = channel();
    ledger.administer(Admin { by: None, change }, Box::new(move |sealed| drop(told.send(sealed))));
    let sealed = answer
        .recv()
        .map_err(|_| OpenError::Damaged("the ledger ended before leaf 0 was sealed".to_owned()))?;
    ledger.stop();
    Ok(sealed.map(drop)?)
}

/// A token of 256 random bits; the prefix says what it is for, so that a leaked one is recognised.
///
/// # Errors
/// [`super::keyring::KeyringError::Random`]
pub fn new_token(prefix: &str) -> Result<Zeroizing<String>, super::keyring::KeyringError> {
    let secret = random::<32>()?;
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret.as_slice());
    Ok(Zeroizing::new(format!("{prefix}{text}")))
}
