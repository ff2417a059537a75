//! Tests whether a forge still accepts our token.

use crate::forge::{app_client, forge_client_with_secret, get_account};
use crate::{Context, Error};
use pullyard_domain::project::forge::{Account, Auth, Integration};
use pullyard_domain::text::id::IntegrationId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegrationTestResult {
    Works,
    /// The token belongs to another account, such as a person's instead of the bot's.
    OtherAccount(Account),
    /// The forge gave no usable answer.
    Unreachable(String),
    Refused {
        reason: String,
        /// Full name of the secret with the token or the App's key.
        secret: String,
    },
}

/// Errors: `NotFound`, `Store`, `Cloud`. A forge's error is part of the result.
pub async fn test_integration(ctx: &Context, id: &IntegrationId) -> Result<IntegrationTestResult, Error> {
    let integration = ctx.load_integration(id).await?;
    let (Auth::Token { secret } | Auth::App { key_secret: secret, .. }) = integration.auth.clone();
    match load_account(ctx, &integration).await {
        Ok(account) if account.may_equal(&integration.account) => Ok(IntegrationTestResult::Works),
        Ok(account) => Ok(IntegrationTestResult::OtherAccount(account)),
        Err(Error::Forge(error)) => {
            let reason = pullyard_domain::text::format_error_chain(&error);
            Ok(match error.is_transient() {
                true => IntegrationTestResult::Unreachable(reason),
                false => IntegrationTestResult::Refused { reason, secret },
            })
        }
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { name })) => {
            let reason = format!("read the secret {name}: it does not exist or is empty");
            Ok(IntegrationTestResult::Refused { reason, secret })
        }
        Err(error) => Err(error),
    }
}

async fn load_account(ctx: &Context, integration: &Integration) -> Result<Account, Error> {
    match (&integration.auth, app_client(ctx, integration).await?) {
        (Auth::Token { secret }, _) => {
            let forge = forge_client_with_secret(ctx, integration.kind, &integration.api_url, secret).await?;
            get_account(integration.kind, &forge).await
        }
        (Auth::App { .. }, Some(app)) => {
            let bot = app.bot_account(&app.app().await?.slug).await?;
            Ok(Account { id: bot.id, login: bot.login })
        }
        (Auth::App { .. }, None) => Err(Error::Inconsistent(format!("{} is an App without a slug", integration.id))),
    }
}
