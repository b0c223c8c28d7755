//! The hand-out of bundles, described.

use super::answer::{Answer, Content, EXPORT_INDEX};
use super::examples as example;
use super::operation::{Body, Group, Method, Needs, Operation, Work};
use crate::record::limits;
use crate::service::ErrorCode as E;

pub(in crate::api::http) static EXPORT: Operation = Operation {
    method: Method::Post,
    path: "/v1/exports",
    id: "exportBundle",
    group: Group::Log,
    summary: "Hand out a range of the log as one signed file",
    description: "Sealed as an `export` entry before the first byte leaves. The bundle is streamed; one that ends before its Content-Length is to be thrown away. A wide range takes longer than other requests may. `foreseal verify bundle` checks it offline.",
    needs: Needs::Operator,
    work: Work::Seals,
    parameters: &[],
    body: Some(Body {
        schema: "NewExport",
        bytes_max: limits::ADMIN_BODY_MAX_BYTES,
        example: example::new_export,
    }),
    answers: &[Answer {
        status: 201,
        description: "The bundle: a BagIt bag in a zip file (docs/format.md).",
        content: Content::Zip,
        headers: &[EXPORT_INDEX],
        links: &[],
    }],
    errors: &[E::NotFound, E::NotInLog, E::AmbiguousId, E::ExportTooLarge, E::SealedUnanswered],
};
