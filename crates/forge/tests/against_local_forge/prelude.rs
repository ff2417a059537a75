//! Names that most tests of the forge clients use.

pub(crate) use crate::world::{REPOSITORY, assert_success, http};
pub(crate) use pullyard_fake_forge::TestForge as _;
pub(crate) use pullyard_forge::{Endpoint, Forge, GitHub, Token};
pub(crate) use serde_json::{Value, json};
pub(crate) use tokio::net::TcpListener;
