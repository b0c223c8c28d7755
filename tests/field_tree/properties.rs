//! Properties of honest trees over generated documents.

use std::collections::{BTreeMap, BTreeSet};

use foreseal::merkle::Hash;
use foreseal::record::field_tree::{
    Commitment, Disclosure, FieldOpening, FieldTree, OpeningError, Presence, Salt,
};
use foreseal::record::json::JsonLimits;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{documents, fields_of, seed, tree};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Fields, their order and the padded size are those of a plain reading of the specification.
    #[test]
    fn fields_are_the_scalars_and_empty_containers_in_byte_order(document in documents()) {
        let mut plain = BTreeMap::new();
        fields_of(&document, "", &mut plain);
        let tree = tree(&document);
        let paths: Vec<Vec<u8>> = tree.paths().skip(1).map(|p| p.as_bytes().to_vec()).collect();
        prop_assert_eq!(&paths, &plain.keys().cloned().collect::<Vec<_>>());
        prop_assert_eq!(tree.field_count(), plain.len());
        prop_assert_eq!(1_usize << tree.commitment().log2, (plain.len() + 1).next_power_of_two());
        prop_assert!(tree.commitment().matches_document(&document, &seed(7)));
        prop_assert!(!tree.commitment().matches_document(&document, &seed(8)));
    }

    /// Every field opens and verifies, also after a trip through JSON, and together they are the document.
    #[test]
    fn every_field_opens_and_all_of_them_are_the_document(document in documents()) {
        let tree = tree(&document);
        let commitment = tree.commitment();
        let mut plain = BTreeMap::new();
        fields_of(&document, "", &mut plain);
        let openings: Vec<FieldOpening> = tree.paths().map(|p| tree.open(p).unwrap()).collect();
        for opening in &openings {
            prop_assert_eq!(opening.verify(&commitment), Ok(()));
            let text = serde_json::to_vec(opening).unwrap();
            prop_assert_eq!(&FieldOpening::parse(&text, &JsonLimits::default()).unwrap(), opening);
            if opening.index > 0 {
                prop_assert_eq!(plain.get(opening.path.as_bytes()), Some(&opening.value));
            }
        }
        let all = Disclosure::assemble(&commitment, &openings).unwrap();
        prop_assert!(all.is_complete());
        prop_assert_eq!(all.withheld(), Some(vec![]));
        prop_assert_eq!(all.document(), Some(document));
    }

    /// Any one thing changed in an opening is refused.
    #[test]
    fn a_changed_opening_is_refused(document in documents(), pick in any::<prop::sample::Index>(), bit in 0..256_usize) {
        let tree = tree(&document);
        let commitment = tree.commitment();
        let paths: Vec<&str> = tree.paths().collect();
        let good = tree.open(paths[pick.index(paths.len())]).unwrap();
        let refused = |bad: &FieldOpening| bad.verify(&commitment).is_err();
        let flip = |mut bytes: [u8; 32]| { bytes[bit / 8] ^= 1 << (bit % 8); bytes };
        for other in paths.iter().filter(|p| **p != good.path) {
            prop_assert_eq!(refused(&FieldOpening { path: (*other).to_owned(), ..good.clone() }), true);
        }
        for value in [json!(null), json!(true), json!("1"), json!(1), json!({}), json!([]), json!([good.value.clone()])] {
            if value != good.value {
                prop_assert_eq!(refused(&FieldOpening { value, ..good.clone() }), true);
            }
        }
        prop_assert_eq!(refused(&FieldOpening { salt: Salt::from_bytes(flip(*good.salt.as_bytes())), ..good.clone() }), true);
        for index in (0..1 << commitment.log2).filter(|i| *i != good.index) {
            prop_assert_eq!(refused(&FieldOpening { index, ..good.clone() }), true);
            let salt = seed(7).salt(index);
            prop_assert_eq!(refused(&FieldOpening { index, salt, ..good.clone() }), true);
        }
        for index in [1_u32 << commitment.log2, good.index | 1 << 31, u32::MAX] {
            prop_assert_eq!(FieldOpening { index, ..good.clone() }.verify(&commitment), Err(OpeningError::Index));
        }
        for level in 0..good.proof.len() {
            let mut bad = good.clone();
            bad.proof[level] = Hash(flip(bad.proof[level].0));
            prop_assert!(refused(&bad));
        }
        let mut longer = good.clone();
        longer.proof.push(commitment.root);
        prop_assert_eq!(longer.verify(&commitment), Err(OpeningError::ProofLength));
        prop_assert_eq!(longer.verify(&Commitment { log2: commitment.log2 + 1, ..commitment }).is_err(), true);
        let mut shorter = good.clone();
        shorter.proof.pop();
        prop_assert!(refused(&shorter));
        prop_assert_eq!(shorter.verify(&Commitment { log2: commitment.log2 - 1, ..commitment }).is_err(), true);
        prop_assert_eq!(good.verify(&Commitment { root: Hash(flip(commitment.root.0)), ..commitment }).is_err(), true);
    }

    /// Two documents have one commitment exactly when they are the same document.
    #[test]
    fn different_documents_have_different_roots(a in documents(), b in documents()) {
        prop_assert_eq!(a == b, tree(&a).commitment() == tree(&b).commitment());
    }

    /// A document with one place changed, wherever and to whatever, has another root.
    #[test]
    fn any_change_changes_the_root(document in documents(), place in any::<prop::sample::Index>(), new in documents(), what in 0..6_usize) {
        let mut plain = BTreeMap::new();
        fields_of(&document, "", &mut plain);
        let paths: Vec<&Vec<u8>> = plain.keys().collect();
        let path = std::str::from_utf8(paths[place.index(paths.len())]).unwrap();
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() =
            [json!(null), json!({}), json!([]), json!("null"), new.clone(), json!([new])][what].clone();
        prop_assert_eq!(changed == document, tree(&changed).commitment() == tree(&document).commitment());
    }

    /// Any subset, in any order, says what is shown, what is withheld, and what does not exist.
    #[test]
    fn a_subset_says_what_is_withheld(document in documents(), mask in any::<u64>(), with_shape in any::<bool>()) {
        let tree = tree(&document);
        let commitment = tree.commitment();
        let paths: Vec<&str> = tree.paths().skip(1).collect();
        let (shown, hidden): (Vec<_>, Vec<_>) = paths.iter().enumerate().partition(|(i, _)| mask >> (i % 64) & 1 == 1);
        let mut openings: Vec<FieldOpening> = shown.iter().rev().map(|(_, p)| tree.open(p).unwrap()).collect();
        if with_shape {
            openings.push(tree.open("").unwrap());
        }
        let part = Disclosure::assemble(&commitment, &openings).unwrap();
        for (_, path) in &shown {
            prop_assert_eq!(part.get(path), document.pointer(path));
        }
        prop_assert_eq!(part.fields().count(), shown.len());
        if !with_shape {
            prop_assert!(part.withheld().is_none() && part.document().is_none() && !part.is_complete());
            prop_assert!(part.presence("/a").is_none());
            return Ok(());
        }
        let withheld: Vec<&str> = hidden.iter().map(|(_, p)| **p).collect();
        prop_assert_eq!(part.withheld(), Some(withheld));
        prop_assert_eq!(part.is_complete(), hidden.is_empty());
        let mut blanked = document.clone();
        for (_, path) in &hidden {
            *blanked.pointer_mut(path).unwrap() = Value::Null;
        }
        prop_assert_eq!(part.document(), Some(blanked));
        for probe in ["", "/", "/a", "/b/0", "/0", "/a/b/c", "/zz", "/a~1b"].into_iter().chain(paths.iter().copied()) {
            let exists = match document.pointer(probe) {
                // A pointer may spell an array's index with zeros before it only here, not in the tree.
                Some(v) if v.as_array().is_some_and(|a| !a.is_empty()) => Presence::Container,
                Some(v) if v.as_object().is_some_and(|o| !o.is_empty()) => Presence::Container,
                Some(_) => Presence::Field(tree.open(probe).unwrap().index),
                None => Presence::Absent,
            };
            match part.presence(probe).unwrap() {
                Presence::Within(_) => prop_assert_eq!(exists, Presence::Absent),
                said => prop_assert_eq!(said, exists, "{}", probe),
            }
        }
        prop_assert_eq!(part.presence("a"), None);
        prop_assert_eq!(part.presence("/~"), None);
    }

    /// What a leaf shows is nothing without its salt, and no two leaves, of one document or of two, are related.
    #[test]
    fn seeds_hide(document in documents()) {
        let (one, two) = (seed(1), seed(2));
        let first = FieldTree::of_document(&document, &one).unwrap();
        let second = FieldTree::of_document(&document, &two).unwrap();
        prop_assert_ne!(first.commitment().root, second.commitment().root);
        prop_assert_eq!(first.commitment().log2, second.commitment().log2);
        // Every hash that any proof of either document shows, leaves included.
        let hashes = |tree: &FieldTree| -> BTreeSet<[u8; 32]> {
            tree.paths().flat_map(|p| tree.open(p).unwrap().proof).map(|h| h.0).collect()
        };
        prop_assert!(hashes(&first).is_disjoint(&hashes(&second)));
        let salts: BTreeSet<[u8; 32]> = first.paths().map(|p| *first.open(p).unwrap().salt.as_bytes()).collect();
        prop_assert_eq!(salts.len(), first.field_count() + 1);
    }
}
