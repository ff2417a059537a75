//! Where a forge's REST API is.

/// The address of a forge's REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise Server.
    pub api_url: String,
}

impl Endpoint {
    /// GitHub as everyone uses it.
    pub fn github_com() -> Self {
        Self { api_url: "https://api.github.com".to_owned() }
    }
}
