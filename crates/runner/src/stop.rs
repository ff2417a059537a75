//! Why a step ended without its result.

use crate::inputs::orders::Order;
use pullyard_domain::failure::Failure;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Failed(Failure),
    Ordered(Order),
    Asks(String),
    /// The attempt yielded its job, which continues later.
    Rests,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
