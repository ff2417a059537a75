//! Call for the sign-in of a browser.

use super::{Error, Operator, Repeat};
use crate::sign_in::{CreateSignInLink, SignInLink};

impl Operator {
    /// A link that works once, with this token's rights. Idempotent: the server stores only its use.
    pub async fn sign_in_link(&self) -> Result<SignInLink, Error> {
        self.http.post("/v1/sign-in-links", &CreateSignInLink {}, Repeat::Safe).await
    }
}
