//! `lapstrake completions`, and what the scripts ask while somebody types: commands, flags, and names of the recipe at hand.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::{CommandFactory, Parser};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate, Shell};
use lapstrake::build;
use lapstrake::code::ErrorCode;
use lapstrake::recipe::Recipe;

use super::args::Cli;
use super::environment::load_recipe;
use super::exit::{Code, Failure, Outcome};

/// Where scripts say which shell asks.
const VARIABLE: &str = "LAPSTRAKE_COMPLETE";

/// bash splits words at colons, and the usual script knows nothing of `NAME:VARIANT`.
const BASH: &str = include_str!("lapstrake.bash");

/// Prints the script of a shell.
pub(crate) fn run(shell: Shell) -> Outcome {
    if shell == Shell::Bash {
        return super::print_bytes(BASH.as_bytes());
    }
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer =
        shells.completer(&name).ok_or_else(|| Failure::usage(format!("{name} cannot ask for completions")))?;
    let mut text = Vec::new();
    completer
        .write_registration(VARIABLE, "lapstrake", "lapstrake", "lapstrake", &mut text)
        .map_err(|error| Failure::new(Code::Failed, error))?;
    super::print_bytes(&text)
}

/// Answers a script and ends, where one asks.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Images, and each of their variants.
pub(crate) fn images(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |recipe| {
        let names = recipe.images.iter().flat_map(|image| [image.name.image.clone(), image.name.to_string()]);
        names.collect()
    })
}

/// Variants of any image.
pub(crate) fn variants(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |recipe| recipe.images.iter().filter_map(|image| image.name.variant.clone()).collect())
}

/// What images are built for.
pub(crate) fn platforms(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |recipe| {
        let platforms = recipe.images.iter().flat_map(|image| build::platforms(recipe, image, None));
        platforms.map(|platform| platform.to_string()).collect()
    })
}

/// What `help` tells of: commands and the codes of errors, and behind a command those that it has.
pub(crate) fn topics(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let mut command = Cli::command();
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "help").skip(1).collect();
    let before = words.split_last().map_or(&[][..], |(_, before)| before);
    for word in before {
        let Some(found) = command.find_subcommand(word) else { return Vec::new() };
        command = found.clone();
    }
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let commands = commands.map(|command| (command.get_name().to_owned(), command.get_about().cloned()));
    let codes = ErrorCode::ALL.iter().filter(|_| before.is_empty());
    let codes = codes.map(|code| (code.to_string(), Some(code.page().title.into())));
    let topics = commands.chain(codes).filter(|(topic, _)| topic.starts_with(&*typed));
    topics.map(|(topic, about)| CompletionCandidate::new(topic).help(about)).collect()
}

/// Names of the recipe that begin with what was typed. Where there is no recipe, or a wrong one, there are none.
fn candidates(typed: &OsStr, names: impl Fn(&Recipe) -> BTreeSet<String>) -> Vec<CompletionCandidate> {
    let Some(recipe) = recipe() else { return Vec::new() };
    let typed = typed.to_string_lossy();
    let fits = |name: &String| name.starts_with(&*typed);
    names(&recipe).into_iter().filter(fits).map(CompletionCandidate::new).collect()
}

/// The recipe of the line that is being typed.
fn recipe() -> Option<Recipe> {
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let mut line: Vec<OsString> = vec!["lapstrake".into(), "schema".into()];
    if let Some(file) = file_of(&words) {
        line.extend(["--file".into(), file]);
    }
    let cli = Cli::try_parse_from(line).ok()?;
    Some(load_recipe(&cli.global, &[]).ok()?.0)
}

/// What `-f` names, in any of its forms; the last one counts.
fn file_of(words: &[OsString]) -> Option<OsString> {
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let mut found = None;
    for (number, text) in texts.iter().enumerate() {
        let next = || texts.get(number + 1).copied();
        let value = match *text {
            "-f" | "--file" => next(),
            text => text.strip_prefix("--file=").or_else(|| {
                let short = text.strip_prefix("-f").filter(|rest| !rest.is_empty());
                short.map(|rest| rest.strip_prefix('=').unwrap_or(rest))
            }),
        };
        found = value.or(found);
    }
    found.map(OsString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_found_in_every_form() {
        let file = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            file_of(&words).map(|file| file.into_string().unwrap())
        };
        assert_eq!(file("lapstrake build"), None);
        for line in
            ["-f a.toml build", "build -fa.toml", "build --file a.toml w", "--file=a.toml", "-f b --file=a.toml"]
        {
            assert_eq!(file(line).as_deref(), Some("a.toml"), "{line}");
        }
        assert_eq!(file("build -f"), None);
    }
}
