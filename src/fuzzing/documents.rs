//! Documents of images, and how images and places are written.

use serde::Serialize;

use super::{said, text};
use crate::oci::json::{canonical, document as read};
use crate::oci::shape::Shaped;
use crate::oci::{Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use crate::place::Place;

/// A manifest, an index, a config and a descriptor: what is written of one reads back equal, and is written no other way.
pub fn document(data: &[u8]) {
    for name in [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ] {
        let media_type = MediaType::named(name);
        let (manifest, index) = (Manifest::read(&media_type, data.to_vec()), Index::read(&media_type, data.to_vec()));
        assert!(manifest.is_err() || index.is_err(), "a manifest and an index at once");
        match manifest {
            Ok(manifest) => {
                assert_eq!((manifest.digest(), manifest.bytes()), (Digest::of(data), data));
                written_again(&manifest.into_value());
            }
            Err(error) => said(&error),
        }
        match index {
            Ok(index) => {
                assert_eq!((index.digest(), index.bytes()), (Digest::of(data), data));
                let _ = (index.platforms(), index.for_platform(&Platform::linux("amd64")));
                written_again(&index.into_value());
            }
            Err(error) => said(&error),
        }
    }
    match read::<ImageConfig>(data) {
        Ok(config) => {
            let _ = config.platform().to_string();
            written_again(&config);
        }
        Err(error) => said(&error),
    }
    if let Ok(descriptor) = read::<Descriptor>(data) {
        written_again(&descriptor);
    }
}

fn written_again<T: Serialize + Shaped + PartialEq + std::fmt::Debug>(value: &T) {
    let Ok(bytes) = canonical(value) else { panic!("a document that cannot be written: {value:?}") };
    match read::<T>(&bytes) {
        Ok(back) => {
            assert_eq!(&back, value, "another document when written again");
            assert_eq!(canonical(&back).ok(), Some(bytes), "written in two ways");
        }
        Err(error) => panic!("refused when written again ({error:?}): {}", String::from_utf8_lossy(&bytes)),
    }
}

/// A reference, a digest, a platform: each reads back equal, and none climbs.
pub fn reference(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match text.parse::<Reference>() {
        Ok(reference) => {
            let shown = reference.to_string();
            assert_eq!(shown.parse(), Ok(reference), "another reference when read again");
            assert!(!shown.split(['/', ':']).any(|part| part == ".."), "a reference that climbs: {shown}");
            assert!(shown.chars().all(|c| c.is_ascii_graphic()), "a reference that cannot be shown: {shown:?}");
        }
        Err(error) => said(&error),
    }
    match text.parse::<Digest>() {
        Ok(digest) => assert_eq!(digest.to_string(), text, "two ways to write a digest"),
        Err(error) => said(&error),
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform), "another platform when read again");
    }
}

/// A place: reads back equal.
pub fn place(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match Place::parse(text) {
        Ok(place) => assert_eq!(Place::parse(&place.to_string()), Ok(place), "another place when read again"),
        Err(error) => said(&error),
    }
}
