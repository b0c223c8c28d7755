//! The one binary, `foreseal`.

// The service allocates for many threads and frees on others: the system's allocator took a fifth of its time.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    foreseal::cli::run()
}
