//! Python packages without Python: names, tags, locks and indexes read, wheels checked and laid out as entries of a tree.
//!
//! Nothing here opens a connection, and nothing of the image is run. Wheels come in as [`crate::content::Content`], and go out as
//! paths and entries; their decompressed bytes lie in a [`Spool`].

pub mod bytecode;
pub mod debian_names;
pub mod entry_points;
pub mod index;
mod index_list;
pub mod install;
pub mod interpreter;
pub mod markers;
pub mod meaning;
mod metadata;
mod package_name;
pub mod pylock;
pub mod record;
mod requirement;
pub mod requirements;
pub(crate) mod scheme;
mod spool;
mod tags;
pub mod uv;
mod wheel_name;
pub mod zip;

pub use entry_points::{EntryPoints, EntryPointsError};
pub use index::{IndexError, IndexFile, Page};
pub use index_list::{IndexList, NamedIndex};
pub use install::{InstallError, Installed, Wheel, install, install_all};
pub use interpreter::{Interpreter, InterpreterError};
pub use markers::{Environment, Marker, MarkerError};
pub use metadata::{Directories, Metadata, MetadataError};
pub use package_name::{PackageName, PackageNameError};
pub use pylock::{Pylock, PylockError};
pub use record::{Record, RecordError};
pub use requirement::{Requirement, RequirementError};
pub use requirements::{Requirements, RequirementsError};
pub use scheme::{Scheme, SchemeError, Venv};
pub use spool::Spool;
pub use tags::{Libc, PythonVersion, PythonVersionError, Tags, TagsError, Target};
pub use wheel_name::{BuildTag, WheelName, WheelNameError};
