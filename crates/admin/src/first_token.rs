//! The first admin token of a stack: the only one that nobody with a token made.
//!
//! It is written straight into the table, with the operator's rights there: who may write the table may
//! do everything anyway.

use crate::{Aws, Error, Stack};
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::{Scope, TokenKind};
use pullyard_entry::auth::stored_token;
use pullyard_store::{Store, Token, Write};
use std::time::Duration;

/// How often others may be quicker.
const ROUNDS: u32 = 5;
/// How many tokens are looked through for one that is an admin's already.
const LOOKED_THROUGH: i32 = 200;

/// Whether a token that works may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// One that works stays.
    Never,
    /// The first one is taken back, and this one stands in its place.
    First,
}

/// What became of a token that was to be the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstToken {
    /// It is the first one now.
    Made,
    /// It was already.
    There,
    /// Another admin token works, by name and beginning; nothing was written.
    Taken {
        /// Its name.
        name: String,
        /// Its first characters.
        prefix: String,
    },
    /// This very token is there and is no admin's that works, by name and beginning: it was revoked, has expired, or
    /// is limited. Nothing was written, and coming again with it changes nothing.
    Unfit {
        /// Its name.
        name: String,
        /// Its first characters.
        prefix: String,
    },
}

/// A token's random text.
pub fn new_token() -> String {
    let hex: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}{hex}", TokenKind::Api.prefix())
}

/// Makes `token` the first admin token.
///
/// The caller has saved it already: whoever is killed after the write finds it there, and comes again.
/// Idempotent: by the token; of two callers with other tokens one is told of the other's.
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
        // A token is made once: one that is there is what it is.
        if let Some(there) = store.token(&new.hash).await? {
            return Ok(if works(&there) { taken(&there) } else { unfit(there) });
        }
        let over = first.as_ref().map(|(_, hash)| hash.as_str());
        if store.put_first_token(&new, over).await? == Write::Applied {
            return Ok(FirstToken::Made);
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..200))).await;
    }
    Err(Error::Table { reason: "store the first token: others were quicker".into(), transient: true })
}

/// The stack's table, with the operator's rights.
pub(crate) fn table(aws: &Aws, stack: &Stack) -> Store {
    Store::new(aws.sdk(), aws.sdk().endpoint_url(), &stack.table)
}

/// An admin token that was made otherwise: by the API, with a first one that was taken back since.
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

/// It may do everything, everywhere.
fn is_admin(token: &Token) -> bool {
    token.kind == TokenKind::Api && token.projects.is_none() && token.scopes.contains(&Scope::Admin)
}

fn taken(token: &Token) -> FirstToken {
    FirstToken::Taken { name: token.name.clone(), prefix: token.prefix.clone() }
}

fn unfit(token: Token) -> FirstToken {
    FirstToken::Unfit { name: token.name, prefix: token.prefix }
}
