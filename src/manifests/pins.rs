//! The digests that are known, and which of them a reference means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::oci::{Digest, Reference};

use super::Why;

/// The scheme of references by an image's name in the recipe: `lapstrake://web`, `lapstrake://server/k8s`.
pub const OWN: &str = "lapstrake://";

/// An image that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mention {
    /// By its name in the recipe, `IMAGE` or `IMAGE/VARIANT`.
    Own(String),
    /// By where it is.
    Reference(Reference),
}

impl Mention {
    /// What a text names.
    ///
    /// # Errors
    /// [`Why`] it names nothing that could be pinned.
    pub fn parse(text: &str) -> Result<Self, Why> {
        if text.contains("{{") || text.contains('$') {
            return Err(Why::Template);
        }
        if let Some(name) = text.strip_prefix(OWN) {
            return Ok(Mention::Own(name.to_owned()));
        }
        text.parse()
            .map(Mention::Reference)
            .map_err(|error: crate::oci::reference::ReferenceError| Why::NoReference(error.to_string()))
    }
}

/// An image of which the digest is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name in the recipe, `IMAGE` or `IMAGE/VARIANT`, where that is known.
    pub image: Option<String>,
    /// Where it is: registry and repository count, and its tag is the one to call it by. `None` where the recipe names no
    /// repository.
    pub repository: Option<Reference>,
    /// Its tags; `None` where they are not known.
    pub tags: Option<BTreeSet<String>>,
    /// Its digest.
    pub digest: Digest,
    /// Whether the recipe has no other image in that repository: then it is meant there whatever the tag.
    pub is_alone: bool,
}

impl Pin {
    /// The tag to call it by, where nothing says another.
    pub fn first_tag(&self) -> Option<&str> {
        let named = self.repository.as_ref().and_then(Reference::tag);
        named.or_else(|| self.tags.iter().flatten().next().map(String::as_str))
    }
}

/// What is known; the first that fits counts.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// Images of which the digest is known.
    pub known: Vec<Pin>,
    /// The names of all images of the recipe, `IMAGE` or `IMAGE/VARIANT`.
    pub images: BTreeSet<String>,
    /// How many are known, and those of each repository.
    pub(super) by_repository: OnceLock<(usize, BTreeMap<String, Vec<usize>>)>,
}

impl Pins {
    /// The image that a manifest names.
    ///
    /// # Errors
    /// [`Why`] it is not known.
    pub fn find(&self, mention: &Mention) -> Result<&Pin, Why> {
        match mention {
            Mention::Own(name) => self.own(name),
            Mention::Reference(reference) => self.referred(reference),
        }
    }

    fn own(&self, name: &str) -> Result<&Pin, Why> {
        let found = self.known.iter().find(|pin| pin.image.as_deref() == Some(name));
        let pin = found.ok_or_else(|| match self.images.contains(name) {
            true => Why::NoDigest,
            false => Why::NoImage { wanted: name.to_owned(), images: self.images.clone() },
        })?;
        match pin.repository {
            Some(_) => Ok(pin),
            None => Err(Why::NoRepository),
        }
    }

    /// Those of one repository, in their order.
    fn of_repository(&self, name: &str) -> Vec<&Pin> {
        let name_of = |pin: &Pin| pin.repository.as_ref().map(Reference::name);
        let (count, by_repository) = self.by_repository.get_or_init(|| {
            let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (number, name) in self.known.iter().map(name_of).enumerate() {
                name.into_iter().for_each(|name| found.entry(name).or_default().push(number));
            }
            (self.known.len(), found)
        });
        // What is known grows and does not change.
        let later = self.known.iter().skip(*count).filter(|pin| name_of(pin).as_deref() == Some(name));
        let before = by_repository.get(name).into_iter().flatten().filter_map(|number| self.known.get(*number));
        before.chain(later).collect()
    }

