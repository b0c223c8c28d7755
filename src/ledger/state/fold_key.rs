//! The key under which the fold keeps fingerprints, so that nothing in it can be guessed.

#[cfg(feature = "replay")]
use hmac::{Hmac, KeyInit as _, Mac as _};
#[cfg(feature = "replay")]
use sha2::Sha256;

#[cfg(feature = "replay")]
use crate::policy::provenance::FingerprintKey;
#[cfg(feature = "replay")]
use crate::record::intent::Call;

/// Made from a secret of the keyring.
#[derive(Clone)]
pub struct FoldKey {
    #[cfg(feature = "replay")]
    fingerprints: FingerprintKey,
    #[cfg(feature = "replay")]
    calls: Hmac<Sha256>,
}

impl std::fmt::Debug for FoldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FoldKey(…)")
    }
}

impl FoldKey {
    /// The key made of 32 secret bytes.
    #[must_use]
    #[cfg_attr(
        not(feature = "replay"),
        expect(unused_variables, reason = "only a build that decides folds sessions")
    )]
    pub fn new(secret: &[u8; 32]) -> Self {
        #[cfg(feature = "replay")]
        let calls = {
            // Padded to the hash's block, as HMAC does it.
            let mut block = [0; 64];
            block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
            Hmac::<Sha256>::new((&block).into())
        };
        Self {
            #[cfg(feature = "replay")]
            fingerprints: FingerprintKey::new(secret),
            #[cfg(feature = "replay")]
            calls,
        }
    }

    #[cfg(feature = "replay")]
    pub(super) fn fingerprints(&self) -> &FingerprintKey {
        &self.fingerprints
    }

    /// A call by itself: whoever has no key cannot tell which.
    #[cfg(feature = "replay")]
    pub(super) fn call(&self, call: &Call) -> [u8; 16] {
        let mut mac = self.calls.clone();
        mac.update(b"foreseal/calls/v1\0");
        for name in [&call.server, &call.tool] {
            mac.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(name.as_bytes());
        }
        let mut canonical = Vec::new();
        // Arguments from strict JSON have a canonical form; without one, calls of this tool are alike.
        let _ = crate::record::canonical::write_jcs(&call.args, &mut canonical);
        mac.update(&canonical);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        full.first_chunk().copied().unwrap_or_default()
    }
}
