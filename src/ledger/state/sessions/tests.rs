//! to come
#![cfg(test)]
