//! Connections: how many, for how long, and how they end.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use foreseal::api::http::{ListenerLimits, serve_routes};

use super::serving::{Serving, answer, is_silent, rest};

const GET: &[u8] = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n";
/// Longer than a tick, shorter than any patience below.
const MOMENT: Duration = Duration::from_millis(150);
/// What a loaded machine may add to a limit.
const SLACK: Duration = Duration::from_secs(10);

/// Long where a test does not wait for it.
fn limits() -> ListenerLimits {
    let long = Duration::from_secs(300);
    ListenerLimits {
        connections: 8,
        handshake: long,
        head: Duration::from_secs(100),
        idle: long,
        stalled: long,
        drain: long,
    }
}

fn serve(limits: ListenerLimits) -> Serving {
    let routes = Router::new()
        .route("/quick", get(async || "quick"))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_secs(2)).await;
                "slow"
            }),
        )
        .route("/hanging", get(async || std::future::pending::<&str>().await))
        .route("/large", get(async || Body::from(vec![b'x'; 64 << 20])))
        .route("/refused", post(async || (axum::http::StatusCode::UNAUTHORIZED, "refused")));
    Serving::start(limits, move |listener, stop| serve_routes(listener, routes, stop))
}

#[test]
fn beyond_the_limit_the_next_connection_waits_until_one_ends() {
    let serving = serve(ListenerLimits { connections: 2, ..limits() });
    let mut open: Vec<_> = (0..2).map(|_| serving.send(GET)).collect();
    for stream in &mut open {
        assert!(answer(stream).ends_with("quick"));
    }
    let mut third = serving.send(GET);
    assert!(is_silent(&third, Duration::from_secs(1)), "a third of two connections is served");
    // Those that have a place go on with it.
    open[0].write_all(GET).unwrap();
    assert!(answer(&mut open[0]).ends_with("quick"));
    open.pop();
    assert!(answer(&mut third).ends_with("quick"));
}

#[test]
fn a_connection_without_requests_is_closed_and_one_with_a_request_is_not() {
    let idle = Duration::from_millis(800);
    let serving = serve(ListenerLimits { head: Duration::from_secs(1), idle, ..limits() });
    let mut slow = serving.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut quick = serving.send(GET);
    answer(&mut quick);
    let (nothing, took) = rest(&mut quick);
    assert!(nothing.is_empty() && took > idle - MOMENT && took < idle + SLACK, "{took:?}");
    assert!(answer(&mut slow).ends_with("slow"), "a request took longer than a pause may");
    // HTTP/2: its preface and empty settings; then it answers nothing and asks nothing.
    let mut h2 = serving.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let (frames, took) = rest(&mut h2);
    assert!(took < idle + SLACK, "{took:?}");
    let mut kinds = Vec::new();
    let mut frames = &frames[..];
    while let [a, b, c, kind, ..] = *frames {
        kinds.push(kind);
        frames = &frames[9 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))..];
    }
    assert!(kinds.contains(&7), "it is told to go away before it is closed: {kinds:?}");
}

#[test]
fn the_head_of_a_later_request_must_come_in_time_too() {
    let head = Duration::from_secs(1);
    let serving = serve(ListenerLimits { head, ..limits() });
    let mut stream = serving.send(GET);
    answer(&mut stream);
    // An open pause may be long; a head that was begun may not.
    assert!(is_silent(&stream, 2 * head));
    stream.write_all(b"GET /quick HTTP/1.1\r\n").unwrap();
    let (nothing, took) = rest(&mut stream);
    assert!(nothing.is_empty() && took > head - 2 * MOMENT && took < head + SLACK, "{took:?}");
}

#[test]
fn an_answer_that_nobody_takes_is_given_up_and_a_slow_reader_gets_all_of_it() {
    let stalled = Duration::from_secs(1);
    let serving = serve(ListenerLimits { head: Duration::from_secs(1), stalled, connections: 2, ..limits() });
    let large = b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut slow = serving.send(large);
    let mut never = serving.send(large);
    let mut next = serving.send(GET);
    // It gets the place of the one that reads nothing.
    let mut taken = 0;
    let mut piece = vec![0; 1 << 20];
    let until = std::time::Instant::now() + Duration::from_secs(4);
    while std::time::Instant::now() < until {
        taken += slow.read(&mut piece).unwrap();
        std::thread::sleep(MOMENT);
    }
    assert!(answer(&mut next).ends_with("quick"));
    let (remainder, _) = rest(&mut slow);
    let taken = taken + remainder.len();
    assert!(taken > 64 << 20, "{taken}");
    let (cut, _) = rest(&mut never);
    assert!(cut.len() < 64 << 20, "{}", cut.len());
}

#[test]
fn who_is_refused_while_still_sending_can_read_why() {
    let serving = serve(limits());
    for length in [100_000, 1_000_000] {
        let mut stream = serving.send(
            format!("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        );
        std::thread::sleep(MOMENT);
        // As clients do that send all before they read anything: no reset may take the answer away.
        stream.write_all(&vec![b'x'; length]).unwrap();
        let (said, _) = rest(&mut stream);
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 401") && said.ends_with("refused"), "{length}: {said}");
    }
}

#[test]
fn a_stop_answers_what_was_asked_closes_what_is_idle_and_cuts_what_hangs() {
    let drain = Duration::from_secs(4);
    let mut serving = serve(ListenerLimits { drain, ..limits() });
    let mut idle = serving.send(GET);
    answer(&mut idle);
    let mut fresh = serving.send(b"");
    let mut slow = serving.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(MOMENT);
    let waiting = std::thread::spawn(move || {
        let said = answer(&mut slow);
        (said, rest(&mut slow).0)
    });
    let took = serving.stop();
    assert!(took > Duration::from_secs(1) && took < drain, "{took:?}");
    let (said, more) = waiting.join().unwrap();
    assert!(said.ends_with("slow") && more.is_empty(), "{said}");
    assert!(rest(&mut idle).0.is_empty() && rest(&mut fresh).0.is_empty());
    assert!(std::net::TcpStream::connect(serving.address).is_err(), "it still takes connections");

    let mut serving = serve(ListenerLimits { drain: Duration::from_secs(1), ..limits() });
    let mut hanging = serving.send(b"GET /hanging HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(MOMENT);
    let took = serving.stop();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(1) + SLACK, "{took:?}");
    assert!(rest(&mut hanging).0.is_empty());
}
