//! A new ledger: directories, keys, an empty journal, and the first operator as leaf 0.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use base64::Engine as _;
use zeroize::Zeroizing;

use super::admin::{Admin, Change};
use super::keyring::{Keyring, random};
use super::layout::{DATA_FORMAT, Layout};
use super::open::{HeadFile, LedgerOptions, check_apart};
use super::open_error::OpenError;
use super::running::Ledger;
use super::state::CredentialDigest;
use crate::disk::{DirMode, Disk, FileMode, create_dir_durably, write_file_atomically};
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
    for (directory, what) in [(&layout.data, "data"), (&layout.keys, "keys")] {
        let used = match disk.read_dir(directory) {
            Ok(names) => !names.is_empty(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(source) => return Err(OpenError::Io { what, source }),
        };
        if used {
            return Err(OpenError::AlreadyThere(directory.display().to_string()));
        }
    }
    for directory in [&layout.data, &layout.tiles(), &layout.snapshots()] {
        create_dir_durably(&**disk, directory, DirMode::Shared).map_err(io("making the data directory"))?;
    }
    for directory in [&layout.keys, &layout.epochs()] {
        create_dir_durably(&**disk, directory, DirMode::Private).map_err(io("making the key directory"))?;
    }
    let write = |path: &Path, text: &str, mode, what| {
        write_file_atomically(&**disk, path, text.as_bytes(), mode).map_err(io(what))
    };
    let signer = LogSigner::from_seed(name, &*random::<32>()?);
    let secret = Zeroizing::new(format!("{}\n", *signer.to_secret_text()));
    write(&layout.log_key(), &secret, FileMode::Private, "writing the log key")?;
    Keyring::create(disk, layout, origin)?;
    let keyring = Keyring::open(Arc::clone(disk), layout, origin)?;
    let token = new_token("fsa_")?;
    write(&layout.admin_token(), &token, FileMode::Private, "writing the admin token")?;
    write(
        &layout.trust(),
        &TrustPolicy::of_log(&signer).to_string(),
        FileMode::Shared,
        "writing the trust policy",
    )?;
    // Closed at once: the ledger opens it the way it always does.
    let (journal, key) = (layout.journal(), keyring.frame_key());
    drop(SegmentedJournal::create(Arc::clone(disk), &journal, &options.journal, key)?);
    seal_first_operator(disk, layout, options, &token)?;
    write(
        &layout.format(),
        &format!("foreseal data {DATA_FORMAT}\n"),
        FileMode::Shared,
        "writing the format file",
    )?;
    Ok(Initialised { verifier: signer.verifier().clone() })
}

fn seal_first_operator(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    options: &LedgerOptions,
    token: &str,
) -> Result<(), OpenError> {
    let (ledger, _) = Ledger::open_unchecked(disk, layout, options, HeadFile::NotYet)?;
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
