//! `/v1/exports`: bundles, streamed.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_stream::wrappers::ReceiverStream;

use super::credentials::{caller, typed_body};
use super::{App, Problem};
use crate::service::ExportRequest;

/// Pieces of 64 KiB that wait for a slow reader.
const PIECES_AHEAD: usize = 4;

/// `POST /v1/exports`
pub(super) async fn export(State(service): App, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let made = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let asked: ExportRequest = typed_body(&service, &headers, body).await?;
        service.export(&caller, asked).await
    };
    let bundle = made.await.map_err(|error| Problem::counted(&service, error))?;
    let head = [
        (header::CONTENT_TYPE.as_str(), "application/zip".to_owned()),
        (header::CONTENT_LENGTH.as_str(), bundle.bytes.to_string()),
        (
            header::CONTENT_DISPOSITION.as_str(),
            format!("attachment; filename=\"foreseal-{}.zip\"", bundle.id),
        ),
        (header::CACHE_CONTROL.as_str(), "no-store".to_owned()),
        ("foreseal-export", bundle.index.to_string()),
    ];
    let (pieces, received) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let sent = bundle.send(&mut |piece| pieces.blocking_send(Ok(piece)).is_ok());
        if let Err(error) = sent {
            tracing::error!(code = error.code.as_str(), detail = error.detail, "a bundle was not sent whole");
            // Ends the response early: it is shorter than it said.
            let _ = pieces.blocking_send(Err(std::io::Error::other(error)));
        }
    });
    Ok((StatusCode::CREATED, head, Body::from_stream(ReceiverStream::new(received))).into_response())
}
