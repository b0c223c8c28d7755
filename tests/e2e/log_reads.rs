//! The log as C2SP tlog-tiles: paths, widths, headers, and who may read.

use std::collections::BTreeMap;

use foreseal::merkle::{leaf_hash, node_hash};
use foreseal::service::ErrorCode;
use serde_json::{Value, json};

use super::agents::{allowed, denied, entries_of_bundle, leaves};
use super::errors::assert_problem;
use super::http::{Client, Request};
use super::process::{Home, Server};

/// Submits so many denied intents, by eight at once.
fn grow(bot: &Client, by: u64) {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || (thread..by).step_by(8).for_each(|_| drop(bot.seal(&denied("bot")))));
        }
    });
}

#[test]
fn promise_6_every_width_up_to_the_published_size_is_served_for_ever_and_nothing_beyond() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let bot = server.agent("bot");
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for step in [0, 1, 6, 100, 144, 2, 1, 60] {
        grow(&bot, step);
        let size = bot.size();
        // The last tile and bundle, at a few of their widths, as a client of this size reads them.
        let (tile, width) = ((size - 1) / 256, (size - 1) % 256 + 1);
        for width in [1, width / 2, width - 1, width].into_iter().filter(|width| *width > 0) {
            for kind in ["0", "entries"] {
                let suffix = if width == 256 { String::new() } else { format!(".p/{width}") };
                let path = format!("/tile/{kind}/{tile:03}{suffix}");
                let reply = bot.get(path.as_str());
                assert_eq!(reply.status, 200, "{path} at size {size}: {}", reply.text());
                let before = seen.insert(path.clone(), reply.body.clone());
                assert!(before.is_none_or(|before| before == reply.body), "{path} changed");
            }
        }
        if width < 256 {
            for kind in ["0", "entries"] {
                for beyond in [format!(".p/{}", width + 1), ".p/255".to_owned(), String::new()] {
                    if beyond != format!(".p/{width}") {
                        assert_problem(
                            &bot.get(format!("/tile/{kind}/{tile:03}{beyond}")),
                            ErrorCode::NotInLog,
                        );
                    }
                }
            }
        }
        for (path, bytes) in &seen {
            assert_eq!(&bot.get(path.as_str()).body, bytes, "{path} at size {size}");
        }
    }
    let size = bot.size();
    assert!(size > 300, "{size}");
    all_widths(&bot, size);
    paths_that_are_none(&bot);
    // The same after a restart, which reads them from their files.
    server.kill();
    let server = home.serve_with(&[]);
    for (path, bytes) in &seen {
        assert_eq!(&server.operator().get(path.as_str()).body, bytes, "{path} after a restart");
    }
}

fn all_widths(bot: &Client, size: u64) {
    let leaves = leaves(bot);
    let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (tile, widths) in [(0, 256), (1, size - 256)] {
        for width in 1..=widths {
            let suffix = if width == 256 { String::new() } else { format!(".p/{width}") };
            let range = tile * 256..tile * 256 + usize::try_from(width).unwrap();
            let served = bot.get(format!("/tile/0/{tile:03}{suffix}"));
            let expected: Vec<u8> = hashes[range.clone()].iter().flat_map(|hash| hash.0).collect();
            assert_eq!(served.body, expected, "tile {tile} of width {width}");
            let served = bot.get(format!("/tile/entries/{tile:03}{suffix}"));
            assert_eq!(entries_of_bundle(&served.body), leaves[range], "bundle {tile} of width {width}");
        }
    }
    // One full tile below is one hash above.
    let mut row = hashes[..256].to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    assert_eq!(bot.get("/tile/1/000.p/1").body, row[0].0);
    assert_problem(&bot.get("/tile/1/000.p/2"), ErrorCode::NotInLog);
    assert_problem(&bot.get("/tile/1/000"), ErrorCode::NotInLog);
    assert_problem(&bot.get("/tile/2/000.p/1"), ErrorCode::NotInLog);
}

fn paths_that_are_none(bot: &Client) {
    for path in [
        "0/0",
        "0/00",
        "0/0000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p",
        "0/x001",
        "0/x000/000",
        "00/000",
        "64/000",
        "-1/000",
        "entries/0",
        "Entries/000",
        "0",
        "0/",
        "0/000/",
        "0/000.p/1/",
        "1/000.p/+1",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
        "0/000%2Ep/1/..",
        "0/%30%30%30%30",
    ] {
        let reply = bot.get(format!("/tile/{path}"));
        assert_eq!(reply.status, 404, "/tile/{path}: {}", reply.text());
        assert_problem(&reply, ErrorCode::NotInLog);
    }
}

