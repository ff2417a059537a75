//! The disk of a deployment on one machine, which stores the table and the work folders.

use std::fmt;
use std::sync::Arc;

/// Below this, the table refuses every write. Units: bytes.
const MIN_FREE_BYTES: u64 = 4 << 20;

/// Reads the free bytes of the disk. The default has no limit, as on AWS.
#[derive(Clone, Default)]
pub struct Disk(Option<Arc<dyn Fn() -> Option<u64> + Send + Sync>>);

impl Disk {
    pub fn new(free_bytes: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(free_bytes)))
    }

    pub fn is_full(&self) -> bool {
        self.free_bytes().is_some_and(|free| free < MIN_FREE_BYTES)
    }

    /// `None` without a limit, as on AWS.
    pub fn free_bytes(&self) -> Option<u64> {
        self.0.as_ref().and_then(|free_bytes| free_bytes())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Disk").field(&self.is_full()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_is_full_below_four_megabytes() {
        for (free, expected) in [(None, false), (Some(0), true), (Some((4 << 20) - 1), true), (Some(4 << 20), false)] {
            assert_eq!(Disk::new(move || free).is_full(), expected, "{free:?}");
        }
        assert!(!Disk::default().is_full());
    }
}
