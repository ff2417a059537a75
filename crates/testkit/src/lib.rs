//! What tests of several rooms break things with. Nothing that is deployed links it.

mod dice;
mod fault;
mod lag;
mod schedule;
mod wire;

pub use fault::Fault;
pub use lag::{Ask, Asked, Lag, Passing};
pub use schedule::Schedule;
pub use wire::{Point, Wire};
