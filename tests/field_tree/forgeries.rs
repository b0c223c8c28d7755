//! A committer who does not follow the format is found out as soon as the openings allow it.

use foreseal::merkle::Hash;
use foreseal::record::canonical::to_jcs;
use foreseal::record::field_tree::{
    Commitment, Disclosure, DisclosureError, FieldOpening, OpeningError, Salt, Shape, ShapeError,
};
use serde_json::{Value, json};

use super::{sha, subtree};

/// A tree made by hand: any leaves, any shape.
fn forged(shape: &Value, fields: &[(&str, Value)]) -> (Commitment, Vec<FieldOpening>) {
    let secret = [9u8; 32];
    let salts: Vec<[u8; 32]> =
        (0..64_u32).map(|i| sha(&[b"foreseal.salt.v1\0", &secret, &i.to_be_bytes()])).collect();
    let all: Vec<(&str, &Value)> =
        std::iter::once(("", shape)).chain(fields.iter().map(|(p, v)| (*p, v))).collect();
    let width = all.len().next_power_of_two();
    let mut leaves: Vec<[u8; 32]> = all
        .iter()
        .zip(&salts)
        .map(|((path, value), salt)| {
            let length = (path.len() as u32).to_be_bytes();
            sha(&[b"\0foreseal.field.v1\0", salt, &length, path.as_bytes(), &to_jcs(value).unwrap()])
        })
        .collect();
    for salt in &salts[all.len()..width] {
        leaves.push(sha(&[b"\0foreseal.pad.v1\0", salt]));
    }
    let log2 = width.trailing_zeros() as u8;
    let proof = |index: usize| {
        (0..log2)
            .map(|height| {
                let start = ((index >> height) ^ 1) << height;
                Hash(subtree(&leaves[start..start + (1 << height)]))
            })
            .collect()
    };
    let openings = all
        .iter()
        .enumerate()
        .map(|(i, (path, value))| FieldOpening {
            path: (*path).to_owned(),
            value: (*value).clone(),
            salt: Salt::from_bytes(salts[i]),
            index: i as u32,
            proof: proof(i),
        })
        .collect();
    (Commitment { root: Hash(subtree(&leaves)), log2 }, openings)
}

#[test]
fn a_shape_that_no_document_has_is_refused() {
    let shape = |shape: Value, count: usize| {
        let fields: Vec<(&str, Value)> = vec![("/x", json!(1)); count];
        let (commitment, openings) = forged(&shape, &fields);
        assert_eq!(openings[0].verify(&commitment), Ok(()), "the forgery is well made");
        Shape::from_opening(&openings[0], &commitment).map(|_| ())
    };
    assert_eq!(shape(json!(["/a", "/b"]), 2), Ok(()));
    assert_eq!(shape(json!(["/a/0", "/a/1", {"objects": ["/a"]}]), 2), Ok(()));
    for bad in [
        json!("/a"),
        json!({}),
        json!([1]),
        json!(["/a", null]),
        json!(["/a", []]),
        json!([{}, "/a"]),
        json!(["/a/0", {"objects": []}]),
        json!(["/a/0", {"objects": "/a"}]),
        json!(["/a/0", {"objects": [1]}]),
        json!(["/a/0", {"objects": ["/a"], "x": 1}]),
        json!(["/a/0", {"object": ["/a"]}]),
    ] {
        assert_eq!(shape(bad.clone(), 1), Err(ShapeError::Form), "{bad}");
    }
    for bad in [json!(["a"]), json!([""]), json!(["/~"]), json!(["/x".repeat(65)])] {
        assert_eq!(shape(bad.clone(), 1), Err(ShapeError::Path), "{bad}");
    }
    for bad in [json!(["/b", "/a"]), json!(["/a", "/a"]), json!(["/a", "/a/b"]), json!(["/a", "/a!", "/a/b"])]
    {
        assert_eq!(shape(bad.clone(), 2), Err(ShapeError::Order), "{bad}");
    }
    for bad in [
        json!(["/a/0", "/a/1", {"objects": ["/b"]}]),
        json!(["/a/0", "/a/2", {"objects": ["/a"]}]),
        json!(["/a/0", "/b/0", {"objects": ["/b", "/a"]}]),
        json!(["/0", "/1", {"objects": [""]}]),
        json!(["/a/0", "/a/1", {"objects": ["/a", "/a"]}]),
        json!(["/a/0", "/a/1", {"objects": ["/a/0"]}]),
    ] {
        assert_eq!(shape(bad.clone(), 2), Err(ShapeError::Objects), "{bad}");
    }
    assert_eq!(shape(json!([]), 1), Err(ShapeError::Count));
    assert_eq!(shape(json!(["/a", "/b"]), 1), Err(ShapeError::Count));
    assert_eq!(shape(json!(["/a", "/b"]), 4), Err(ShapeError::Count));
}

#[test]
fn two_values_for_one_place_are_found_out() {
    let honest_shape = json!(["/a", "/b"]);
    // The same path at two indexes; the second hides behind the shape.
    let (commitment, openings) =
        forged(&honest_shape, &[("/a", json!(1)), ("/b", json!(2)), ("/a", json!(3))]);
    assert!(openings.iter().all(|o| o.verify(&commitment) == Ok(())));
    let assemble = |picked: &[usize]| {
        let picked: Vec<FieldOpening> = picked.iter().map(|i| openings[*i].clone()).collect();
        Disclosure::assemble(&commitment, &picked)
    };
    assert!(assemble(&[0, 1, 2]).unwrap().is_complete());
    assert_eq!(assemble(&[0, 3]), Err(DisclosureError::Contradiction { path: "/a".into() }));
    assert_eq!(assemble(&[1, 3]), Err(DisclosureError::Twice { path: "/a".into() }));
    assert_eq!(assemble(&[2, 3]), Err(DisclosureError::Contradiction { path: "/b".into() }));
    assert_eq!(assemble(&[1, 1]), Err(DisclosureError::Twice { path: "/a".into() }));
    assert_eq!(assemble(&[0, 0]), Err(DisclosureError::Twice { path: String::new() }));
    // Without the shape a lone second value is not found out, and the disclosure says so by having no shape.
    assert!(assemble(&[3]).unwrap().shape().is_none());
    // A field within a field.
    let (commitment, openings) = forged(&honest_shape, &[("/a", json!({"x": 1})), ("/a/x", json!(2))]);
    assert_eq!(
        Disclosure::assemble(&commitment, &openings[1..]),
        Err(DisclosureError::Contradiction { path: "/a/x".into() })
    );
    // The shape's place belongs to the shape, and padding is no field.
    let (commitment, openings) = forged(&json!(["/a", "/b"]), &[("", json!(1)), ("/b", json!(2))]);
    assert_eq!(openings[1].verify(&commitment), Err(OpeningError::Path));
    let moved = FieldOpening { path: "/a".into(), ..openings[0].clone() };
    assert_eq!(moved.verify(&commitment), Err(OpeningError::Path));
    for log2 in [0, 14, 63, 64, 255] {
        let commitment = Commitment { log2, ..commitment };
        assert_eq!(openings[0].verify(&commitment), Err(OpeningError::Commitment));
    }
}
