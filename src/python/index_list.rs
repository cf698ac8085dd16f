//! The indexes that packages come from, by the names that a lock gives them.

use url::Url;

use super::PackageName;

/// Indexes, the most preferred first.
#[derive(Clone, Default)]
pub struct IndexList(Vec<NamedIndex>);

/// One index. Its address may hold credentials: it is not for messages.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedIndex {
    /// Its name in the lock.
    pub name: String,
    /// Its root, with a slash at the end; of a flat one, the page with all files.
    pub address: Url,
    /// Whether it is one page with links (`--find-links`), and not one for each package.
    pub flat: bool,
}

impl NamedIndex {
    /// Where the page of a package is.
    pub fn page(&self, package: &PackageName) -> Url {
        match self.flat {
            true => self.address.clone(),
            // A normalised name holds nothing that would have to be escaped.
            false => self.address.join(&format!("{package}/")).unwrap_or_else(|_| self.address.clone()),
        }
    }
}

impl std::fmt::Debug for NamedIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl std::fmt::Debug for IndexList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl IndexList {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one after the others; a second one of a name is passed over.
    pub fn add(&mut self, name: impl Into<String>, mut address: Url, flat: bool) {
        let name = name.into();
        if !flat && !address.path().ends_with('/') {
            let path = format!("{}/", address.path());
            address.set_path(&path);
        }
        if self.get(&name).is_none() {
            self.0.push(NamedIndex { name, address, flat });
        }
    }

    /// The index of that name.
    pub fn get(&self, name: &str) -> Option<&NamedIndex> {
        self.0.iter().find(|index| index.name == name)
    }

    /// All, the most preferred first.
    pub fn iter(&self) -> impl Iterator<Item = &NamedIndex> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lie_below_the_root() {
        let mut list = IndexList::new();
        list.add("default", "https://u:p@example.com/simple".parse().unwrap(), false);
        list.add("default", "https://other.example.com/".parse().unwrap(), false);
        list.add("links-1", "https://example.com/links.html".parse().unwrap(), true);
        let name = "a-b".parse().unwrap();
        let page = |index: &str| list.get(index).unwrap().page(&name).to_string();
        assert_eq!(page("default"), "https://u:p@example.com/simple/a-b/");
        assert_eq!(page("links-1"), "https://example.com/links.html");
        assert_eq!(list.len(), 2);
        assert_eq!(format!("{list:?}"), "[default, links-1]");
    }
}
