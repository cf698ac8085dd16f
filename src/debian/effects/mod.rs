//! What maintainer scripts would have done and an image needs, done natively: one noun a file.

pub mod accounts;
pub mod alternatives;
pub mod base_files;
pub mod ca_certificates;
pub mod ld_so_cache;
pub mod single_files;

use std::collections::BTreeMap;

use super::deb::Deb;
use super::staging::{Staging, StagingError};

/// Does what the scripts of these packages would have done, but for `ld.so.cache`, which waits for the whole tree. To be
/// done after their files and the database are in place. Returns the numbers of the accounts that were made.
///
/// # Errors
/// [`StagingError`].
pub fn apply(
    staging: &mut Staging<'_>,
    packages: &[Deb],
    pinned: &BTreeMap<String, u32>,
    days: u32,
) -> Result<BTreeMap<String, u32>, StagingError> {
    let has = |name: &str| packages.iter().any(|package| package.name == name);
    if has("base-files") {
        base_files::apply(staging)?;
    }
    let accounts = accounts::apply(staging, packages, pinned, days)?;
    if has("ca-certificates") {
        ca_certificates::apply(staging)?;
    }
    single_files::apply(staging, packages)?;
    alternatives::apply(staging, packages)?;
    Ok(accounts)
}

/// The version of everything that is done here. A lock holds it: another number may mean other bytes.
pub const EFFECTS: u32 = 3;
