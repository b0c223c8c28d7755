//! Generates the gRPC messages and services of `proto/` for the service. No protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "server")]
    grpc()?;
    Ok(())
}

#[cfg(feature = "server")]
fn grpc() -> Result<(), Box<dyn Error>> {
    use std::path::PathBuf;

    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    // With comments: they are the documentation of the generated types, and reflection serves them.
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(["foreseal/v1/intents.proto", "foreseal/v1/log.proto"])?;
    std::fs::write(out.join("foreseal.v1.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
