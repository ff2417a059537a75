//! Tests whether a forge still accepts our token.

use crate::forge::{account_of, app_of, forge_at};
use crate::{Context, Error};
use pullyard_domain::auth::Auth;
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::{Account, Integration};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tested {
    Works,
    /// The token belongs to another account, such as a person's instead of the bot's.
    Another(Account),
    Refused(String),
}

/// Errors: `NotFound`, `Store`, `Cloud`. A forge's error is part of the result.
pub async fn test_integration(ctx: &Context, id: &IntegrationId) -> Result<Tested, Error> {
    let Some(integration) = ctx.store.integration(id).await? else {
        return Err(Error::NotFound { what: "integration", name: id.to_string() });
    };
    match ask(ctx, &integration).await {
        Ok(account) if account.may_equal(&integration.account) => Ok(Tested::Works),
        Ok(account) => Ok(Tested::Another(account)),
        Err(Error::Forge(error)) => Ok(Tested::Refused(pullyard_domain::text::format_error_chain(&error))),
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { name })) => {
            Ok(Tested::Refused(format!("read the secret {name}: it does not exist or is empty")))
        }
        Err(error) => Err(error),
    }
}

async fn ask(ctx: &Context, integration: &Integration) -> Result<Account, Error> {
    match (&integration.auth, app_of(ctx, integration).await?) {
        (Auth::Token { secret }, _) => {
            account_of(&forge_at(ctx, integration.kind, &integration.api_url, secret).await?).await
        }
        (Auth::App { .. }, Some(app)) => {
            let bot = app.bot(&app.app().await?.slug).await?;
            Ok(Account { id: bot.id, login: bot.login })
        }
        (Auth::App { .. }, None) => Err(Error::Inconsistent(format!("{} is an App without a slug", integration.id))),
    }
}
