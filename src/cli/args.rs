//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use super::completions;
use super::selection::Selection;

/// Builds OCI images from a recipe: no Docker, no daemon, no root, nothing executed.
#[derive(Debug, Parser)]
#[command(name = "lapstrake", version, max_term_width = 100, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The recipe
    #[arg(short, long, global = true, default_value = "lapstrake.toml", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Where blobs and what is known of them are kept [env: LAPSTRAKE_CACHE_DIR] [default: the user's cache directory]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, value_name = "HOW")]
    pub(crate) progress: ProgressMode,
    /// Show nothing but results and errors, no warnings either; `build` prints only digests
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Threads, images built at once, and blobs sent or fetched at once [default: the number of processors]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// How registries are reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArgs {
    /// File with credentials, as `docker login` and `podman login` write it
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) authfile: Option<PathBuf>,
    /// Registry (HOST[:PORT]) that is reached over plain HTTP; those on this machine are by themselves
    #[arg(long, global = true, value_name = "REGISTRY")]
    pub(crate) insecure_registry: Vec<String>,
    /// Certificate authorities for one registry, in PEM: REGISTRY=FILE
    #[arg(long, global = true, value_name = "REGISTRY=FILE")]
    pub(crate) registry_certificate: Vec<String>,
    /// Certificate and key that we show to one registry, in PEM: REGISTRY=CERT,KEY
    #[arg(long, global = true, value_name = "REGISTRY=CERT,KEY")]
    pub(crate) registry_client_cert: Vec<String>,
    /// Where to pull from instead, first: REGISTRY=MIRROR
    #[arg(long, global = true, value_name = "REGISTRY=MIRROR")]
    pub(crate) registry_mirror: Vec<String>,
    /// Directory like /etc/docker/certs.d, with a folder for each registry
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Send blobs in chunks of so many MiB, for proxies that limit the length of a request
    #[arg(long, global = true, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=10_240))]
    pub(crate) push_chunk: Option<u64>,
    /// Tries for each request
    #[arg(long, global = true, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) retry: u32,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Lines
    Plain,
    /// Bars
    Tty,
    /// One JSON object a line
    Json,
    /// Nothing
    Quiet,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a recipe, or make one of Dockerfiles
    Init(InitArgs),
    /// Build images of the recipe
    Build(Box<BuildArgs>),
    /// Pin bases, packages and downloads in RECIPE.lock, and print what changed
    Lock(LockArgs),
    /// Tell for each layer of an image whether it is the one that was there before, and which file, package, setting or
    /// base made it another
    Explain(Box<ExplainArgs>),
    /// Build again from recipe and lock, and tell whether what the registry holds is the same (exit code 6 where it is not)
    Verify(Box<super::verify::VerifyArgs>),
    /// Put the digests of images into Kubernetes manifests, Compose files, kustomizations and Helm values
    Resolve(Box<super::resolve::ResolveArgs>),
    /// Push a layout or an archive to a registry
    Push(PushArgs),
    /// Copy images between any two places
    Copy(CopyArgs),
    /// Show what is in an image: config, layers, packages, users, files, or what one file holds
    Inspect(InspectArgs),
    /// Show in what two images differ: config, layers, packages, files (exit code 6 where they do)
    Diff(super::diff::DiffArgs),
    /// Write a page (HTML) about images: what they share, what takes the room, packages, differences
    Report(super::report::ReportArgs),
    /// Look after the cache
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print the JSON Schema of recipes, for editors
    Schema {
        /// As a page for people, in Markdown: what docs/recipe.md is made of
        #[arg(long)]
        markdown: bool,
    },
    /// Print a script that makes a shell complete commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Print this, what a command takes (`help build`), or what an error code means (`help L0301`)
    Help {
        /// A command, or the code of an error
        #[arg(add = ArgValueCompleter::new(completions::topics))]
        topics: Vec<String>,
    },
}

