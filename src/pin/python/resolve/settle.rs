//! From wheels that were chosen to pins: which index has each, and how long it is.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::super::inputs::What;
use super::super::local::LocalWheel;
use super::super::own_url;
use super::{Error, Found, Resolving, SIDE_BY_SIDE, check_python, pin_of, without_secrets};
use crate::content::Content;
use crate::lock::WheelPin;
use crate::oci::Digest;
use crate::parallel;
use crate::python::debian_names::advice;
use crate::python::index::{ACCEPT, MAX_PAGE};
use crate::python::install::read_metadata;
use crate::python::pylock::Place;
use crate::python::requirements::{Locked, beside};
use crate::python::zip::Limits;
use crate::python::{IndexError, IndexFile, IndexList, NamedIndex, PackageName, Page};
use crate::shown::Shown;
use crate::supply::{Supply, SupplyError, Wanted};

/// How many packages a message names.
const NAMED: usize = 5;

impl Resolving<'_> {
    /// From wheels that were chosen to pins: which index has each, and how long it is.
    pub(super) fn settle(
        &self,
        found: Vec<Found>,
        list: &IndexList,
        open: &BTreeSet<PackageName>,
    ) -> Result<Vec<WheelPin>, Error> {
        let local: BTreeMap<Digest, &LocalWheel> =
            self.inputs.links.iter().chain(self.inputs.wheels.iter()).map(|wheel| (wheel.sha256, wheel)).collect();
        let settled = parallel::map(&found, SIDE_BY_SIDE, |found| {
            if let Some(wheel) = local.get(&found.sha256) {
                return Ok(pin_of(wheel, found.requested));
            }
            self.settle_one(found, list, open)
        });
        settled.into_iter().collect()
    }

    fn settle_one(&self, found: &Found, list: &IndexList, open: &BTreeSet<PackageName>) -> Result<WheelPin, Error> {
        let pin = |index: &str, file: String, size: u64| found.pin(index, file, size);
        let name = found.wheel.to_string();
        let url = match &found.place {
            Place::Url(url) => url.parse::<Url>().map_err(|_| Error::Url { what: "place of a wheel" })?,
            Place::Path(path) => {
                let What::Pylock(lock, _) = &self.inputs.what else {
                    return Err(Error::Nowhere { file: name, looked: Vec::new() });
                };
                let wheel = LocalWheel::open(self.ask.context, &beside(lock, path))?;
                return match wheel.sha256 == found.sha256 {
                    true => Ok(pin_of(&wheel, found.requested)),
                    false => Err(Error::OtherFile { place: lock.clone(), path: Shown::new(path.as_bytes()) }),
                };
            }
        };
        let fetched = |url: &Url| -> Result<Content, Error> {
            let places = || Ok(vec![url.clone()]);
            let wanted = [Wanted { name: name.clone(), sha256: found.sha256, size: None, places: &places }];
            Ok(self.supply.files(&wanted)?.pop().unwrap_or_else(|| Content::inline(Vec::new())))
        };
        if found.direct {
            let size = match found.size {
                Some(size) => size,
                None => {
                    let content = fetched(&own_url(&self.inputs.what, &url))?;
                    let metadata = read_metadata(&found.wheel, &content, Limits::of(self.ask.limits))?;
                    check_python(&name, metadata.requires_python.as_deref(), &self.inputs.target)?;
                    content.len()
                }
            };
            return Ok(pin("", self.lockable(url).to_string(), size));
        }
        let look = open.contains(found.wheel.name()) && !self.supply.is_offline();
        if let (Some(size), Some(index)) = (found.size, &found.index) {
            return Ok(pin(index, name, size));
        }
        if let (Some(size), [index], false) = (found.size, &list.iter().collect::<Vec<_>>()[..], look) {
            return Ok(pin(&index.name, name, size));
        }
        let (mut looked, mut other, mut unsure) = (Vec::new(), None, None);
        for index in in_order(list, found.said.as_deref()) {
            let Some(page) = page(self.supply, index, found.wheel.name())? else { continue };
            looked.push(index.name.clone());
            match page.find(&name, &found.sha256) {
                Ok(file) if file.sha256.is_some() => {
                    return self.in_index(found, index, &page, file.clone(), look, fetched);
                }
                Ok(file) => unsure = unsure.or_else(|| Some((index, file.clone(), page.clone()))),
                Err(error @ IndexError::Digest { .. }) => other = other.or(Some((index.name.clone(), error))),
                Err(_) => {}
            }
        }
        // Without a digest, that of the index is known when the file is there.
        if let Some((index, file, page)) = unsure {
            return self.in_index(found, index, &page, file, look, fetched);
        }
        match other {
            Some((index, error)) => {
                Err(Error::Index { package: found.wheel.name().clone(), index, source: Box::new(error) })
            }
            None => Err(Error::Nowhere { file: name, looked }),
        }
    }

    /// The pin of a wheel that an index has.
    fn in_index(
        &self,
        found: &Found,
        index: &NamedIndex,
        page: &Page,
        file: IndexFile,
        look: bool,
        fetched: impl Fn(&Url) -> Result<Content, Error>,
    ) -> Result<WheelPin, Error> {
        check_python(&file.name, file.requires_python.as_deref(), &self.inputs.target)?;
        if look && let Some(newer) = page.newer_without_wheel(found.wheel.version()) {
            self.reporter.warn(format!(
                "{} {} is taken, since the newer {newer} has only a source archive, which would have to run code to install: {}",
                found.wheel.name(),
                found.wheel.version(),
                advice(found.wheel.name(), Some(&newer.to_string()))
            ));
        }
        let size = match found.size.or(file.size) {
            Some(size) => size,
            None => fetched(&file.url)?.len(),
        };
        Ok(found.pin(&index.name, found.wheel.to_string(), size))
    }

    /// A wheel's URL as it may stand in a lock. What is taken away of it is found again in the file of the context that asks
    /// for it; a lock of somebody else is all there is.
    fn lockable(&self, mut url: Url) -> Url {
        if matches!(self.inputs.what, What::Requirements(_) | What::Pyproject(..)) {
            return without_secrets(url);
        }
        let query = url.query().map(str::to_owned);
        url = without_secrets(url);
        url.set_query(query.as_deref());
        url
    }

    /// Whether versions were chosen here: then the order of the indexes decided whose packages these are.
    pub(super) fn is_solved(&self) -> Result<bool, Error> {
        Ok(match &self.inputs.what {
            What::Requirements(requirements) => matches!(requirements.locked()?, Locked::None(_)),
            What::Pyproject(..) => true,
            What::Nothing | What::Pylock(..) | What::UvLock(..) => false,
        })
    }

    /// Says which packages another index has too: whoever can put a package of that name into it decides nothing as long as
    /// the order stays as it is, and people should know.
    pub(super) fn tell_of_other_indexes(&self, pins: &[WheelPin], list: &IndexList) {
        if self.supply.is_offline() {
            return;
        }
        let mut also: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
        for index in list.iter().filter(|index| !index.flat) {
            let others: Vec<&WheelPin> =
                pins.iter().filter(|pin| !pin.index.is_empty() && pin.index != index.name).collect();
            let has = parallel::map(&others, SIDE_BY_SIDE, |pin| -> Result<bool, Error> {
                let Ok(name) = pin.name.parse::<PackageName>() else { return Ok(false) };
                Ok(page(self.supply, index, &name)?.is_some_and(|page| !page.files().is_empty()))
            });
            for (pin, has) in others.into_iter().zip(has) {
                match has {
                    Ok(true) => also.entry(&pin.name).or_insert((&pin.index, Vec::new())).1.push(&index.name),
                    Ok(false) => {}
                    Err(error) => {
                        self.reporter.note(format!(
                            "whether the index {} has packages of the same names is not known: {error}",
                            index.name
                        ));
                        break;
                    }
                }
            }
        }
        if also.is_empty() {
            return;
        }
        let count = also.len();
        let mut told: Vec<String> = also
            .into_iter()
            .take(NAMED)
            .map(|(name, (from, others))| format!("{name} (from {from}, also in {})", others.join(", ")))
            .collect();
        if count > NAMED {
            told.push(format!("{} more", count - NAMED));
        }
        self.reporter.warn(format!(
            "of packages that several indexes have, those of the first are taken: {}; where that is not the one that is meant, give `index` in the recipe, the most trusted one first",
            told.join(", ")
        ));
    }
}

/// The indexes, and before the others the one with that address.
fn in_order<'l>(list: &'l IndexList, said: Option<&str>) -> Vec<&'l NamedIndex> {
    let root = |url: Url| without_secrets(url).to_string().trim_end_matches('/').to_owned();
    let said = said.and_then(|text| text.parse::<Url>().ok()).map(root);
    let mut indexes: Vec<&NamedIndex> = list.iter().collect();
    indexes.sort_by_key(|index| said.as_ref().is_none_or(|said| root(index.address.clone()) != *said));
    indexes
}

/// The page of a package; `None` where the index has none.
pub(crate) fn page(supply: &dyn Supply, index: &NamedIndex, name: &PackageName) -> Result<Option<Page>, Error> {
    let document = match supply.document(&index.page(name), Some(ACCEPT), MAX_PAGE as u64) {
        Ok(document) => document,
        Err(SupplyError::Absent { .. } | SupplyError::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let page = Page::parse(name, &document.content_type, &document.bytes, &document.address);
    page.map(Some).map_err(|error| Error::Index {
        package: name.clone(),
        index: index.name.clone(),
        source: Box::new(error),
    })
}
