//! Creates the first admin token of a stack, which no API call can create.
//! Writes directly to the table, because an operator who may do that already has all rights.

use crate::{Aws, Error, Stack};
use pullyard_domain::project::token::{Scope, TokenKind};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Store, Token, Write, to_stored_token};
use std::time::{Duration, SystemTime};

/// Tries while other processes write concurrently.
const MAX_TRIES: u32 = 5;
const MAX_TOKENS_SEARCHED: i32 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    Never,
    First,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstTokenOutcome {
    Created,
    AlreadyExists,
    /// Another admin token is valid. The table was not changed.
    OtherAdmin {
        name: String,
        prefix: String,
    },
    /// This token exists but was revoked, has expired, or is limited. Nothing changed; a retry has the same result.
    Unusable {
        name: String,
        prefix: String,
    },
}

pub fn generate_token() -> String {
    let hex: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{hex}", TokenKind::Api.prefix())
}

/// Makes `token` the first admin token. Save it before the call, so that a crash after the write does not lose it.
/// Idempotent: by the token. If two callers race with different tokens, one gets `OtherAdmin`.
pub async fn create_first_token(
    aws: &Aws,
    stack: &Stack,
    token: &str,
    renew: Renew,
) -> Result<FirstTokenOutcome, Error> {
    let store = open_store(aws, stack);
    let now = Timestamp::from(SystemTime::now());
    let new = to_stored_token(token, "admin", [Scope::Admin].into(), None);
    for _ in 0..MAX_TRIES {
        let first = match store.load_first_token().await? {
            Some(hash) => Some((store.load_token(&hash).await?, hash)),
            None => None,
        };
        let is_usable = |token: &Token| token.is_valid(now) && is_admin(token);
        match &first {
            Some((Some(existing), hash)) if *hash == new.hash && is_usable(existing) => {
                return Ok(FirstTokenOutcome::AlreadyExists);
            }
            Some((Some(existing), _)) if is_usable(existing) && renew == Renew::Never => {
                return Ok(other_admin(existing));
            }
            _ => {}
        }
        if renew == Renew::Never
            && let Some(other) = find_other_admin(&store, &new.hash, now).await?
        {
            return Ok(other_admin(&other));
        }
        // The store never changes an existing token.
        if let Some(existing) = store.load_token(&new.hash).await? {
            return Ok(if is_usable(&existing) { other_admin(&existing) } else { unusable(existing) });
        }
        let previous = first.as_ref().map(|(_, hash)| hash.as_str());
        if store.put_first_token(&new, previous).await? == Write::Applied {
            return Ok(FirstTokenOutcome::Created);
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..200))).await;
    }
    Err(Error::Table {
        reason: "store the first token: another command stored one at the same time".into(),
        transient: true,
    })
}

pub(crate) fn open_store(aws: &Aws, stack: &Stack) -> Store {
    Store::new(aws.sdk(), aws.sdk().endpoint_url(), &stack.table)
}

/// An admin token that the API created before the first token was revoked.
async fn find_other_admin(store: &Store, excluded: &str, now: Timestamp) -> Result<Option<Token>, Error> {
    let (hashes, _) = store.list_token_hashes(None, MAX_TOKENS_SEARCHED).await?;
    for hash in hashes.iter().filter(|hash| *hash != excluded) {
        let token = store.load_token(hash).await?;
        if let Some(token) = token.filter(|token| token.is_valid(now) && is_admin(token)) {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

fn is_admin(token: &Token) -> bool {
    token.kind == TokenKind::Api && token.projects.is_none() && token.scopes.contains(&Scope::Admin)
}

fn other_admin(token: &Token) -> FirstTokenOutcome {
    FirstTokenOutcome::OtherAdmin { name: token.name.clone(), prefix: token.prefix.clone() }
}

fn unusable(token: Token) -> FirstTokenOutcome {
    FirstTokenOutcome::Unusable { name: token.name, prefix: token.prefix }
}
