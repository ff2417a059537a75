//! How a test runs a function in place of its library.

use pullyard_emulator::lambda::Function;
use pullyard_entry::Config;
use std::sync::Arc;

/// Runs functions in place of their libraries, by name and configuration; none leaves the library.
#[derive(Clone)]
pub struct Deploy(Arc<Choose>);

/// The function of this name, or `None` to run its library.
type Choose = dyn Fn(&'static str, &Config) -> Option<Function> + Send + Sync;

impl Deploy {
    /// Called once for each function when the system starts.
    pub fn new(deploy: impl Fn(&'static str, &Config) -> Option<Function> + Send + Sync + 'static) -> Self {
        Self(Arc::new(deploy))
    }

    /// The function of this name: the deployed one, or its library.
    pub(crate) async fn or(
        deploy: Option<&Self>,
        name: &'static str,
        config: &Config,
        library: impl Future<Output = Function>,
    ) -> Function {
        match deploy.and_then(|deploy| (deploy.0)(name, config)) {
            Some(function) => function,
            None => library.await,
        }
    }
}

impl std::fmt::Debug for Deploy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deploy { .. }")
    }
}
