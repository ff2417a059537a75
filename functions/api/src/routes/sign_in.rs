//! Creates links that sign in a browser.

use crate::routes::prelude::*;
use pullyard_entry::openapi::CreatedNoStore;
use pullyard_protocol::sign_in::SignInLink;

pub(crate) async fn link(
    caller: Caller<scope::Read>,
    StrictJson(NoFields {}): StrictJson<NoFields>,
) -> Result<CreatedNoStore<SignInLink>, Problem> {
    let link = control::create_sign_in_link(&caller.ctx, caller.token_hash).await?;
    Ok(CreatedNoStore(SignInLink { url: link.url, expires_in_secs: link.expires_in.as_secs() }))
}
