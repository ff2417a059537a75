//! Why a step ended without its result.

use crate::inputs::orders::Order;
use pullyard_domain::failure::Failure;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Failure(Failure),
    Order(Order),
    Question(String),
    Yielded,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
