//! Counts characters that were looked at, so that tests can say what work grows with.
#![cfg(test)]

use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn add(characters: usize) {
    TAKEN.with(|taken| taken.set(taken.get().saturating_add(characters as u64)));
}

pub(super) fn reset() {
    TAKEN.with(|taken| taken.set(0));
}

pub(super) fn taken() -> u64 {
    TAKEN.with(Cell::get)
}
