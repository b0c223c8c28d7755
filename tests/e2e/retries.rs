//! The same id with the same body is the same intent: one leaf, and the same bytes, however often and whenever.

use serde_json::json;

use super::agents::{allowed, denied, held, leaves};
use super::http::Request;
use super::process::Home;

const AT_ONCE: usize = 20;

#[test]
fn twenty_at_once_with_one_id_are_one_leaf_and_one_answer() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    for intent in [allowed("bot"), held("bot"), denied("bot")] {
        let size = bot.size();
        let barrier = std::sync::Barrier::new(AT_ONCE);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let submit = || {
                barrier.wait();
                bot.submit(&intent)
            };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(submit)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for answer in &answers {
            assert_eq!(answer.status, 201, "{}", answer.text());
            assert_eq!(answer.body, answers[0].body);
        }
        assert_eq!(bot.size(), size + 1);
    }
}

#[test]
fn a_race_of_two_bodies_for_one_id_has_one_winner() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    for _ in 0..5 {
        let size = bot.size();
        let one = allowed("bot");
        let mut two = one.clone();
        two["goal"] = json!("another");
        let barrier = std::sync::Barrier::new(8);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let (barrier, bot) = (&barrier, &bot);
            let submit = |intent| {
                scope.spawn(move || {
                    barrier.wait();
                    bot.submit(intent)
                })
            };
            let threads: Vec<_> = (0..8).map(|n| submit(if n % 2 == 0 { &one } else { &two })).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(bot.size(), size + 1);
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!((won.len(), lost.len()), (4, 4));
        assert!(won.iter().all(|answer| answer.body == won[0].body));
        assert!(lost.iter().all(|answer| answer.code() == "id_reused"));
    }
}

#[test]
fn an_answer_is_the_same_bytes_after_others_after_the_index_is_written_and_after_a_restart() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (bot, twin) = (server.agent("bot"), server.agent("twin"));
    let intents = [allowed("bot"), held("bot"), denied("bot")];
    let answers = intents.each_ref().map(|intent| bot.submit(intent).body);
    // Another agent's use of the id is another intent.
    let mut same_id = allowed("twin");
    same_id["id"] = intents[0]["id"].clone();
    assert_ne!(twin.seal(&same_id)["index"], bot.seal(&intents[0])["index"]);
    // With the seed that the service drew, which the client now knows, it is still the same.
    let seed = bot.seal(&intents[0])["opening"]["declared"]["seed"].as_str().unwrap().to_owned();
    let seeded = Request::post("/v1/intents", intents[0].to_string()).header("Foreseal-Seed", seed);
    assert_eq!(bot.send(&seeded).body, answers[0]);
    for _ in 0..30 {
        bot.seal(&denied("bot"));
    }
    let same = |bot: &super::http::Client, when: &str| {
        for (intent, answer) in intents.iter().zip(&answers) {
            let again = bot.submit(intent);
            assert_eq!(
                (again.status, again.text()),
                (201, String::from_utf8_lossy(answer).into_owned()),
                "{when}"
            );
        }
    };
    same(&bot, "later");
    // The index's tail in memory is written once a second.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    same(&bot, "from the index");
    let size = bot.size();
    let token = bot.token.clone().unwrap();
    server.stop();
    let server = home.serve();
    same(&server.client(&token), "after a restart");
    server.kill();
    // The index is a cache.
    std::fs::remove_file(home.data().join("index.redb")).unwrap();
    let server = home.serve();
    same(&server.client(&token), "without the index");
    assert_eq!(server.operator().size(), size);
    assert_eq!(leaves(&server.operator()).len() as u64, size);
}
