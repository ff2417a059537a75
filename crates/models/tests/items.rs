//! Stores each version of an item once and numbers it, which keeps states small.

use std::collections::HashMap;
use std::fmt::Debug;

pub(crate) type Value = u16;

pub(crate) struct Items<T> {
    all: Vec<T>,
    numbers: HashMap<String, Value>,
}

impl<T: Debug> Items<T> {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), numbers: HashMap::new() }
    }

    pub(crate) fn number(&mut self, item: T) -> Value {
        *self.numbers.entry(format!("{item:?}")).or_insert_with(|| {
            self.all.push(item);
            Value::try_from(self.all.len() - 1).unwrap()
        })
    }

    pub(crate) fn get(&self, value: Value) -> &T {
        &self.all[usize::from(value)]
    }
}
