//! Signing a browser in with what a program has.

use super::{Error, Operator, Repeat};
use crate::sign_in::{CreateSignInLink, SignInLink};

impl Operator {
    /// A link that signs one browser in, once, with the rights of this token. Safe to repeat: nothing is
    /// stored until it is used.
    pub async fn sign_in_link(&self) -> Result<SignInLink, Error> {
        self.http.post("/v1/sign-in-links", &CreateSignInLink {}, Repeat::Safe).await
    }
}
