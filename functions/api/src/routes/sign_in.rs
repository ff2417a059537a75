//! Creates links that sign in a browser.

use crate::routes::prelude::*;
use pullyard_entry::TokenCaller;
use pullyard_entry::openapi::CreatedNoStore;
use pullyard_protocol::sign_in::{CreateSignInLink, SignInLink};

pub(crate) async fn link(
    State(ctx): State<Context>,
    TokenCaller(token): TokenCaller,
    StrictJson(CreateSignInLink {}): StrictJson<CreateSignInLink>,
) -> Result<CreatedNoStore<SignInLink>, Problem> {
    let link = control::create_sign_in_link(&ctx, token.hash).await?;
    Ok(CreatedNoStore(SignInLink { url: link.url, expires_in_secs: link.expires_in.as_secs() }))
}
