//! Stores each version of an item once and numbers it, which keeps states small.

use std::collections::HashMap;
use std::fmt::Debug;

pub(crate) type ItemVersion = u16;

pub(crate) struct Items<T> {
    versions: Vec<T>,
    numbers: HashMap<String, ItemVersion>,
}

impl<T: Debug> Items<T> {
    pub(crate) fn new() -> Self {
        Self { versions: Vec::new(), numbers: HashMap::new() }
    }

    pub(crate) fn number(&mut self, item: T) -> ItemVersion {
        *self.numbers.entry(format!("{item:?}")).or_insert_with(|| {
            self.versions.push(item);
            ItemVersion::try_from(self.versions.len() - 1).unwrap()
        })
    }

    pub(crate) fn get(&self, value: ItemVersion) -> &T {
        &self.versions[usize::from(value)]
    }
}
