//! Tests whether a forge still accepts our token.

use crate::forge::{app_client, forge_client_with_secret, get_account};
use crate::{Context, Error};
use pullyard_domain::forge::{Account, Auth, Integration};
use pullyard_domain::id::IntegrationId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegrationTestResult {
    Works,
    /// The token belongs to another account, such as a person's instead of the bot's.
    OtherAccount(Account),
    Refused(String),
}

/// Errors: `NotFound`, `Store`, `Cloud`. A forge's error is part of the result.
pub async fn test_integration(ctx: &Context, id: &IntegrationId) -> Result<IntegrationTestResult, Error> {
    let integration = ctx.load_integration(id).await?;
    match load_account(ctx, &integration).await {
        Ok(account) if account.may_equal(&integration.account) => Ok(IntegrationTestResult::Works),
        Ok(account) => Ok(IntegrationTestResult::OtherAccount(account)),
        Err(Error::Forge(error)) => {
            Ok(IntegrationTestResult::Refused(pullyard_domain::text::format_error_chain(&error)))
        }
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { name })) => {
            Ok(IntegrationTestResult::Refused(format!("read the secret {name}: it does not exist or is empty")))
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
