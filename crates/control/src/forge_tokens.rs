//! Caches the control plane's own App tokens in memory, one per repository.

use crate::{Clock, Error};
use pullyard_domain::text::id::IntegrationId;
use pullyard_domain::text::time::Timestamp;
use pullyard_forge::{InstallationToken, Token};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A token this close to its expiry is not handed out, so that started work can finish.
const EXPIRY_MARGIN: Duration = Duration::from_secs(300);
/// Number of repositories above which unused entries are dropped.
const MAX_ENTRIES: usize = 1_000;

/// Integration, App issuer, repository id. The issuer changes if an integration is reconnected as another App.
pub(crate) type ForgeTokenKey = (IntegrationId, Option<String>, u64);
type ForgeTokenEntry = Arc<tokio::sync::Mutex<Option<CachedToken>>>;

#[derive(Clone, Default)]
pub struct ForgeTokens(Arc<Mutex<HashMap<ForgeTokenKey, ForgeTokenEntry>>>);

struct CachedToken {
    token: Token,
    usable_until: Timestamp,
}

impl std::fmt::Debug for ForgeTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ForgeTokens { .. }")
    }
}

impl ForgeTokens {
    pub(crate) async fn get(
        &self,
        key: ForgeTokenKey,
        clock: &Clock,
        mint: impl AsyncFnOnce() -> Result<InstallationToken, Error>,
    ) -> Result<Token, Error> {
        let slot = self.entry(key);
        // One caller mints a token; concurrent callers wait here for it.
        let mut cached = slot.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| clock.now() < cached.usable_until) {
            return Ok(cached.token.clone());
        }
        let requested_at = clock.now();
        let minted = mint().await?;
        let until = requested_at.plus(minted.expires_in.saturating_sub(EXPIRY_MARGIN));
        *cached = Some(CachedToken { token: minted.token.clone(), usable_until: until });
        Ok(minted.token)
    }

    fn entry(&self, key: ForgeTokenKey) -> ForgeTokenEntry {
        // Every insert is complete, so the map behind a poisoned lock is valid.
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_ENTRIES {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        slots.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct World {
        tokens: ForgeTokens,
        clock: Clock,
        created: AtomicU32,
    }

    impl World {
        fn new() -> Self {
            Self { tokens: ForgeTokens::default(), clock: Clock::default(), created: AtomicU32::new(0) }
        }

        async fn get(&self, repository: u64) -> String {
            self.get_as("7", repository).await
        }

        async fn get_as(&self, app: &str, repository: u64) -> String {
            let key = (IntegrationId::new("gh1").unwrap(), Some(app.to_owned()), repository);
            let mint = async || {
                let number = self.created.fetch_add(1, Ordering::SeqCst);
                // Lets concurrent calls run before the token exists.
                tokio::task::yield_now().await;
                Ok(InstallationToken {
                    token: Token::new(format!("ghs_{number}")),
                    expires_in: Duration::from_secs(3_600),
                })
            };
            self.tokens.get(key, &self.clock, mint).await.unwrap().reveal().to_owned()
        }
    }

    #[tokio::test]
    async fn fifty_concurrent_calls_create_one_token() {
        let world = World::new();
        let all = (0..50).map(|_| world.get(1));
        let tokens = futures::future::join_all(all).await;
        assert!(tokens.iter().all(|token| token == "ghs_0"), "{tokens:?}");
        assert_eq!(world.get(2).await, "ghs_1", "another repository has another token");
        assert_eq!(world.get_as("8", 1).await, "ghs_2", "another App too");
        assert_eq!(world.get(1).await, "ghs_0");
    }

    #[tokio::test]
    async fn token_is_cached_until_five_minutes_before_expiry() {
        let world = World::new();
        assert_eq!(world.get(1).await, "ghs_0");
        world.clock.advance(Duration::from_secs(3_290));
        assert_eq!(world.get(1).await, "ghs_0");
        world.clock.advance(Duration::from_secs(11));
        assert_eq!(world.get(1).await, "ghs_1");
    }

    #[tokio::test]
    async fn failed_token_creation_is_not_cached() {
        let world = World::new();
        let key = (IntegrationId::new("gh1").unwrap(), Some("7".to_owned()), 1);
        let failed = world.tokens.get(key, &world.clock, async || Err(Error::InvalidToken)).await;
        assert!(failed.is_err());
        assert_eq!(world.get(1).await, "ghs_0");
    }
}
