//! Marks each write, so that a repeat recognises its own effect.
//! If the answer to a conditional write is lost, the SDK sends the write again, and its condition is refused although
//! the first write succeeded. Every write therefore stores a random mark, and on refusal compares it with the old item.

use aws_sdk_dynamodb::types::AttributeValue;
use rand::RngExt;
use std::collections::HashMap;

pub(crate) const ATTRIBUTE: &str = "mark";

/// The mark of one write; also its ClientRequestToken in a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn random() -> Self {
        let bits: u128 = rand::rng().random();
        Self(format!("{bits:032x}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn value(&self) -> AttributeValue {
        AttributeValue::S(self.0.clone())
    }

    pub(crate) fn is_on(&self, item: Option<&HashMap<String, AttributeValue>>) -> bool {
        item.and_then(|item| item.get(ATTRIBUTE)) == Some(&self.value())
    }
}
