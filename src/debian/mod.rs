//! Packages of Debian, made part of an image without running anything of theirs (DESIGN.md, section 8).

pub mod control;
pub mod database;
pub mod deb;
pub mod decode;
pub mod dependency;
pub mod effects;
pub mod keyring;
pub mod packages;
pub mod release;
pub mod resolve;
pub mod scripts;
pub mod shell;
pub mod staging;
pub mod unpack;
pub mod version;
