//! Stores each version of an item once and numbers it, which keeps states small.

use std::collections::HashMap;
use std::fmt::Debug;

pub(crate) type Value = u16;

/// The number of ways to swap names.
const WAYS: usize = 3;

pub(crate) struct Items<T> {
    all: Vec<T>,
    numbers: HashMap<String, Value>,
    /// For each version, the number of its renamed version, once computed.
    renamed: Vec<[Option<Value>; WAYS]>,
}

impl<T: Debug> Items<T> {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new(), renamed: Vec::new() }
    }

    pub(crate) fn number(&mut self, item: T) -> Value {
        *self.numbers.entry(format!("{item:?}")).or_insert_with(|| {
            self.all.push(item);
            self.renamed.push([None; WAYS]);
            Value::try_from(self.all.len() - 1).unwrap()
        })
    }

    /// The number of this version with its names swapped in this way.
    pub(crate) fn renamed(&mut self, value: Value, way: usize, rename: impl FnOnce(&T) -> T) -> Value {
        let at = usize::from(value);
        if let Some(known) = self.renamed[at][way] {
            return known;
        }
        let renamed = self.number(rename(&self.all[at]));
        self.renamed[at][way] = Some(renamed);
        renamed
    }

    pub(crate) fn get(&self, value: Value) -> &T {
        &self.all[usize::from(value)]
    }
}
