//! Proxies, faults and observers for the tests of several crates. No deployed program links this crate.

mod conditions;
mod direct;
mod fault;
mod lag;
pub mod lambda;
mod meter;
pub mod observe;
mod proxy;
mod receiver;
mod rng;
mod schedule;
mod signature;
mod split_batch;
mod wire;

pub use conditions::WriteConditions;
pub use direct::DirectClient;
pub use fault::Fault;
pub use lag::Lag;
pub use meter::{Meter, Units};
pub use proxy::Proxy;
pub use receiver::{Received, Receiver};
pub use rng::SeededRng;
pub use schedule::Schedule;
pub use signature::signed_headers;
pub use wire::{Point, Wire};
