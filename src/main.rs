//! The `lapstrake` program: arguments, environment, drawing, exit codes. Everything else is the library's.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
