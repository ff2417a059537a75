//! How a step ends when it does not end well. A step either gives its typed outcome or one of these.

use crate::inputs::orders::Order;
use pullyard_domain::failure::Failure;

/// Why an attempt goes no further.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Failed(Failure),
    Ordered(Order),
    Asks(String),
    /// Its job was given back, and goes on later.
    Rests,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
