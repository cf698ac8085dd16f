//! What was probably meant by what was typed, where it names nothing: hints that look at the recipe or at the disk.

use std::fs;
use std::io;
use std::path::Path;

use lapstrake::code::ErrorCode;
use lapstrake::git::Checkout;
use lapstrake::logins::hide_in_name;
use lapstrake::nearest::nearest;
use lapstrake::oci::Platform;
use lapstrake::place::Place;
use lapstrake::recipe::{self, Inputs, Recipe, platform_meant};

use super::exit::{Code, Failure, OrFail, Outcome};

/// As many names of a directory are looked at.
const NAMES: usize = 10_000;
/// The recipe where none is named.
const RECIPE: &str = "lapstrake.toml";
/// Where `build` writes when it is not told.
const OUTPUT: &str = "lapstrake-out";

/// A platform as it is typed.
///
/// # Errors
/// Where it is none.
pub(crate) fn platform(text: &str) -> Outcome<Platform> {
    text.parse().or_fail(Code::Usage).map_err(|failure| with(failure, did_you_mean(platform_meant(text))))
}

/// The same, where images are built for it: of an architecture that recipes know, or of one that is like none of them.
///
/// # Errors
/// Where it is none, or is likely to be mistyped.
pub(crate) fn platform_to_build(text: &str) -> Outcome<Platform> {
    let platform = platform(text)?;
    match platform_meant(&platform.to_string()) {
        Some(near) => {
            Err(Failure::usage(format!("the platform {platform} is not known")).hint(format!("did you mean `{near}`?")))
        }
        None => Ok(platform),
    }
}

/// The recipe has no such image, or not in that variant.
pub(crate) fn image(recipe: &Recipe, text: &str) -> Failure {
    let failed = |text: String| Failure::usage(text).kind(ErrorCode::NoSuchImage);
    // What is no image of the recipe may be a reference, with a login in front.
    let text = &*hide_in_name(text);
    if let Some((image, variant)) = text.split_once(':') {
        let same = recipe.images.iter().filter(|known| known.name.image == image);
        let variants: Vec<Option<&str>> = same.map(|known| known.name.variant.as_deref()).collect();
        let named: Vec<&str> = variants.iter().copied().flatten().collect();
        if !named.is_empty() {
            let hint = match nearest(variant, named.iter().copied()) {
                Some(near) => format!("did you mean `{image}:{near}`?"),
                None => format!("its variants are {}", named.join(", ")),
            };
            return failed(format!("`{image}` has no variant `{variant}`")).hint(hint);
        }
        if !variants.is_empty() {
            return failed(format!("`{image}` has no variants")).hint(format!("write `{image}`"));
        }
    }
    let names = |all: bool| {
        let mut names: Vec<&str> =
            recipe.images.iter().filter(|image| all || image.publish).map(|image| image.name.image.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let hint = match (nearest(text, names(true)), names(false)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, published) if published.is_empty() => format!("its images are {}", names(true).join(", ")),
        (None, published) => format!("its images are {}", published.join(", ")),
    };
    failed(format!("the recipe has no image `{text}`")).hint(hint)
}

/// Where an image of the recipe in this directory is, of which the name alone was typed.
pub(crate) fn image_of_recipe(text: &str) -> Option<String> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let inputs = Inputs { environment: environment.collect(), git: Checkout::default(), ..Inputs::default() };
    let recipe = recipe::load(Path::new(RECIPE), &inputs).ok()?;
    recipe.images.iter().find(|image| image.name.to_string() == text || image.name.image == text)?;
    let built = match Path::new(OUTPUT).exists() {
        true => "",
        false => ", once `lapstrake build` has made it",
    };
    Some(format!("`{text}` is an image of the recipe: `oci:{OUTPUT}:{text}`{built}"))
}

/// Where images are, where a directory is said to be a layout and is none.
pub(crate) fn layout(text: &str, place: &Place) -> Option<String> {
    let Place::Layout { directory, .. } = place else { return None };
    if directory.join("oci-layout").exists() {
        return None;
    }
    let named = directory.to_str().and_then(image_of_recipe);
    named.or_else(|| image_of_recipe(text)).or_else(|| match Path::new(OUTPUT).join("oci-layout").exists() {
        true => Some(format!("`lapstrake build` wrote to `oci:{OUTPUT}`")),
        false => Some(format!("`lapstrake build` makes one: `oci:{OUTPUT}`, or where its -o says")),
    })
}

/// What to name, or to make, where there is no recipe of that name.
pub(crate) fn recipe_file(path: &Path) -> Option<String> {
    if path.is_dir() {
        let inside = path.join(RECIPE);
        return inside.is_file().then(|| format!("the recipe in it is `-f {}`", inside.display()));
    }
    let hint = neighbour(path, |name| Path::new(name).extension().is_some_and(|end| end == "toml"));
    hint.or_else(|| {
        let missing = is_missing(path) && path == Path::new(RECIPE);
        missing.then(|| "name the recipe with -f, or start one with `lapstrake init`".to_owned())
    })
}

/// The file beside one that is not there whose name is nearest, of those that are fit.
pub(crate) fn neighbour(path: &Path, fit: impl Fn(&str) -> bool) -> Option<String> {
    if !is_missing(path) {
        return None;
    }
    let wanted = path.file_name()?.to_str()?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(above).ok()?.take(NAMES);
    let files = entries.filter_map(|entry| entry.ok().filter(|entry| entry.path().is_file()));
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| fit(name));
    names.sort();
    let near = nearest(wanted, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{}`?", path.with_file_name(near).display()))
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn did_you_mean(near: Option<String>) -> Option<String> {
    near.map(|near| format!("did you mean `{near}`?"))
}

fn with(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
