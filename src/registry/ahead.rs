//! Sending blobs while the image that they belong to is still made.

use super::push::PushBlob;
use super::{How, Registries, RegistryError};
use crate::net::NetError;
use crate::oci::Reference;

/// Ends what is being sent ahead. Clones end the same.
#[derive(Clone, Debug)]
pub struct Stop(tokio::sync::watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Stop(tokio::sync::watch::Sender::new(false))
    }
}

impl Stop {
    /// Ends it: now, and whatever is begun later.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Registries {
    /// Brings a blob into a repository before there is a manifest that names it; [`PushBlob::there`] tells a later push of it.
    /// `about` is what those are told who hear of it.
    ///
    /// # Errors
    /// Where it cannot be brought there, or [`Stop::stop`] was called.
    pub fn send_ahead(
        &self,
        repository: &Reference,
        about: &str,
        blob: &PushBlob,
        stop: &Stop,
    ) -> Result<How, RegistryError> {
        let core = &self.core;
        let mut stopped = stop.0.subscribe();
        core.network.wait(async {
            let repository = core.repository(repository.registry(), repository.repository())?;
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => Err(NetError::Cancelled.into()),
                done = core.push_blob(&repository, Some(about), blob, None, false, "left to the push") => done,
            }
        })
    }
}
