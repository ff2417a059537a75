//! Creates links that sign in a browser.

use axum::extract::State;
use pullyard_control::{self as control, Context};
use pullyard_entry::openapi::Unkept;
use pullyard_entry::{Problem, SignedIn, Strict};
use pullyard_protocol::sign_in::{CreateSignInLink, SignInLink};

pub(crate) async fn link(
    State(ctx): State<Context>,
    SignedIn(token): SignedIn,
    Strict(CreateSignInLink {}): Strict<CreateSignInLink>,
) -> Result<Unkept<SignInLink>, Problem> {
    let link = control::sign_in_link(&ctx, token.hash).await?;
    Ok(Unkept(SignInLink { url: link.url, expires_in_secs: link.expires_in.as_secs() }))
}
