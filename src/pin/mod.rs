//! From what a recipe asks for to pins: what is outside is looked up once, when locking.
//!
//! Each module has two functions. `asked` says what is asked, as short lines, without looking at anything outside of the
//! recipe, its context and the layers below: an entry of the lock with the same lines is still good. `pin` answers.

pub mod debian;
pub mod python;
