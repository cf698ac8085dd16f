//! `lapstrake build --print-recipe`: the recipe as it is resolved for the images that are chosen.

use lapstrake::code::ErrorCode;

use super::args::{BuildArgs, Global};
use super::build::wanted;
use super::environment::load_recipe;
use super::exit::{Code, Failure, Outcome};

/// Prints it.
///
/// # Errors
/// Where the recipe is wrong, or standard output is closed.
pub(crate) fn run(global: &Global, args: &BuildArgs) -> Outcome {
    let (recipe, _) = load_recipe(global, &args.set)?;
    let names = wanted(&recipe, args)?;
    let chosen: Vec<_> = recipe.images.iter().filter(|image| names.contains(&image.name)).collect();
    let text =
        recipe.resolved(&chosen).map_err(|error| Failure::told(Code::Recipe, ErrorCode::Interpolation, error))?;
    super::print_bytes(text.as_bytes())
}
