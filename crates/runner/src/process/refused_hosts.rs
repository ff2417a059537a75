//! Collects the hosts to which an attempt's sandbox refused connections, each once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Prevents an agent that invents names from filling the log.
const MAX_HOSTS: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct RefusedHosts(Mutex<BTreeSet<String>>);

impl RefusedHosts {
    /// Returns whether the host is new, so that the log gets one line for it.
    pub(crate) fn insert(&self, host: &str) -> bool {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.len() < MAX_HOSTS && hosts.insert(host.to_owned())
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_new_once_and_up_to_a_limit() {
        let hosts = RefusedHosts::default();
        assert!(hosts.insert("a.example") && !hosts.insert("a.example"));
        let new = (0..1_000).filter(|n| hosts.insert(&format!("{n}.example"))).count();
        assert_eq!((new, hosts.list().len()), (MAX_HOSTS - 1, MAX_HOSTS));
    }
}
