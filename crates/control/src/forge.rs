//! A forge's client, made from its integration and the token its secret holds.

use crate::{Context, Error};
use pullyard_domain::project::{ForgeKind, Integration};
use pullyard_forge::{Endpoint, Forge, GitHub, Token};

/// The client of a connected forge.
pub(crate) async fn forge_of(ctx: &Context, integration: &Integration) -> Result<Forge, Error> {
    forge_at(ctx, integration.kind, &integration.api_url, &integration.token_secret).await
}

/// The client of a forge that is being connected.
pub(crate) async fn forge_at(
    ctx: &Context,
    kind: ForgeKind,
    api_url: &str,
    token_secret: &str,
) -> Result<Forge, Error> {
    let token = Token::new(ctx.secrets.get(token_secret).await?.as_ref());
    match kind {
        ForgeKind::GitHub => Ok(Forge::GitHub(GitHub::new(Endpoint { api_url: api_url.to_owned() }, token)?)),
    }
}