#[test]
fn the_logs_own_reads_have_the_types_lifetimes_and_encodings_that_caches_need() {
    let home = Home::with_ledger();
    for public in [false, true] {
        let server = home.serve_with(if public { &["--public-log"] } else { &[] });
        let scope = if public { "public" } else { "private" };
        let reader = server.operator();
        let entry_width = reader.size();
        let cases = [
            ("/checkpoint".to_owned(), "text/plain; charset=utf-8", "max-age=1"),
            (
                format!("/tile/0/000.p/{entry_width}"),
                "application/octet-stream",
                "max-age=31536000, immutable",
            ),
            (
                format!("/tile/entries/000.p/{entry_width}"),
                "application/octet-stream",
                "max-age=31536000, immutable",
            ),
        ];
        for (path, media_type, lifetime) in &cases {
            let plain = reader.get(path.as_str());
            assert_eq!(plain.header("content-type"), Some(*media_type), "{path}");
            assert_eq!(
                plain.header("cache-control"),
                Some(format!("{scope}, {lifetime}").as_str()),
                "{path}"
            );
            assert_eq!(plain.header("content-encoding"), None, "{path}");
            let identity = reader.send(&Request::get(path.as_str()).header("Accept-Encoding", "identity"));
            assert_eq!((identity.header("content-encoding"), &identity.body), (None, &plain.body), "{path}");
            let refused = reader.send(&Request::get(path.as_str()).header("Accept-Encoding", "gzip;q=0"));
            assert_eq!((refused.header("content-encoding"), &refused.body), (None, &plain.body), "{path}");
            let zipped = reader.send(&Request::get(path.as_str()).header("Accept-Encoding", "gzip"));
            if plain.body.len() >= 64 {
                assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{path}");
                assert_eq!(zipped.header("vary"), Some("accept-encoding"), "{path}");
                assert_eq!(zipped.body.first_chunk(), Some(&[0x1f, 0x8b]), "{path}");
                assert_eq!(unzipped(&server, &reader, path), plain.body, "{path}");
            }
        }
        // Errors are nobody's to keep, and a problem is a problem in whatever encoding.
        let absent = reader.get("/tile/0/999");
        assert_eq!((absent.status, absent.header("cache-control")), (404, Some("no-store")));
        server.stop();
    }
}

/// The body as a client that asks for gzip gets it.
fn unzipped(server: &Server, reader: &Client, path: &str) -> Vec<u8> {
    let token = format!("Bearer {}", reader.token.as_deref().unwrap());
    let request = ureq::get(format!("{}{path}", server.url())).header("Authorization", token);
    request.call().unwrap().body_mut().read_to_vec().unwrap()
}

#[test]
fn a_public_log_opens_its_own_reads_and_nothing_else() {
    let home = Home::with_ledger();
    let server = home.serve_with(&["--public-log"]);
    let bot = server.agent("bot");
    let answer = bot.seal(&denied("bot"));
    let stranger = server.stranger();
    let size = stranger.size();
    for path in [
        "/checkpoint".to_owned(),
        format!("/tile/0/000.p/{size}"),
        format!("/tile/entries/000.p/{size}"),
        "/v1/proofs/inclusion?index=0".to_owned(),
        "/v1/proofs/consistency?from=1".to_owned(),
    ] {
        assert_eq!(stranger.get(path.as_str()).status, 200, "{path}");
        // A wrong credential does not close what is open.
        assert_eq!(server.client("wrong").get(path.as_str()).status, 200, "{path}");
    }
    let id = answer["id"].as_str().unwrap();
    for request in [
        Request::post("/v1/intents", allowed("bot").to_string()),
        Request::get(format!("/v1/intents/{id}")),
        Request::get(format!("/v1/intents/{id}/receipt")),
        Request::get(format!("/v1/intents/{id}/payload")),
        Request::get("/v1/agents"),
        Request::post("/v1/agents", "{\"name\":\"x\"}"),
        Request::post("/v1/agents/bot/rotate", "{}"),
        Request::post("/v1/agents/bot/revoke", "{}"),
        Request::get("/v1/policies"),
        Request::post("/v1/policies", "{\"files\":{}}"),
    ] {
        assert_problem(&stranger.send(&request), ErrorCode::Unauthenticated);
    }
    assert_eq!(stranger.size(), size);
    // The whole log can then be audited without a token.
    let mut audit = super::process::foreseal();
    super::process::run(audit.args(["audit", &server.url(), "--trust"]).arg(home.trust())).expect(0);
}

#[test]
fn proofs_are_those_of_rfc_9162_for_every_pair_of_sizes() {
    use foreseal::merkle::{Hash, empty_root, verify_consistency, verify_inclusion};
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let bot = server.agent("bot");
    grow(&bot, 9);
    let leaves: Vec<_> = leaves(&bot).iter().map(|leaf| leaf_hash(leaf)).collect();
    let root = |size: usize| root_of(&leaves[..size]).unwrap_or_else(empty_root);
    let hashes = |proof: &Value| serde_json::from_value::<Vec<Hash>>(proof.clone()).unwrap();
    for size in 1..=leaves.len() {
        for (index, leaf) in leaves.iter().enumerate().take(size) {
            let path = format!("/v1/proofs/inclusion?index={index}&size={size}");
            let proof = bot.get(path.as_str()).json();
            assert_eq!((&proof["index"], &proof["size"]), (&json!(index), &json!(size)));
            let path = hashes(&proof["path"]);
            verify_inclusion(leaf, index as u64, size as u64, &path, &root(size)).unwrap();
        }
        for from in 0..=size {
            let proof = bot.get(format!("/v1/proofs/consistency?from={from}&to={size}"));
            assert_eq!(proof.status, 200, "{from} to {size}: {}", proof.text());
            let proof = hashes(&proof.json()["proof"]);
            verify_consistency(from as u64, &root(from), size as u64, &root(size), &proof).unwrap();
        }
    }
}

/// RFC 9162 section 2.1.1, as it is written there.
fn root_of(leaves: &[foreseal::merkle::Hash]) -> Option<foreseal::merkle::Hash> {
    match leaves {
        [] => None,
        [leaf] => Some(*leaf),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Some(node_hash(&root_of(left)?, &root_of(right)?))
        }
    }
}
