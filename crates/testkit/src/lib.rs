//! What tests of several rooms break things with. Nothing that is deployed links it.

mod fault;
mod proxy;
mod wire;

pub use fault::Fault;
pub use proxy::Proxy;
pub use wire::{Point, Wire};
