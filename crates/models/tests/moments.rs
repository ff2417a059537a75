//! The few moments of time in a model.

use crate::fixtures::at;
use pullyard_domain::text::time::Timestamp;

/// Moments at which jobs may be claimed. Later moments follow, hours apart, without starts. Units: seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments(pub(super) &'static [u64]);

impl Moments {
    /// The first moment without starts and claims, so that every exploration ends.
    pub(crate) fn first_without_starts(self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    pub(crate) fn last(self) -> u8 {
        self.first_without_starts() + 3
    }

    pub(crate) fn time(self, moment: u8) -> Timestamp {
        let hours = || [2, 30, 60, 90][usize::from(moment - self.first_without_starts())] * 3_600;
        at(self.0.get(usize::from(moment)).copied().unwrap_or_else(hours))
    }
}
