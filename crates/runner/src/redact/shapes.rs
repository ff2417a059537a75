//! The shapes of well-known kinds of token: how each begins, which characters follow, and how many at least.
//!
//! Source: GitHub's token formats (`ghs_` tokens may be over 500 characters long and have dots), and the
//! published formats of the others. A shape that is too wide costs a readable word; one that is too narrow
//! costs a secret.

/// A kind of token.
pub(super) struct Shape {
    /// How it begins.
    pub(super) begins: &'static str,
    /// What follows.
    pub(super) rest: Rest,
}

/// What follows the beginning of a token.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// At least so many of letters, digits, `_` and `-`.
    Word(usize),
    /// The same, and dots.
    Dotted(usize),
    /// At least so many upper-case letters and digits.
    Upper(usize),
    /// The rest of a JSON Web Token: dotted, with two dots at least.
    WebToken,
    /// Up to the end of a block of PEM.
    Pem,
    /// A user and a password before a host, of which the password goes.
    UrlPassword,
}

const fn shape(begins: &'static str, rest: Rest) -> Shape {
    Shape { begins, rest }
}

/// All of them.
pub(super) const SHAPES: &[Shape] = &[
    shape("ghp_", Rest::Dotted(30)),
    shape("gho_", Rest::Dotted(30)),
    shape("ghu_", Rest::Dotted(30)),
    shape("ghs_", Rest::Dotted(30)),
    shape("ghr_", Rest::Dotted(30)),
    shape("github_pat_", Rest::Word(30)),
    shape("glpat-", Rest::Word(20)),
    shape("sk-ant-", Rest::Word(20)),
    shape("sk-", Rest::Word(32)),
    shape("AKIA", Rest::Upper(16)),
    shape("ASIA", Rest::Upper(16)),
    shape("AIza", Rest::Word(35)),
    shape("npm_", Rest::Word(36)),
    shape("pypi-", Rest::Word(40)),
    shape("hf_", Rest::Word(30)),
    shape("xoxa-", Rest::Word(10)),
    shape("xoxb-", Rest::Word(10)),
    shape("xoxp-", Rest::Word(10)),
    shape("xoxr-", Rest::Word(10)),
    shape("xoxs-", Rest::Word(10)),
    shape("ATATT", Rest::Word(40)),
    shape("lin_api_", Rest::Word(30)),
    // Pullyard's own.
    shape("rnt_", Rest::Word(32)),
    shape("pat_", Rest::Word(32)),
    shape("pyb_", Rest::Dotted(32)),
    shape("pyl_", Rest::Dotted(32)),
    shape("pyc_", Rest::Dotted(32)),
    shape("pys_", Rest::Dotted(32)),
    shape("eyJ", Rest::WebToken),
    shape("-----BEGIN ", Rest::Pem),
    shape("://", Rest::UrlPassword),
];

impl Rest {
    pub(super) fn takes(self, byte: u8) -> bool {
        match self {
            Self::Word(_) => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted(_) | Self::WebToken => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Upper(_) => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            // These two end by what is in them; see `scan`.
            Self::Pem => true,
            Self::UrlPassword => {
                !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'@' | b'"' | b'\'' | b'<' | b'>' | b'\\')
            }
        }
    }
}
