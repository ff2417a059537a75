//! What tests of several rooms break things with. Nothing that is deployed links it.

mod fault;
mod meter;
mod wire;

pub use fault::Fault;
pub use meter::{Meter, Units};
pub use wire::{Point, Wire};
