//! The `lapstrake` program: arguments, environment, drawing, exit codes. Everything else is the library's.

mod cli;

fn main() -> std::process::ExitCode {
    // Every package, wheel and layer in use is an open file, and many machines allow a thousand where they could more.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, it may still be enough.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    cli::run()
}
