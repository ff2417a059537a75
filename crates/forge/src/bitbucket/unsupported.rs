//! Calls without an equivalent at Bitbucket.

use super::Bitbucket;
use crate::{Delivery, Error, HookScope, Listing, NewState, OpenItem, PullRequestDetails};

pub(super) fn unsupported<T>(operation: &str) -> Result<T, Error> {
    Err(Error::Unsupported { operation: operation.to_owned() })
}

impl Bitbucket {
    /// Bitbucket shows deliveries only on its website.
    pub async fn deliveries(&self, _scope: &HookScope, _hook: u64) -> Result<Vec<Delivery>, Error> {
        unsupported("list deliveries")
    }

    pub async fn pull_request_details(&self, _full_name: &str, _number: u64) -> Result<PullRequestDetails, Error> {
        unsupported("read the details of a pull request")
    }

    pub(crate) async fn open_issues(&self, _full_name: &str) -> Result<Listing<OpenItem>, Error> {
        unsupported("list issues")
    }

    pub async fn diff(&self, _full_name: &str, _number: u64) -> Result<String, Error> {
        unsupported("read a diff")
    }

    pub async fn set_state(&self, _full_name: &str, _number: u64, _state: NewState) -> Result<(), Error> {
        unsupported("close or reopen")
    }

    pub async fn create_comment_once(
        &self,
        _full_name: &str,
        _number: u64,
        _body: &str,
        _key: &str,
    ) -> Result<(), Error> {
        unsupported("create a comment once")
    }

    /// Does nothing: Bitbucket notifies reviewers anyway. Adding one could undo concurrent edits, and names are not unique.
    pub async fn request_reviewers(&self, _full_name: &str, _number: u64, _logins: &[&str]) -> Result<(), Error> {
        Ok(())
    }
}
