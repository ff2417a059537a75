//! The items of a world: each is kept once and named by a number, so that states are small.

use std::collections::HashMap;
use std::fmt::Debug;

/// The number of an item as it was at some time.
pub(super) type Value = u16;

pub(super) struct Items<T> {
    all: Vec<T>,
    numbers: HashMap<String, Value>,
}

impl<T: Debug> Items<T> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new() }
    }

    pub(super) fn number(&mut self, item: T) -> Value {
        *self.numbers.entry(format!("{item:?}")).or_insert_with(|| {
            self.all.push(item);
            Value::try_from(self.all.len() - 1).unwrap()
        })
    }

    pub(super) fn get(&self, value: Value) -> &T {
        &self.all[usize::from(value)]
    }
}