/// `lapstrake init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Dockerfiles to make a recipe of: one an image; `Dockerfile` and `Dockerfile.k8s` are variants of one [default: a
    /// small recipe to start from]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) dockerfiles: Vec<PathBuf>,
    /// The recipe to write, `-` for standard output [default: what -f names, lapstrake.toml]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Replace the recipe that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// What the project is called [default: the name of this directory]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The directory that the Dockerfiles copy from [default: for each the one, of its own and those above, that has most
    /// of what it copies]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) context: Option<PathBuf>,
    /// Put this in the place of every base from a registry: a reference, a place or `scratch` (then with
    /// the Debian packages that such a base has)
    #[arg(long, value_name = "BASE")]
    pub(crate) from: Option<String>,
    /// Put another base in the place of one, as a Dockerfile writes it: OLD=NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) base: Vec<String>,
    /// Value of an `ARG`, as for `docker build`: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) build_arg: Vec<String>,
    /// Compare this image (a reference or a place) with what the recipe's build made, in settings, paths, modes and
    /// owners, and write nothing (exit code 6 where they differ)
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["dockerfiles", "output", "force"])]
    pub(crate) check: Option<String>,
    /// With --check: where the recipe's build is
    #[arg(long, value_name = "PLACE", default_value = "oci:lapstrake-out", requires = "check")]
    pub(crate) built: String,
    /// With --check: the one image of the build to compare, by the name that it has there
    #[arg(long, value_name = "NAME", requires = "check")]
    pub(crate) image: Option<String>,
    /// With --check: only this platform
    #[arg(long, value_name = "PLATFORM", requires = "check")]
    pub(crate) platform: Option<String>,
    /// With --check: pass over this path and what is below it; may be given several times
    #[arg(long, value_name = "PATH", requires = "check")]
    pub(crate) ignore: Vec<String>,
}

/// `lapstrake build`
#[derive(Debug, Default, Args)]
pub(crate) struct BuildArgs {
    /// Images of the recipe, `NAME` or `NAME:VARIANT` [default: all that are published]
    #[arg(add = ArgValueCompleter::new(completions::images))]
    pub(crate) images: Vec<String>,
    /// Only this variant; may be given several times
    #[arg(long, value_name = "VARIANT", add = ArgValueCompleter::new(completions::variants))]
    pub(crate) variant: Vec<String>,
    /// Only this platform (os/arch[/variant]); several with commas or given several times
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', add = ArgValueCompleter::new(completions::platforms))]
    pub(crate) platform: Vec<String>,
    /// Where the images go: oci:DIR, oci-archive:FILE, docker-archive:FILE, archive:FILE, `-` for standard output, a
    /// reference, or type=…,dest=…; may be given several times [default: oci:./lapstrake-out]
    #[arg(short, long, value_name = "PLACE")]
    pub(crate) output: Vec<String>,
    /// Push to the repositories that the recipe names
    #[arg(long)]
    pub(crate) push: bool,
    /// Hand the images to the Docker or podman of this machine, or to PROGRAM
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) load: Option<String>,
    /// Build again whenever something changes, until interrupted
    #[arg(long, conflicts_with_all = ["dry_run", "no_cache"])]
    pub(crate) watch: bool,
    /// Tag in place of the recipe's: a bare tag, or a full reference where one image is built, with placeholders as in
    /// `tags`; may be given several times
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
    /// Build every layer anew: no layer is taken from the cache, nor from a registry
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Take layers from the images at this place too (a reference, oci:DIR, …; `{image}` and other placeholders are filled in),
    /// where their keys fit; may be given several times. With --push, the images under the tags that are pushed are looked at in any case
    #[arg(long, value_name = "PLACE")]
    pub(crate) cache_from: Vec<String>,
    /// Build the layers that the cache or a registry has all the same, and fail (exit code 6) where one is not what was
    /// found
    #[arg(long, conflicts_with = "no_cache")]
    pub(crate) verify_cache: bool,
    /// Use the lock as it is: fail (exit code 4) where it would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    /// Do not touch the network: what is not on this machine or in the cache is an error
    #[arg(long)]
    pub(crate) offline: bool,
    /// The images' date, in seconds since 1970 [env: SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) source_date_epoch: Option<i64>,
    /// Write what was built as JSON, in the form of `docker buildx build --metadata-file`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Write the image ID (digest of the config) of the one image that is built
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write the digest of the one image that is built
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) digest_file: Option<PathBuf>,
    /// Write the pushed references with digest, one a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) image_refs: Option<PathBuf>,
    /// Say what would be reused, made, fetched, written and pushed, with sizes, and do none of it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: as JSON
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
    /// Print the recipe as it is resolved for these images, which is a recipe too, and build nothing
    #[arg(long, conflicts_with_all = ["dry_run", "watch", "push", "load", "output"])]
    pub(crate) print_recipe: bool,
}

