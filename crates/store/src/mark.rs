//! The own mark of one write.
//!
//! When the answer to a conditional write is lost, the SDK sends it again, and the repeat meets its own
//! effect: a refused condition that was in truth a success. So every write stamps what it stores with a
//! random mark, asks for the old item on refusal, and knows its own mark there.

use aws_sdk_dynamodb::types::AttributeValue;
use rand::RngExt;
use std::collections::HashMap;

/// The attribute that carries it.
pub(crate) const ATTRIBUTE: &str = "mark";

/// The own mark of one write; also its ClientRequestToken when it is a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// A new random one: 32 hex digits.
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

    /// The stored item was written by this very write.
    pub(crate) fn is_on(&self, item: Option<&HashMap<String, AttributeValue>>) -> bool {
        item.and_then(|item| item.get(ATTRIBUTE)) == Some(&self.value())
    }
}
