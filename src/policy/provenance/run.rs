//! The user's words one after another, by their fingerprints, and whether others stand among them in a row.
//!
//! A text of *m* words is looked for in *m* log *n* steps, whatever the words are, so that no call makes a decision long
//! by naming many things.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Stands between two texts; no word has it.
const BREAK: u64 = 0;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Run {
    words: Vec<u64>,
    /// The places of `words`, in the order of what begins there: made when it is first needed.
    #[serde(skip)]
    sorted: OnceLock<Vec<usize>>,
}

/// The order follows from the words.
impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Run {}

impl Run {
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn push(&mut self, word: u64) {
        self.words.push(word);
        self.sorted.take();
    }

    /// What comes now is another text.
    pub(super) fn end_text(&mut self) {
        if self.words.last().is_some_and(|last| *last != BREAK) {
            self.push(BREAK);
        }
    }

    /// Do these words stand in a row, within one text?
    pub(super) fn holds(&self, words: &[u64]) -> bool {
        #[cfg(test)]
        super::steps::add(words.len());
        let sorted = self.sorted.get_or_init(|| sorted(&self.words));
        let found = sorted.binary_search_by(|place| {
            let from = self.words.get(*place..).unwrap_or(&[]);
            from.get(..words.len()).unwrap_or(from).cmp(words)
        });
        !words.is_empty() && found.is_ok()
    }
}

/// The places of `words`, in the order of what begins there (prefix doubling: Manber, Myers, 1990).
fn sorted(words: &[u64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..words.len()).collect();
    let first = |place: &usize| words.get(*place).copied();
    places.sort_unstable_by_key(first);
    let mut ranks = ranked(&places, first);
    let mut len = 1_usize;
    // Places whose next `len` words are the same have one rank: the next `len` after those decide.
    while ranks.1 < words.len() {
        let key = |place: &usize| {
            let rank = |place: usize| ranks.0.get(place).copied();
            (rank(*place), rank(place.saturating_add(len)))
        };
        places.sort_unstable_by_key(key);
        ranks = ranked(&places, key);
        len = len.saturating_mul(2);
    }
    places
}

/// The rank of each place by its key, and how many ranks there are.
fn ranked<K: PartialEq>(places: &[usize], key: impl Fn(&usize) -> K) -> (Vec<usize>, usize) {
    let mut ranks = vec![0_usize; places.len()];
    let (mut count, mut last) = (0_usize, None);
    for place in places {
        let now = Some(key(place));
        if now != last {
            count = count.saturating_add(1);
            last = now;
        }
        if let Some(rank) = ranks.get_mut(*place) {
            *rank = count;
        }
    }
    (ranks, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(texts: &[Vec<u64>]) -> Run {
        let mut run = Run::default();
        for text in texts {
            text.iter().for_each(|word| run.push(*word));
            run.end_text();
        }
        run
    }

    proptest! {
        #[test]
        fn words_are_found_exactly_where_they_stand(
            texts in prop::collection::vec(prop::collection::vec(1_u64..4, 0..12), 0..5),
            words in prop::collection::vec(1_u64..4, 0..6),
        ) {
            let stands = texts.iter().any(|text| !words.is_empty() && text.windows(words.len().max(1)).any(|part| part == words));
            prop_assert_eq!(run(&texts).holds(&words), stands);
            let kept = postcard::to_stdvec(&run(&texts)).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Run>(&kept).unwrap().holds(&words), stands);
        }
    }

    #[test]
    fn the_same_word_a_thousand_times_is_sorted_too() {
        let run = run(&[vec![7; 5_000]]);
        assert!(run.holds(&[7; 5_000]) && !run.holds(&[7; 5_001]));
    }
}