impl BuildArgs {
    /// The files that tell others what was built, each with its flag.
    pub(crate) fn results(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let all = [
            ("--metadata-file", &self.metadata_file),
            ("--iidfile", &self.iidfile),
            ("--digest-file", &self.digest_file),
            ("--image-refs", &self.image_refs),
        ];
        all.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?)))
    }
}

/// `lapstrake explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Compare with the images at this place (a reference, oci:DIR, an archive) [default: oci:./lapstrake-out; where that
    /// does not have the image, what the registry holds under its tags]
    #[arg(long, value_name = "PLACE")]
    pub(crate) against: Option<String>,
    /// Compare with what the registry holds under the images' own tags, and take layers from there as `build --push` does
    #[arg(long)]
    pub(crate) registry: bool,
    /// Take layers from the images at this place too (`{image}` and other placeholders are filled in), as `build` does, and
    /// compare with them where nothing before has the image; may be given several times
    #[arg(long, value_name = "PLACE")]
    pub(crate) cache_from: Vec<String>,
    /// Use the lock as it is: fail (exit code 4) where it would have to change
    #[arg(long)]
    pub(crate) locked: bool,
    /// Do not touch the network: what is not on this machine or in the cache is an error
    #[arg(long, conflicts_with = "registry")]
    pub(crate) offline: bool,
    /// As JSON, with all paths and both values of all settings
    #[arg(long)]
    pub(crate) json: bool,
}

/// `lapstrake lock`
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Let these move to what is newest (packages, wheels, images, downloads, as the lock names them); all where no name
    /// is given. Without it, what is locked stays, and only what the recipe asks anew is pinned
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub(crate) update: Option<Vec<String>>,
    /// Do not touch the network: only what is in the cache can be pinned
    #[arg(long)]
    pub(crate) offline: bool,
    /// Set a key of the recipe's [project]: KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// `lapstrake push`
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// oci:DIR, oci-archive:FILE, docker-archive:FILE or archive:FILE, or just the path
    pub(crate) source: String,
    /// Where to push to [default: the names that the source has]
    pub(crate) references: Vec<String>,
    /// The one image to take, by the name that the source gives it
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// Write the digest of the one image that is pushed
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) digest_file: Option<PathBuf>,
    /// Write the pushed references with digest, one a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) image_refs: Option<PathBuf>,
}

/// `lapstrake copy`
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// A place or a reference
    pub(crate) source: String,
    /// A place or a reference
    pub(crate) destination: String,
    /// The one image to take, by the name that the source gives it
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// Take this platform alone out of an index
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
}

/// `lapstrake inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A place or a reference
    pub(crate) source: String,
    /// The one image to show, by the name that the source gives it
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
    /// The platform to show, where there are several
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// List the files too
    #[arg(long)]
    pub(crate) files: bool,
    /// Name every package with its version, not only how many there are
    #[arg(long)]
    pub(crate) packages: bool,
    /// Look into the layers of an image in a registry too, for packages, users and the largest files: they are fetched.
    /// Those of places on this machine are looked into in any case
    #[arg(long)]
    pub(crate) contents: bool,
    /// Print the file at this path of the image, symlinks followed; of a directory, what is in it
    #[arg(long, value_name = "PATH", conflicts_with_all = ["files", "packages", "contents", "json", "validate"])]
    pub(crate) cat: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Recompute every digest, size, diff ID and form, and say what is wrong (exit code 6)
    #[arg(long)]
    pub(crate) validate: bool,
}

/// `lapstrake cache`
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print where the cache is and how much it holds
    Size,
    /// Read everything, and drop what is damaged (exit code 6 where something was)
    Verify,
    /// Remove what was not used for a time
    Prune {
        /// Keep what was used within this time: 12h, 30d, 2w
        #[arg(long, default_value = "30d", value_name = "TIME")]
        keep: String,
        /// Then remove what was used longest ago until this much is left: 500MB, 10GiB
        #[arg(long, value_name = "SIZE")]
        max_size: Option<String>,
    },
    /// Remove everything
    Clear,
}
