//! Builds a service client at its first use, because an unused client would cost time and memory in a cold start.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

type Init<C> = Box<dyn FnOnce() -> C + Send>;

pub(crate) struct Lazy<C>(Arc<LazyLock<C, Init<C>>>);

impl<C> Lazy<C> {
    pub(crate) fn new(make: impl FnOnce() -> C + Send + 'static) -> Self {
        let make: Init<C> = Box::new(make);
        Self(Arc::new(LazyLock::new(make)))
    }
}

impl<C> Clone for Lazy<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for Lazy<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> fmt::Debug for Lazy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lazy { .. }")
    }
}
