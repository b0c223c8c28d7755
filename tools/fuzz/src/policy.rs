//! Policy bundles: Cedar files, `tools.json`, and what a bundle says about itself, behind the feature `policy` because Cedar takes minutes to build.

use std::collections::BTreeMap;

use foreseal::policy::{Bundle, Engine};

/// Files, set apart by bytes that no UTF-8 has. What loads has an engine, and loads to the same digest again.
pub fn policy(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0xff);
    let names = ["tools.json", "a.cedar", "b.cedar", "manifest.json", "signature.json", "tests/a.json"];
    let files: BTreeMap<String, Vec<u8>> =
        names.into_iter().zip(parts.by_ref()).map(|(name, part)| (name.to_owned(), part.to_vec())).collect();
    let Ok(bundle) = Bundle::load(files.clone()) else { return };
    let again = Bundle::load(files).expect("it loaded before");
    assert_eq!(bundle.digest(), again.digest());
    assert!(bundle.rules().len() <= Bundle::MOST_RULES);
    // A bundle that loads can be active.
    Engine::new(bundle).expect("what loads can decide");
}
