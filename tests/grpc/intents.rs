//! One service behind both interfaces: the same bytes, the same decisions, the same payloads.

use foreseal::api::grpc::v1::{
    GetConsistencyProofRequest, GetInclusionProofRequest, GetPayloadRequest, GetReceiptRequest, Outcome,
};
use foreseal::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use serde_json::Value;

use super::agents::{allowed, denied, entry_of, held};
use super::client::{Grpc, body, within};
use super::process::Home;

fn hash(bytes: &[u8]) -> Hash {
    Hash(bytes.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_gets_the_same_bytes_over_both() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    for (intent, outcome) in
        [(allowed("bot"), Outcome::Allow), (held("bot"), Outcome::Hold), (denied("bot"), Outcome::Deny)]
    {
        let id = intent["id"].as_str().unwrap().to_owned();
        let sealed = grpc.submit(&body(&intent)).await.unwrap();
        let again = bot.post("/v1/intents", body(&intent));
        assert_eq!((again.status, &again.body), (201, &sealed.answer), "submitted over gRPC, then over HTTP");
        assert_eq!(bot.get(format!("/v1/intents/{id}")).body, sealed.answer);
        assert_eq!(grpc.get(&id).await.unwrap(), sealed);
        assert_typed_fields_are_the_answers(&sealed, outcome);

        // The other way round, with an id of its own.
        let mut intent = intent;
        intent["id"] = super::agents::new_id().into();
        let first = bot.post("/v1/intents", body(&intent));
        assert_eq!(grpc.submit(&body(&intent)).await.unwrap().answer, first.body);
    }
    server.stop();
}

fn assert_typed_fields_are_the_answers(sealed: &foreseal::api::grpc::v1::Sealed, outcome: Outcome) {
    let answer: Value = serde_json::from_slice(&sealed.answer).unwrap();
    let decision = sealed.decision.as_ref().unwrap();
    assert_eq!(decision.outcome(), outcome);
    assert_eq!(answer["id"], sealed.id);
    assert_eq!(answer["index"], sealed.index);
    assert_eq!(answer["decision"]["expires"].as_str(), decision.expires.as_deref());
    assert_eq!(decision.expires.is_some(), outcome == Outcome::Hold);
    let name = |outcome: Outcome| outcome.as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
    assert_eq!(answer["decision"]["outcome"], name(outcome));
    let calls = answer["decision"]["calls"].as_array().unwrap();
    assert_eq!(calls.len(), decision.calls.len());
    for (said, typed) in calls.iter().zip(&decision.calls) {
        assert_eq!(said["id"], typed.id);
        assert_eq!(said["outcome"], name(typed.outcome()));
        let reasons = said["reasons"].as_array().unwrap();
        assert!(!reasons.is_empty() && reasons.len() == typed.reasons.len());
        for (said, typed) in reasons.iter().zip(&typed.reasons) {
            assert_eq!(
                (&said["rule"], &said["message"]),
                (&typed.rule.clone().into(), &typed.message.clone().into())
            );
        }
        let conditions = said["conditions"].as_array().unwrap();
        assert_eq!(conditions.len(), typed.conditions.len());
        assert_eq!(conditions.is_empty(), outcome != Outcome::Hold);
        for (said, typed) in conditions.iter().zip(&typed.conditions) {
            assert_eq!(said["rule"], typed.rule);
            assert_eq!(said["approver"].as_str(), typed.approver.as_deref());
            assert_eq!(said["expires_s"].as_u64(), typed.expires_s);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_payloads_and_proofs_are_those_of_http() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let operator = server.operator();
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let mut grpc_operator = Grpc::connect(&server, operator.token.as_deref()).await;
    let sealed = grpc.submit(&body(&allowed("bot"))).await.unwrap();
    for _ in 0..5 {
        grpc.submit(&body(&allowed("bot"))).await.unwrap();
    }
    let id = sealed.id.clone();

    let receipt = GetReceiptRequest { id: id.clone(), agent: None };
    let receipt = within(grpc.intents.get_receipt(receipt)).await.unwrap().into_inner().receipt;
    assert_eq!(receipt, bot.get(format!("/v1/intents/{id}/receipt")).text());

    for (client, http, is_operator) in [(&mut grpc, &bot, false), (&mut grpc_operator, &operator, true)] {
        let asked = GetPayloadRequest { id: id.clone(), agent: is_operator.then(|| "bot".to_owned()) };
        let payload = within(client.intents.get_payload(asked)).await.unwrap().into_inner();
        let said = http.get(format!("/v1/intents/{id}/payload")).json();
        assert_eq!(said["declared"].as_str().unwrap().as_bytes(), payload.declared);
        assert_eq!(said["declared_seed"], payload.declared_seed);
        assert_eq!((payload.id.as_str(), payload.index), (id.as_str(), sealed.index));
        assert_eq!(payload.signature, None);
        // The evaluation is for operators.
        let evaluation = payload.evaluation.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
        assert_eq!(evaluation.is_some(), is_operator);
        assert_eq!(said.get("evaluation"), evaluation.as_ref());
        assert_eq!(said["evaluation_seed"].as_str(), payload.evaluation_seed.as_deref());
    }

    let checkpoint = grpc.checkpoint().await;
    assert_eq!(checkpoint.note, bot.get("/checkpoint").text());
    let asked = GetInclusionProofRequest { index: sealed.index, size: None };
    let proof = within(grpc.log.get_inclusion_proof(asked)).await.unwrap().into_inner();
    let path: Vec<Hash> = proof.path.iter().map(|bytes| hash(bytes)).collect();
    let leaf = leaf_hash(&entry_of(&serde_json::from_slice(&sealed.answer).unwrap()));
    assert_eq!((proof.index, proof.size), (sealed.index, checkpoint.size));
    verify_inclusion(&leaf, proof.index, proof.size, &path, &hash(&checkpoint.root)).unwrap();

    grpc.submit(&body(&allowed("bot"))).await.unwrap();
    let newer = grpc.checkpoint().await;
    let asked = GetConsistencyProofRequest { from: checkpoint.size, to: Some(newer.size) };
    let proof = within(grpc.log.get_consistency_proof(asked)).await.unwrap().into_inner();
    let path: Vec<Hash> = proof.proof.iter().map(|bytes| hash(bytes)).collect();
    assert_eq!((proof.from, proof.to), (checkpoint.size, newer.size));
    verify_consistency(proof.from, &hash(&checkpoint.root), proof.to, &hash(&newer.root), &path).unwrap();
    server.stop();
}
