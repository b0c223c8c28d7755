//! URL paths of tiles and entry bundles, as C2SP tlog-tiles lays a log out.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

/// Highest tile level that a path can name.
const MAX_LEVEL: u8 = 63;

/// What a [`TilePath`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// A tile of hashes.
    Hashes {
        /// Tile level, 0 to 63: each bottom hash is over 256^level entries.
        level: u8,
    },
    /// A bundle of entries.
    Entries,
}

/// The path of a tile below a log's prefix: `tile/0/x001/x234/067.p/5`, `tile/entries/000`. One tile has one path: what
/// parses prints as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// Hashes of a level, or entries.
    pub kind: TileKind,
    /// Index of the tile within its level.
    pub index: u64,
    /// Width of a partial tile; `None` names the full one.
    pub width: Option<NonZeroU8>,
}

/// Why a text is no tile path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TilePathError {
    /// It does not start with `tile/` and a level.
    #[error("a tile path starts with tile/<level>/ or tile/entries/")]
    Prefix,
    /// The level is not a plain decimal from 0 to 63.
    #[error("a tile level is a decimal from 0 to 63 without leading zeros, or entries")]
    Level,
    /// The index is not in its canonical groups of three digits.
    #[error(
        "a tile index is written in groups of three digits, all but the last prefixed x, the first not x000"
    )]
    Index,
    /// The index does not fit in 64 bits.
    #[error("the tile index is beyond 64 bits")]
    IndexTooLarge,
    /// The width is not a plain decimal from 1 to 255.
    #[error("a partial tile's width is a decimal from 1 to 255 without leading zeros")]
    Width,
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        // Largest group first: 10^18 is the largest power of 1,000 within 64 bits.
        let mut unit = 1_000_000_000_000_000_000_u64;
        while unit > 1 {
            if self.index >= unit {
                write!(f, "x{:03}/", self.index / unit % 1000)?;
            }
            unit /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        match self.width {
            Some(width) => write!(f, ".p/{width}"),
            None => Ok(()),
        }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(path: &str) -> Result<TilePath, TilePathError> {
        let below = path.strip_prefix("tile/").ok_or(TilePathError::Prefix)?;
        let (kind, rest) = below.split_once('/').ok_or(TilePathError::Prefix)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => {
                let level = decimal(level).filter(|l| *l <= MAX_LEVEL).ok_or(TilePathError::Level)?;
                TileKind::Hashes { level }
            }
        };
        let (groups, width) = match rest.split_once(".p/") {
            None => (rest, None),
            Some((groups, width)) => {
                let width = decimal(width).and_then(NonZeroU8::new).ok_or(TilePathError::Width)?;
                (groups, Some(width))
            }
        };
        Ok(TilePath { kind, index: parse_index(groups)?, width })
    }
}

fn parse_index(groups: &str) -> Result<u64, TilePathError> {
    let mut index = 0_u64;
    let mut parts = groups.split('/').enumerate().peekable();
    while let Some((nth, part)) = parts.next() {
        let digits = if parts.peek().is_some() {
            // A first group of zeros would be a second path for the same tile.
            part.strip_prefix('x').filter(|digits| nth > 0 || *digits != "000")
        } else {
            Some(part)
        };
        let value = digits
            .filter(|d| d.len() == 3 && d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse::<u64>().ok())
            .ok_or(TilePathError::Index)?;
        index =
            index.checked_mul(1000).and_then(|i| i.checked_add(value)).ok_or(TilePathError::IndexTooLarge)?;
    }
    Ok(index)
}

/// A decimal of up to 255 in its one form: no sign, no leading zero.
fn decimal(text: &str) -> Option<u8> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(kind: TileKind, index: u64, width: u8) -> TilePath {
        TilePath { kind, index, width: NonZeroU8::new(width) }
    }

    #[test]
    fn the_examples_of_the_specification() {
        let level = |level| TileKind::Hashes { level };
        for (text, expected) in [
            ("tile/0/x001/x234/067.p/5", path(level(0), 1_234_067, 5)),
            ("tile/0/x001/x234/067", path(level(0), 1_234_067, 0)),
            ("tile/1/x001/234", path(level(1), 1_234, 0)),
            ("tile/63/005", path(level(63), 5, 0)),
            ("tile/entries/000.p/255", path(TileKind::Entries, 0, 255)),
            ("tile/entries/x018/x446/x744/x073/x709/x551/615", path(TileKind::Entries, u64::MAX, 0)),
            ("tile/0/x001/000", path(level(0), 1000, 0)),
            ("tile/0/x001/x000/000", path(level(0), 1_000_000, 0)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.to_string(), text);
        }
    }

    #[test]
    fn a_second_spelling_is_refused() {
        use TilePathError as E;
        for (text, expected) in [
            ("", E::Prefix),
            ("tile/0", E::Prefix),
            ("/tile/0/000", E::Prefix),
            ("tiles/0/000", E::Prefix),
            ("tile//000", E::Level),
            ("tile/00/000", E::Level),
            ("tile/+1/000", E::Level),
            ("tile/64/000", E::Level),
            ("tile/999/000", E::Level),
            ("tile/data/000", E::Level),
            ("tile/0/", E::Index),
            ("tile/0/5", E::Index),
            ("tile/0/0005", E::Index),
            ("tile/0/x000/005", E::Index),
            ("tile/0/001/005", E::Index),
            ("tile/0/x001/x005", E::Index),
            ("tile/0/X001/005", E::Index),
            ("tile/0/x01/005", E::Index),
            ("tile/0/000/", E::Index),
            ("tile/0/+12", E::Index),
            ("tile/0/٠٠٠", E::Index),
            ("tile/0/000.p", E::Index),
            ("tile/0/000.p/", E::Width),
            ("tile/0/000.p/0", E::Width),
            ("tile/0/000.p/256", E::Width),
            ("tile/0/000.p/05", E::Width),
            ("tile/0/000.p/5/", E::Width),
            ("tile/0/000.p/5.p/5", E::Width),
            ("tile/0/x018/x446/x744/x073/x709/x551/616", E::IndexTooLarge),
            ("tile/0/x001/x000/x000/x000/x000/x000/x000/000", E::IndexTooLarge),
        ] {
            assert_eq!(text.parse::<TilePath>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(index: u64, shift in 0..64_u32, level in 0..=63_u8, entries: bool, width: u8) {
            let kind = if entries { TileKind::Entries } else { TileKind::Hashes { level } };
            let path = path(kind, index >> shift, width);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn what_is_read_prints_as_it_was(text in "(tile/)?(entries|[0-9]{1,3})/(x?[0-9]{2,4}/){0,7}[0-9]{2,4}(\\.p/[0-9]{0,3})?") {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
