//! Which code each error has. The matches name every variant, so that a new one does not go without.

mod context;
mod debian;
mod images;
mod network;
mod python;
mod recipe;
