//! From what is typed to what the library does, and how it is told.

mod args;
mod build;
mod cache;
mod environment;
mod exit;
mod explain;
mod init;
mod inspect;
mod load;
mod lock;
mod progress;
mod signals;
mod transfer;
mod watch;
mod workshop;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use exit::{Code, Failure, OrFail, Outcome};

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Code::Usage as u8 } else { 0 };
            // A closed pipe is no reason to panic.
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(Code::Failed as u8),
            };
        }
    };
    signals::listen();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{}", failure.render());
            ExitCode::from(failure.code as u8)
        }
    }
}

fn dispatch(cli: &Cli) -> Outcome {
    match &cli.command {
        Command::Init(args) => init::run(&cli.global, args),
        Command::Build(args) => build::run(&cli.global, args),
        Command::Explain(args) => explain::run(&cli.global, args),
        Command::Lock(args) => lock::run(&cli.global, args),
        Command::Push(args) => transfer::push(&cli.global, args),
        Command::Copy(args) => transfer::copy(&cli.global, args),
        Command::Inspect(args) => inspect::run(&cli.global, args),
        Command::Cache(command) => cache::run(&cli.global, command),
        Command::Schema { markdown: true } => print(&lapstrake::recipe::reference()),
        Command::Schema { markdown: false } => {
            let schema = serde_json::to_string_pretty(&lapstrake::recipe::schema()).or_fail(Code::Failed)?;
            print(&format!("{schema}\n"))
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lapstrake", &mut text);
            print_bytes(&text)
        }
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

/// Writes data to standard output; a program that loses its output has failed.
pub(crate) fn print(text: &str) -> Outcome {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(Code::Failed, format!("writing to standard output: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_make_sense() {
        Cli::command().debug_assert();
    }
}
