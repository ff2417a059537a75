//! Creates the first admin token of a stack, which no API call can create.
//! Writes directly to the table, because an operator who may do that already has all rights.

use crate::{Aws, Error, Stack};
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::{Scope, TokenKind};
use pullyard_entry::auth::stored_token;
use pullyard_store::{Store, Token, Write};
use std::time::Duration;

/// Tries while other processes write concurrently.
const ROUNDS: u32 = 5;
const LOOKED_THROUGH: i32 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    Never,
    First,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstToken {
    Made,
    There,
    /// Another admin token is valid. The table was not changed.
    Taken {
        name: String,
        prefix: String,
    },
    /// This token exists but was revoked, has expired, or is limited. Nothing changed; a retry has the same result.
    Unfit {
        name: String,
        prefix: String,
    },
}

pub fn new_token() -> String {
    let hex: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{hex}", TokenKind::Api.prefix())
}

/// Makes `token` the first admin token. Save it before the call, so that a crash after the write does not lose it.
/// Idempotent: by the token. If two callers race with different tokens, one gets `Taken`.
pub async fn first_token(aws: &Aws, stack: &Stack, token: &str, renew: Renew) -> Result<FirstToken, Error> {
    let store = table(aws, stack);
    let now = aws.now();
    let new = stored_token(token, "admin", [Scope::Admin].into(), None);
    for _ in 0..ROUNDS {
        let first = match store.first_token().await? {
            Some(hash) => Some((store.token(&hash).await?, hash)),
            None => None,
        };
        let works = |token: &Token| token.is_good(now) && is_admin(token);
        match &first {
            Some((Some(there), hash)) if *hash == new.hash && works(there) => return Ok(FirstToken::There),
            Some((Some(there), _)) if works(there) && renew == Renew::Never => return Ok(taken(there)),
            _ => {}
        }
        if renew == Renew::Never
            && let Some(other) = another_admin(&store, &new.hash, now).await?
        {
            return Ok(taken(&other));
        }
        // The store never changes an existing token.
        if let Some(there) = store.token(&new.hash).await? {
            return Ok(if works(&there) { taken(&there) } else { unfit(there) });
        }
        let over = first.as_ref().map(|(_, hash)| hash.as_str());
        if store.put_first_token(&new, over).await? == Write::Applied {
            return Ok(FirstToken::Made);
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..200))).await;
    }
    Err(Error::Table {
        reason: "store the first token: another command stored one at the same time".into(),
        transient: true,
    })
}

pub(crate) fn table(aws: &Aws, stack: &Stack) -> Store {
    Store::new(aws.sdk(), aws.sdk().endpoint_url(), &stack.table)
}

/// An admin token that the API created before the first token was revoked.
async fn another_admin(store: &Store, but: &str, now: Timestamp) -> Result<Option<Token>, Error> {
    let (hashes, _) = store.token_hashes(None, LOOKED_THROUGH).await?;
    for hash in hashes.iter().filter(|hash| *hash != but) {
        let token = store.token(hash).await?;
        if let Some(token) = token.filter(|token| token.is_good(now) && is_admin(token)) {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

fn is_admin(token: &Token) -> bool {
    token.kind == TokenKind::Api && token.projects.is_none() && token.scopes.contains(&Scope::Admin)
}

fn taken(token: &Token) -> FirstToken {
    FirstToken::Taken { name: token.name.clone(), prefix: token.prefix.clone() }
}

fn unfit(token: Token) -> FirstToken {
    FirstToken::Unfit { name: token.name, prefix: token.prefix }
}
