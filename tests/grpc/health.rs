//! Health and reflection, as the tools of others ask for them.

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::client::{channel, code_of, within};
use super::process::Home;

fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_told_without_a_credential_until_the_service_stops() {
    let home = Home::with_ledger();
    let server = home.serve();
    let mut health = HealthClient::new(channel(&server).await);
    for service in ["", "foreseal.v1.IntentService", "foreseal.v1.LogService"] {
        let status = within(health.check(asked(service))).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let unknown = within(health.check(asked("foreseal.v1.Nothing"))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut unknown = within(health.watch(asked("foreseal.v1.Nothing"))).await.unwrap().into_inner();
    let first = within(unknown.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);

    let mut watched = within(health.watch(asked(""))).await.unwrap().into_inner();
    assert_eq!(within(watched.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.child.terminate();
    assert_eq!(within(watched.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let end = within(watched.message()).await.unwrap_err();
    assert_eq!((end.code(), code_of(&end)), (Code::Unavailable, "stopping".to_owned()));
    server.ended(std::time::Duration::from_secs(20)).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_tells_every_service_and_its_messages() {
    let home = Home::with_ledger();
    let server = home.serve();
    let mut reflection = ServerReflectionClient::new(channel(&server).await);
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let questions = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("foreseal.v1.LogService.Follow".to_owned())),
    ];
    let mut answers =
        within(reflection.server_reflection_info(tokio_stream::iter(questions))).await.unwrap().into_inner();
    let mut next = async || within(answers.message()).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = next().await else { panic!("no list") };
    let mut names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "foreseal.v1.IntentService",
            "foreseal.v1.LogService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection"
        ]
    );
    let MessageResponse::FileDescriptorResponse(files) = next().await else { panic!("no file") };
    assert!(!files.file_descriptor_proto.is_empty());
    server.stop();
}
