//! Runs the whole system in one process: embedded AWS, functions, demo forge.
//! The functions receive API Gateway and AWS events. Runners are child processes of the embedded ECS.

mod error;
mod folder;
mod functions;
mod keys;
mod machine;
mod options;
mod resources;
mod system;

pub use error::Error;
pub use folder::{Addresses, is_abandoned};
pub use options::{AwsProxies, FunctionOverrides, HintDelivery, Options};
pub use pullyard_demo_forge::{
    AccountKind, DemoForge, Error as ForgeError, LineComment, RepositoryFault, Role, User, check_linked_repository,
    check_repository, link,
};
pub use pullyard_entry::{Clock, Disk, LOCAL_FORGE, telemetry};
pub use system::{Invocations, LocalSystem};
