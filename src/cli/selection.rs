//! Which images of the recipe are meant, and what was said of them when they were built.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::args::BuildArgs;
use super::completions;

/// What `explain` and `verify` are told as `build` is.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Images of the recipe, `NAME` or `NAME:VARIANT` [default: all that are published]
    #[arg(add = ArgValueCompleter::new(completions::images))]
    pub(crate) images: Vec<String>,
    /// Only this variant; may be given several times
    #[arg(long, value_name = "VARIANT", add = ArgValueCompleter::new(completions::variants))]
    pub(crate) variant: Vec<String>,
    /// Only this platform (os/arch[/variant]); several with commas or given several times
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', add = ArgValueCompleter::new(completions::platforms))]
    pub(crate) platform: Vec<String>,
    /// Tag in place of the recipe's, as for `build`
    #[arg(short, long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Add a label to every image: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Add an annotation to every image: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Set a key of the recipe's [project]: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The images' date, in seconds since 1970 [env: SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) source_date_epoch: Option<i64>,
}

impl Selection {
    /// What `build` would be told for the same images.
    pub(crate) fn build_args(&self) -> BuildArgs {
        BuildArgs {
            images: self.images.clone(),
            variant: self.variant.clone(),
            platform: self.platform.clone(),
            tag: self.tag.clone(),
            ..BuildArgs::default()
        }
    }
}
