//! How much may come out of what is unpacked: archives, packages, wheels, layers of bases.

/// The most that there may be of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    count: u64,
    /// The key of the recipe's `[limits]` that says another.
    key: Option<&'static str>,
}

impl Most {
    /// A most that nobody can change.
    pub const fn of(count: u64) -> Self {
        Most { count, key: None }
    }

    /// How many.
    pub fn count(self) -> u64 {
        self.count
    }

    /// What a message about more than that ends with: where to allow more, or nothing.
    pub fn advice(self) -> String {
        self.key.map(|key| format!(" (`{key}` in the recipe's `[limits]` allows more)")).unwrap_or_default()
    }
}

impl From<u64> for Most {
    fn from(count: u64) -> Self {
        Most::of(count)
    }
}

/// What a recipe says of it; without a recipe, what is usual holds. None of it changes what is made, so none is in keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one of them may have once it is decompressed.
    pub unpacked: Option<u64>,
    /// Files, directories and links that one of them may have.
    pub entries: Option<u64>,
    /// How many times its own size a large wheel may have once it is decompressed.
    pub ratio: Option<u64>,
    /// Whether there is a recipe that could say more.
    pub has_recipe: bool,
}

impl Limits {
    /// The most bytes, where so many are usual.
    pub fn unpacked(&self, usual: u64) -> Most {
        self.most("unpacked", self.unpacked, usual)
    }

    /// The most entries, where so many are usual.
    pub fn entries(&self, usual: u64) -> Most {
        self.most("entries", self.entries, usual)
    }

    /// The highest ratio, where that is usual.
    pub fn ratio(&self, usual: u64) -> Most {
        self.most("ratio", self.ratio, usual)
    }

    fn most(&self, key: &'static str, said: Option<u64>, usual: u64) -> Most {
        Most { count: said.unwrap_or(usual), key: self.has_recipe.then_some(key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_usual_and_a_key_is_named_where_there_is_a_recipe() {
        let said = Limits { unpacked: Some(5), has_recipe: true, ..Limits::default() };
        assert_eq!((said.unpacked(9).count(), said.entries(9).count(), said.ratio(9).count()), (5, 9, 9));
        assert!(said.unpacked(9).advice().contains("`unpacked`") && said.entries(9).advice().contains("`entries`"));
        assert_eq!((Limits::default().ratio(9), Limits::default().ratio(9).advice()), (Most::of(9), String::new()));
    }
}
