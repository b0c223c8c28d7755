//! Promise: the wire surface of gRPC changes on purpose only. `schemas/grpc.txt` lists every name, number and type of
//! `proto/`; `FORESEAL_BLESS=1 cargo test --test grpc_surface` writes it anew.
//!
//! Also: the .proto files follow the usual style (what `buf lint` calls STANDARD and COMMENTS), checked here because
//! there may be no such tool.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![cfg(feature = "server")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use foreseal::api::grpc::v1::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn files() -> Vec<FileDescriptorProto> {
    let mut files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    files.sort_by(|a, b| a.name().cmp(b.name()));
    files
}

fn type_of(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        plain => plain.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

/// One line for everything whose change an existing client would notice.
fn surface(files: &[FileDescriptorProto]) -> String {
    let mut text = String::new();
    for file in files {
        let package = file.package();
        for service in &file.service {
            for method in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                writeln!(
                    text,
                    "rpc /{package}.{}/{} ({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type().trim_start_matches('.'),
                    stream(method.server_streaming()),
                    method.output_type().trim_start_matches('.'),
                )
                .unwrap();
            }
        }
        for message in &file.message_type {
            assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "not listed here");
            writeln!(text, "message {package}.{}", message.name()).unwrap();
            for field in &message.field {
                let presence = match field.label() {
                    Label::Repeated => "repeated ",
                    _ if field.proto3_optional() => "optional ",
                    _ => "",
                };
                let oneof = match field.oneof_index {
                    Some(index) if !field.proto3_optional() => {
                        format!(" in {}", message.oneof_decl[usize::try_from(index).unwrap()].name())
                    }
                    _ => String::new(),
                };
                let (number, name) = (field.number(), field.name());
                writeln!(text, "    {number} {name}: {presence}{}{oneof}", type_of(field)).unwrap();
            }
        }
        for set in &file.enum_type {
            writeln!(text, "enum {package}.{}", set.name()).unwrap();
            for value in &set.value {
                writeln!(text, "    {} {}", value.number(), value.name()).unwrap();
            }
        }
    }
    text
}

#[test]
fn the_wire_surface_is_the_one_that_is_committed() {
    let made = surface(&files());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/grpc.txt");
    if std::fs::read_to_string(&path).unwrap_or_default() == made {
        return;
    }
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    panic!(
        "schemas/grpc.txt is not what proto/ says: a change that breaks clients, or one to bless:\n{made}"
    );
}

/// A listing that does not see a change would hold nothing.
#[test]
fn a_renumbered_retyped_or_renamed_field_changes_the_listing() {
    let (whole, committed) = (files(), surface(&files()));
    let mut seen = 0;
    for (f, file) in whole.iter().enumerate() {
        for (m, message) in file.message_type.iter().enumerate() {
            for i in 0..message.field.len() {
                let changes: [fn(&mut FieldDescriptorProto); 4] = [
                    |field| field.number = Some(field.number() + 100),
                    |field| field.name = Some(format!("{}x", field.name())),
                    |field| field.set_type(Type::Fixed32),
                    |field| {
                        let repeated = field.label() == Label::Repeated;
                        field.set_label(if repeated { Label::Optional } else { Label::Repeated });
                    },
                ];
                for change in changes {
                    let mut changed = whole.clone();
                    change(&mut changed[f].message_type[m].field[i]);
                    assert_ne!(surface(&changed), committed, "{}: {:?}", message.name(), message.field[i]);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

/// Paths of everything that has a comment before it.
fn commented(file: &FileDescriptorProto) -> BTreeSet<Vec<i32>> {
    let locations = &file.source_code_info.as_ref().unwrap().location;
    let said = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().len() > 2);
    locations.iter().filter(|l| said(&l.leading_comments)).map(|l| l.path.clone()).collect()
}

#[test]
fn everything_has_a_comment() {
    // The numbers are the fields of descriptor.proto: 4 messages, 5 enums, 6 services, 2 fields, values, methods.
    for file in files() {
        let commented = commented(&file);
        let check = |path: &[usize], name: &str| {
            let path: Vec<i32> = path.iter().map(|step| i32::try_from(*step).unwrap()).collect();
            assert!(commented.contains(&path), "{}: {name} has no comment", file.name());
        };
        for (m, message) in file.message_type.iter().enumerate() {
            check(&[4, m], message.name());
            message.field.iter().enumerate().for_each(|(i, field)| check(&[4, m, 2, i], field.name()));
            let written = |oneof: &str| !oneof.starts_with('_');
            for (i, oneof) in message.oneof_decl.iter().enumerate().filter(|(_, o)| written(o.name())) {
                check(&[4, m, 8, i], oneof.name());
            }
        }
        for (e, set) in file.enum_type.iter().enumerate() {
            check(&[5, e], set.name());
            set.value.iter().enumerate().for_each(|(i, value)| check(&[5, e, 2, i], value.name()));
        }
        for (s, service) in file.service.iter().enumerate() {
            check(&[6, s], service.name());
            service.method.iter().enumerate().for_each(|(i, method)| check(&[6, s, 2, i], method.name()));
        }
        check(&[12], "syntax");
    }
}

fn is_snake(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn upper_snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[test]
fn names_follow_the_style_and_nothing_is_reused() {
    let files = files();
    let mut requests: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        assert_eq!(file.package(), "foreseal.v1");
        assert!(file.name().starts_with("foreseal/v1/"), "{}", file.name());
        for service in &file.service {
            assert!(service.name().ends_with("Service"), "{}", service.name());
            for method in &service.method {
                let own = |suffix: &str| format!(".foreseal.v1.{}{suffix}", method.name());
                assert_eq!(method.input_type(), own("Request"));
                assert_eq!(method.output_type(), own("Response"));
                *requests.entry(method.input_type().to_owned()).or_default() += 1;
            }
        }
        for set in &file.enum_type {
            let prefix = upper_snake(set.name());
            assert_eq!(set.value[0].number(), 0);
            assert_eq!(set.value[0].name(), format!("{prefix}_UNSPECIFIED"));
            assert!(set.value.iter().all(|value| value.name().starts_with(&format!("{prefix}_"))));
        }
        file.message_type.iter().for_each(fields_are_in_order);
    }
    assert!(requests.values().all(|count| *count == 1), "two methods share a request: {requests:?}");
}

fn fields_are_in_order(message: &DescriptorProto) {
    for (field, number) in message.field.iter().zip(1..) {
        assert!(is_snake(field.name()), "{}.{}", message.name(), field.name());
        // Without gaps until something is removed; then its number is reserved and this test says so.
        assert_eq!(field.number(), number, "{}.{}", message.name(), field.name());
    }
}
