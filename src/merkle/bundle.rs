//! Entry bundles: up to 256 entries, each after its length in two bytes (C2SP tlog-tiles, "Log entries").

use super::tile::TILE_WIDTH;

/// Largest entry that a bundle can hold, in bytes: its length is a 16-bit number.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Why entries are no bundle, or bytes are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// An entry whose length does not fit in 16 bits.
    #[error("entry {entry} has {bytes} bytes, and a bundle holds entries of at most {MAX_ENTRY_BYTES}")]
    EntryTooLong {
        /// Position of the entry in the bundle.
        entry: usize,
        /// Its length.
        bytes: usize,
    },
    /// More entries than a full tile has leaves.
    #[error("a bundle has at most 256 entries (another one starts at byte {position})")]
    TooManyEntries {
        /// Where the 257th starts.
        position: usize,
    },
    /// The bytes end within the two bytes of a length.
    #[error("the bundle ends at byte {position}, inside the length of entry {entry}")]
    TruncatedLength {
        /// Position of the entry in the bundle.
        entry: usize,
        /// Length of the bundle in bytes.
        position: usize,
    },
    /// The bytes end within an entry.
    #[error("entry {entry} at byte {position} should have {expected} bytes, and the bundle has {got} more")]
    TruncatedEntry {
        /// Position of the entry in the bundle.
        entry: usize,
        /// Where the entry's own bytes start.
        position: usize,
        /// The length it announces.
        expected: u16,
        /// How many bytes are left.
        got: usize,
    },
}

/// The bundle of these entries, in order. No entries make an empty bundle, which a log does not serve.
///
/// # Errors
/// [`BundleError::EntryTooLong`], [`BundleError::TooManyEntries`].
pub fn encode_bundle<I>(entries: I) -> Result<Vec<u8>, BundleError>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut bundle = Vec::new();
    for (nth, entry) in entries.into_iter().enumerate() {
        let entry = entry.as_ref();
        if nth >= usize::from(TILE_WIDTH) {
            return Err(BundleError::TooManyEntries { position: bundle.len() });
        }
        let length = u16::try_from(entry.len())
            .map_err(|_| BundleError::EntryTooLong { entry: nth, bytes: entry.len() })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The entries of a bundle, in order. The format carries no count: compare the number with the width that was asked for,
/// and the hashes with a tile or a proof.
///
/// # Errors
/// A [`BundleError`] that says at which entry and byte.
pub fn parse_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        let (entry, position) = (entries.len(), bundle.len() - rest.len());
        if entry >= usize::from(TILE_WIDTH) {
            return Err(BundleError::TooManyEntries { position });
        }
        let Some((length, body)) = rest.split_first_chunk::<2>() else {
            return Err(BundleError::TruncatedLength { entry, position: bundle.len() });
        };
        let expected = u16::from_be_bytes(*length);
        let Some((bytes, after)) = body.split_at_checked(usize::from(expected)) else {
            let position = position + length.len();
            return Err(BundleError::TruncatedEntry { entry, position, expected, got: body.len() });
        };
        entries.push(bytes);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_exact() {
        let longest = vec![7; MAX_ENTRY_BYTES];
        let bundle = encode_bundle([&longest]).unwrap();
        assert_eq!(parse_bundle(&bundle).unwrap(), [&longest[..]]);
        assert_eq!(
            encode_bundle([vec![], vec![7; MAX_ENTRY_BYTES + 1]]),
            Err(BundleError::EntryTooLong { entry: 1, bytes: 65_536 })
        );
        assert_eq!(parse_bundle(&encode_bundle(vec![[]; 256]).unwrap()).unwrap().len(), 256);
        assert_eq!(encode_bundle(vec![[1]; 257]), Err(BundleError::TooManyEntries { position: 768 }));
        assert_eq!(parse_bundle(&[0; 514]), Err(BundleError::TooManyEntries { position: 512 }));
    }

    #[test]
    fn a_cut_is_found_where_it_is() {
        let bundle = encode_bundle(["one", "two", "three"]).unwrap();
        assert_eq!(parse_bundle(&bundle[..6]), Err(BundleError::TruncatedLength { entry: 1, position: 6 }));
        assert_eq!(
            parse_bundle(&bundle[..9]),
            Err(BundleError::TruncatedEntry { entry: 1, position: 7, expected: 3, got: 2 })
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=256)) {
            let bundle = encode_bundle(&entries).unwrap();
            prop_assert_eq!(parse_bundle(&bundle).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn what_is_parsed_encodes_to_itself(bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(2), any::<u8>()], 0..80)) {
            if let Ok(entries) = parse_bundle(&bytes) {
                prop_assert_eq!(encode_bundle(entries).unwrap(), bytes);
            }
        }
    }
}