    fn referred(&self, reference: &Reference) -> Result<&Pin, Why> {
        let here = self.of_repository(&reference.name());
        if here.is_empty() {
            return Err(Why::Unnamed);
        }
        let tagged =
            |tag: &str| here.iter().find(|pin| pin.tags.as_ref().is_some_and(|tags| tags.contains(tag))).copied();
        // That nothing else is known of a repository does not say that it holds nothing else.
        let mut alone = here.iter().filter(|pin| pin.is_alone).copied();
        let alone = alone.next().filter(|first| alone.all(|pin| pin.digest == first.digest));
        let unknown = || match here.iter().map(|pin| pin.tags.clone()).collect::<Option<Vec<_>>>() {
            Some(tags) => Why::OtherTags(tags.into_iter().flatten().collect()),
            None => Why::NoTags,
        };
        let same = |digest| here.iter().find(|pin| pin.digest == digest).copied();
        match (reference.tag(), reference.digest()) {
            (Some(tag), None) => tagged(tag).or(alone.filter(|pin| pin.tags.is_none())).ok_or_else(unknown),
            // What was pinned: the one image of the repository, whatever its tag is today.
            (Some(tag), Some(digest)) => tagged(tag).or(same(digest)).or(alone).ok_or_else(unknown),
            (None, Some(digest)) => same(digest).or(alone).ok_or(Why::DigestAlone),
            (None, None) => tagged("latest").or(alone).ok_or_else(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(repository: &str, tags: Option<&[&str]>, digest: char) -> Pin {
        Pin {
            image: None,
            is_alone: false,
            repository: Some(repository.parse().unwrap()),
            tags: tags.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect()),
            digest: format!("sha256:{}", String::from(digest).repeat(64)).parse().unwrap(),
        }
    }

    fn alone(pin: &Pin) -> Pin {
        Pin { is_alone: true, ..pin.clone() }
    }

    fn find(pins: &[Pin], text: &str) -> Result<char, Why> {
        let pins = Pins { known: pins.to_vec(), ..Pins::default() };
        let found = pins.find(&Mention::parse(text)?)?;
        Ok(found.digest.to_string().pop().unwrap_or_default())
    }

    #[test]
    fn a_tag_finds_its_image_and_no_other() {
        let pins = [pin("r.io/a", Some(&["1", "latest"]), '1'), pin("r.io/a", Some(&["k8s"]), '2')];
        assert_eq!(find(&pins, "r.io/a:1"), Ok('1'));
        assert_eq!(find(&pins, "r.io/a:k8s"), Ok('2'));
        assert_eq!(find(&pins, "r.io/a"), Ok('1'), "latest");
        assert!(matches!(find(&pins, "r.io/a:2"), Err(Why::OtherTags(tags)) if tags.len() == 3));
        assert_eq!(find(&pins, "r.io/b:1"), Err(Why::Unnamed));
        assert!(matches!(find(&pins[1..], "r.io/a"), Err(Why::OtherTags(_))), "no tag is `latest`");
        assert_eq!(find(&[alone(&pins[1])], "r.io/a"), Ok('2'), "the one image of the repository");
        assert!(matches!(find(&[alone(&pins[1])], "r.io/a:1"), Err(Why::OtherTags(_))));
        assert_eq!(find(&[pin("debian", Some(&["13"]), '3')], "docker.io/library/debian:13"), Ok('3'));
    }

    #[test]
    fn where_tags_are_not_known_the_one_image_of_the_recipe_is_meant() {
        let pins = [pin("r.io/a", None, '1'), pin("r.io/a", Some(&["2"]), '2')];
        for text in ["r.io/a", "r.io/a:any"] {
            assert_eq!(find(&pins[..1], text), Err(Why::NoTags), "{text}: others may be there");
            assert_eq!(find(&pins, text), Err(Why::NoTags), "{text}");
            assert_eq!(find(&[alone(&pins[0])], text), Ok('1'), "{text}");
            assert_eq!(find(&[alone(&pins[0]), alone(&pins[0])], text), Ok('1'), "{text}");
            assert_eq!(find(&[alone(&pins[0]), alone(&pin("r.io/a", None, '3'))], text), Err(Why::NoTags), "{text}");
        }
        assert_eq!(find(&pins, "r.io/a:2"), Ok('2'));
    }

    /// Neither that another digest is known of the repository, nor that one is `latest`, says what a digest was.
    #[test]
    fn a_digest_alone_moves_where_the_recipe_says_what_it_names() {
        let fixed = |digest: char| format!("r.io/a@sha256:{}", String::from(digest).repeat(64));
        let pins = [pin("r.io/a", Some(&["latest"]), '1'), pin("r.io/a", Some(&["k8s"]), '2')];
        assert_eq!(find(&pins, &fixed('2')), Ok('2'));
        assert_eq!(find(&pins, &fixed('3')), Err(Why::DigestAlone));
        assert_eq!(find(&pins[..1], &fixed('3')), Err(Why::DigestAlone));
        assert_eq!(find(&[alone(&pins[0])], &fixed('3')), Ok('1'));
        let tagged = |digest: char, tag: &str| fixed(digest).replace('@', &format!(":{tag}@"));
        assert_eq!(find(&pins, &tagged('3', "k8s")), Ok('2'), "the tag says it");
        assert_eq!(find(&[alone(&pins[0])], &tagged('3', "gone")), Ok('1'), "the tag of another commit");
        assert!(matches!(find(&pins, &tagged('3', "gone")), Err(Why::OtherTags(_))), "of which of the two");
        assert_eq!(find(&pins, &tagged('2', "gone")), Ok('2'), "the digest says it");
    }
}
