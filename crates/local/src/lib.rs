//! Runs the whole system in one process: embedded AWS, functions, local forge.
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
pub use pullyard_entry::{Clock, Disk, LOCAL_FORGE, telemetry};
pub use pullyard_local_forge::{
    AccountKind, Error as ForgeError, LineComment, LocalForge, RepositoryFault, Role, User, check_linked_repository,
    check_repository, link,
};
pub use system::{Invocations, LocalSystem};
