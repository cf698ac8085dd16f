//! What the sources of packages share: their names in the lock, the view below them, and whose fault an error is.

use std::error::Error;

use super::layer_tree::Making;
use super::pins::Stale;
use super::{BuildError, Builder, Purpose};
use crate::base::LayerStack;
use crate::code::Coded;
use crate::pin;
use crate::pin::debian::Fault;
use crate::recipe::{Diagnostic, Span};
use crate::source::{debian, python};
use crate::supply::SupplyError;
use crate::tree::FileTree;

impl Builder<'_> {
    /// Something of packages failed: the network, what is asked, or this machine.
    pub(super) fn packages(&self, span: Span, what: &str, source: impl Coded) -> BuildError {
        let fault = fault_of(&source);
        let at = self.recipe.sources().position(span);
        BuildError::Packages { at, what: what.to_owned(), fault, source: source.into() }
    }

    /// What the recipe asks for cannot be pinned.
    pub(super) fn unresolvable(&self, span: Span, error: &impl Coded) -> BuildError {
        let text = crate::shown::with_causes(error);
        BuildError::Unresolvable(Box::new(Diagnostic::error(error.code(), self.recipe.sources(), span, text)))
    }
}

impl Making<'_> {
    /// What pins call this layer.
    pub(super) fn name_in_lock(&self) -> String {
        format!("{}/{}", self.image.name, self.layer.title())
    }

    /// The lock does not fit, and must not change.
    pub(super) fn stale(&self, what: &str, Stale(why): Stale) -> BuildError {
        BuildError::Lock { what: format!("{what} of {} for {}", self.name_in_lock(), self.platform), why }
    }

    /// Something of packages failed: the network, what is asked, or this machine.
    pub(super) fn packages(&self, span: Span, what: &str, source: impl Coded) -> BuildError {
        self.builder.packages(span, what, source)
    }

    /// What the recipe asks for cannot be pinned.
    pub(super) fn unresolvable(&self, span: Span, error: &impl Coded) -> BuildError {
        self.builder.unresolvable(span, error)
    }

    /// The layers below with what this layer has so far.
    pub(super) fn view(&self, tree: &FileTree) -> LayerStack {
        let mut view = self.open.stack.clone();
        if !tree.is_empty() {
            view.look(tree);
        }
        view
    }

    /// A view in which it plays no part whether layers of this recipe were found in the cache.
    pub(super) fn at_hand(&self, view: LayerStack, span: Span) -> Result<LayerStack, BuildError> {
        view.at_hand(self.open.foreign, self.builder.store)
            .map_err(|error| self.caused(span, "reading layers of the cache".to_owned(), error))
    }

    /// Whether only pins are made.
    pub(super) fn is_locking(&self) -> bool {
        self.run.purpose == Purpose::Lock
    }
}

/// Whose affair an error is: the network's and what could be had from it, this machine's, or that of what is asked.
pub(super) fn fault_of(error: &(dyn Error + 'static)) -> Fault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = supply_error(error) {
            return match found {
                SupplyError::NoMirror { .. } | SupplyError::NoIndex { .. } | SupplyError::Index { .. } => {
                    Fault::Unresolvable
                }
                SupplyError::Store(_) | SupplyError::Setting { .. } => Fault::Machine,
                _ => Fault::Network,
            };
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied) {
                return Fault::Machine;
            }
        }
        next = error.source();
    }
    Fault::Unresolvable
}

/// What an error says of a file that could not be had. Errors that speak with the words of their cause do not have it as
/// their source, so that each is known here.
fn supply_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e SupplyError> {
    let of_file = |error: &'e debian::FileError| match error {
        debian::FileError::Supply(found) => Some(found),
        _ => None,
    };
    let of_pin = |error: &'e pin::python::Error| match error {
        pin::python::Error::Supply(found) => Some(found),
        _ => None,
    };
    if let Some(found) = error.downcast_ref::<SupplyError>() {
        return Some(found);
    }
    if let Some(error) = error.downcast_ref::<debian::FileError>() {
        return of_file(error);
    }
    if let Some(debian::LayerError::File(error)) = error.downcast_ref::<debian::LayerError>() {
        return of_file(error);
    }
    if let Some(error) = error.downcast_ref::<pin::python::Error>() {
        return of_pin(error);
    }
    match error.downcast_ref::<python::PythonError>() {
        Some(python::PythonError::Supply(found)) => Some(found),
        Some(python::PythonError::Ask(error)) => of_pin(error),
        _ => None,
    }
}
