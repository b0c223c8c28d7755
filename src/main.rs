//! The one binary, `foreseal`.

fn main() -> std::process::ExitCode {
    foreseal::cli::run()
}
