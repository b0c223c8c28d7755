//! A client that sends what it is told to, HTTP/2 frame by frame; it keeps no deadline and mends nothing.

use std::net::SocketAddr;

use tonic::Status;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request};

use super::client::within;

/// A call that ended.
pub(crate) struct Ended {
    /// All messages, framed as they came.
    pub(crate) messages: Vec<u8>,
    pub(crate) status: Status,
}

/// A message behind its flag and length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

/// Calls `service/Method` with this token and these headers. Without a body, one is announced and never comes.
pub(crate) async fn call(
    address: SocketAddr,
    token: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Ended {
    within(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut send = send.ready().await.unwrap();
        let mut request = Request::post(format!("http://{address}/{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (response, mut sending) = send.send_request(request.body(()).unwrap(), false).unwrap();
        if let Some(body) = body {
            // A service that refuses what it sees first need not take the rest.
            let _ = sending.send_data(Bytes::from(body), true);
        }
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let (head, mut body) = response.into_parts();
        let mut messages = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            messages.extend(data);
        }
        let trailers = body.trailers().await.unwrap();
        connection.abort();
        let status = |headers: &HeaderMap| Status::from_header_map(headers);
        let status = trailers.as_ref().and_then(status).or_else(|| status(&head.headers));
        Ended { messages, status: status.unwrap_or_else(|| panic!("no status: {:?}", head.headers)) }
    })
    .await
}
