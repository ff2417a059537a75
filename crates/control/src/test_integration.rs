//! Whether a connected forge still takes our token, asked of the forge itself.

use crate::forge::forge_of;
use crate::{Context, Error};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::Account;

/// What a forge said of our token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tested {
    /// It belongs to the account that was connected.
    Works,
    /// It belongs to somebody else: a person's own token was put where the bot's had been, perhaps.
    Another(Account),
    /// The forge did not take it, or could not be asked; why, in words.
    Refused(String),
}

/// Asks the forge who the token belongs to. Writes nothing.
///
/// Errors: `NotFound`; what is wrong with our own services. What is wrong with the forge is an answer.
pub async fn test_integration(ctx: &Context, id: &IntegrationId) -> Result<Tested, Error> {
    let Some(integration) = ctx.store.integration(id).await? else {
        return Err(Error::NotFound { what: "integration", name: id.to_string() });
    };
    let asked = match forge_of(ctx, &integration).await {
        Ok(forge) => forge.account().await.map_err(Error::from),
        Err(error) => Err(error),
    };
    match asked {
        Ok(account) if account.id == integration.account.id => Ok(Tested::Works),
        Ok(account) => Ok(Tested::Another(Account { id: account.id, login: account.login })),
        Err(Error::Forge(error)) => Ok(Tested::Refused(pullyard_domain::text::causes(&error))),
        Err(Error::Cloud(pullyard_cloud::Error::NoSecret { name })) => {
            Ok(Tested::Refused(format!("read the secret {name}: it does not exist or is empty")))
        }
        Err(error) => Err(error),
    }
}
