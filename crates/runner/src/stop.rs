//! How a step ends when it does not end well. A step either gives its typed outcome or one of these.

use crate::orders::Order;
use pullyard_domain::failure::Failure;

/// Why an attempt goes no further.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The job failed.
    Failed(Failure),
    /// Somebody ended it.
    Ordered(Order),
    /// Its agent asks something.
    Asks(String),
    /// Its job was given back, and goes on later.
    Rests,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
