//! `lapstrake help`: commands, and the codes of errors.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use lapstrake::code::ErrorCode;
use lapstrake::logins::hide_logins;
use lapstrake::nearest::nearest;
use lapstrake::shown::bare;

use super::args::Cli;
use super::exit::{Code, Failure, OrFail, Outcome};
use super::log::{self, Lines};
use super::{print, print_bytes, unwritten};

/// Pages of codes are not wider.
const WIDTH: usize = 80;

/// Runs it.
pub(crate) fn run(topics: &[String]) -> Outcome {
    match topics {
        [topic] if is_code(topic) => {
            let code: ErrorCode = topic.parse().or_fail(Code::Usage)?;
            print(&code.page().text(code, WIDTH))
        }
        topics => print_bytes(of_command(topics)?.as_bytes()),
    }
}

/// Whether somebody means a code: no command is an `L` and digits.
fn is_code(topic: &str) -> bool {
    let digits = topic.strip_prefix(['L', 'l']);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The help of a command, or of all.
fn of_command(topics: &[String]) -> Outcome<String> {
    let mut command = Cli::command();
    // What subcommands inherit is written into them.
    command.build();
    for topic in topics {
        let Some(found) = command.find_subcommand(topic) else {
            let failure = Failure::usage(format!("there is no command `{topic}`"));
            return Err(match nearest(topic, command.get_subcommands().map(clap::Command::get_name)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => {
                    failure.hint("`lapstrake help` lists the commands, and `lapstrake help L0301` explains an error")
                }
            });
        };
        command = found.clone();
    }
    let help = command.render_long_help();
    Ok(if io::stdout().is_terminal() { help.ansi().to_string() } else { help.to_string() })
}

/// What `resolve` was given as if it took manifests without a flag.
fn manifest_without_flag(error: &clap::Error) -> Option<&str> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return None };
    let is_resolve = error.kind() == ErrorKind::UnknownArgument && usage.to_string().contains("lapstrake resolve");
    text(ContextKind::InvalidArg).filter(|text| is_resolve && !text.starts_with('-'))
}

/// What was typed is no command, or asks for help or the version: said as clap says it, with a code where it is an error.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    let told = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.print()
        }
        _ => {
            let text = error.render();
            let mut text = if log::is_terminal() { text.ansi().to_string() } else { text.to_string() };
            if let Some(manifest) = manifest_without_flag(error) {
                text.push_str(&format!("\nhint: manifests follow -k: `lapstrake resolve -k {}`\n", bare(manifest)));
            }
            let text = hide_logins(&text).replacen("error:", &format!("error[{}]:", ErrorCode::Usage), 1);
            let text = text.trim_end_matches('\n');
            log::write(&if log::is_terminal() { Lines::drawn(text) } else { Lines::told(text) });
            Ok(())
        }
    };
    match told {
        Ok(()) if error.use_stderr() => ExitCode::from(Code::Usage as u8),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = unwritten(error);
            if !failure.quiet {
                log::write(&Lines::told(&failure.render()));
            }
            ExitCode::from(failure.code as u8)
        }
    }
}
