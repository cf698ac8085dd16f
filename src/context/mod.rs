//! The build context: what of it is chosen, and where it lands.
