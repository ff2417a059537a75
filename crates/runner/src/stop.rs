//! The reasons why a step ends without its result.

use crate::inputs::orders::Order;
use pullyard_domain::text::failure::Failure;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Failure(Failure),
    Order(Order),
    Question(String),
    Yielded,
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Failure::WorkspaceFailed { reason: error.to_string() }.into()
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
