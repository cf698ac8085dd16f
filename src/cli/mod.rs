//! From what is typed to what the library does, and how it is told.

mod args;
mod build;
mod cache;
mod comparison;
mod completions;
mod diff;
mod dry_run;
mod environment;
mod exit;
mod explain;
mod help;
mod init;
mod inspect;
mod json_keys;
mod known_digests;
mod load;
mod lock;
mod log;
mod meant;
mod no_threads;
mod print_recipe;
mod progress;
mod pushed;
mod report;
mod resolve;
mod selection;
mod signals;
mod transfer;
mod verify;
mod watch;
mod workshop;
mod written;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use lapstrake::code::ErrorCode;
use lapstrake::shown::{in_json, in_lines};

use exit::{Code, Failure, OrFail, Outcome};

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    completions::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return help::refused(&error),
    };
    let outcome = no_threads::told(|| {
        signals::listen();
        dispatch(&cli)
    });
    signals::ended();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.quiet {
                progress::fail(&cli.global, &failure);
            }
            ExitCode::from(failure.code as u8)
        }
    }
}

fn dispatch(cli: &Cli) -> Outcome {
    match &cli.command {
        Command::Init(args) => init::run(&cli.global, args),
        Command::Build(args) => build::run(&cli.global, args),
        Command::Explain(args) => explain::run(&cli.global, args),
        Command::Verify(args) => verify::run(&cli.global, args),
        Command::Lock(args) => lock::run(&cli.global, args),
        Command::Resolve(args) => resolve::run(&cli.global, args),
        Command::Push(args) => transfer::push(&cli.global, args),
        Command::Copy(args) => transfer::copy(&cli.global, args),
        Command::Diff(args) => diff::run(&cli.global, args),
        Command::Inspect(args) => inspect::run(&cli.global, args),
        Command::Report(args) => report::run(&cli.global, args),
        Command::Cache(command) => cache::run(&cli.global, command),
        Command::Help { topics } => help::run(topics),
        Command::Schema { markdown: true } => print(&lapstrake::recipe::reference()),
        Command::Schema { markdown: false } => print_json(&lapstrake::recipe::schema()),
        Command::Completions { shell } => completions::run(*shell),
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).or_fail(Code::Failed)?;
            manual_of_commands(&Cli::command(), "lapstrake", &mut text).or_fail(Code::Failed)?;
            print_bytes(&text)
        }
    }
}

/// The pages of a command's commands, and of theirs.
fn manual_of_commands(command: &clap::Command, name: &str, text: &mut Vec<u8>) -> io::Result<()> {
    for below in command.get_subcommands() {
        let name = format!("{name}-{}", below.get_name());
        clap_mangen::Man::new(below.clone().display_name(&name)).render(text)?;
        manual_of_commands(below, &name, text)?;
    }
    Ok(())
}

/// Writes lines for people to standard output, whatever they quote.
pub(crate) fn print(text: &str) -> Outcome {
    print_bytes(in_lines(text).as_bytes())
}

/// Writes data to standard output, as it is; a program that loses its output has failed.
pub(crate) fn print_bytes(bytes: &[u8]) -> Outcome {
    print_with(|out| out.write_all(bytes))
}

/// Writes JSON on lines of its own to standard output, with every character that is not seen by number.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Outcome {
    print_with(|out| {
        let mut out = InJson(out);
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")
    })
}

/// JSON on its way: what is written at once is whole characters.
struct InJson<W>(W);

impl<W: Write> Write for InJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.is_ascii() && !bytes.contains(&0x7f) {
            true => self.0.write_all(bytes)?,
            false => self.0.write_all(in_json(&String::from_utf8_lossy(bytes)).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes to standard output bit by bit.
pub(crate) fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome {
    let mut out = io::BufWriter::with_capacity(64 << 10, standard_output());
    write(&mut out).and_then(|()| out.flush()).map_err(unwritten)
}

/// That nothing could be written to standard output.
fn unwritten(error: io::Error) -> Failure {
    let error = or_closed(error);
    let text = format!("writing to standard output: {error}");
    let failure = Failure::told(Code::Failed, ErrorCode::OutputUnwritable, text);
    // Whoever reads has had enough.
    Failure { quiet: error.kind() == io::ErrorKind::BrokenPipe, ..failure }
}

/// Standard output. Errors of it say where it was closed from the start.
pub(crate) fn standard_output() -> impl Write {
    Standard(io::stdout().lock())
}

struct Standard(io::StdoutLock<'static>);

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(or_closed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(or_closed)
    }
}

/// What stands in for an output that was closed from the start takes no writing.
fn or_closed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::InvalidInput => io::Error::other("it is closed"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }
}
