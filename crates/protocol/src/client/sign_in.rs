//! Call for the sign-in of a browser.

use super::{ApiClient, Error, NoFields};
use crate::sign_in::SignInLink;

impl ApiClient {
    /// A link that works once, with this token's rights. Idempotent: the server stores only its use.
    pub async fn create_sign_in_link(&self) -> Result<SignInLink, Error> {
        self.http.post_idempotent("/v1/sign-in-links", &NoFields {}).await
    }
}
