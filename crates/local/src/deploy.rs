//! Lets a test replace functions of the local system.

use pullyard_emulator::lambda::Function;
use pullyard_entry::Config;
use std::sync::Arc;

#[derive(Clone)]
pub struct FunctionOverrides(Arc<OverrideFn>);

/// Returns the replacement of the function with this name, or `None` to run its library.
type OverrideFn = dyn Fn(&'static str, &Config) -> Option<Function> + Send + Sync;

impl FunctionOverrides {
    /// The system calls `deploy` once for each function when it starts.
    pub fn new(deploy: impl Fn(&'static str, &Config) -> Option<Function> + Send + Sync + 'static) -> Self {
        Self(Arc::new(deploy))
    }

    pub(crate) fn find(&self, name: &'static str, config: &Config) -> Option<Function> {
        (self.0)(name, config)
    }
}

impl std::fmt::Debug for FunctionOverrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deploy { .. }")
    }
}
