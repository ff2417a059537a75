//! Everything in one process: the embedded AWS, the functions' libraries, the demo forge.
//!
//! Nothing here knows a use case. Every request passes the gateway as an API Gateway event through a
//! function's library, every message and state change as its own event; the runner is a child process
//! that the embedded ECS starts. The functions share nothing but the services' addresses.

mod deploy;
mod environment;
mod error;
mod folder;
mod functions;
mod keys;
mod system;

pub use deploy::Deploy;
pub use environment::load_environment;
pub use error::Error;
pub use folder::{Addresses, is_abandoned};
pub use pullyard_demo_forge::{AccountKind, DemoForge, Error as ForgeError, Remark, Role, User, link};
pub use pullyard_entry::{Clock, telemetry};
pub use system::{Between, Hints, Invocations, Local, Options, TaskEnvironment};
