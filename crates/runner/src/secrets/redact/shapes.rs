//! Defines the shapes of well-known tokens: how each begins, which characters follow, and how many at least.
//! A shape that is too wide hides a readable word; a shape that is too narrow publishes a secret.
//! Source: GitHub's token formats (`ghs_` tokens may be over 500 characters long and have dots), and the published
//! formats of the others.

pub(super) struct Shape {
    pub(super) begins: &'static str,
    /// The part of `begins` to search for. It is rare in other text, so that few candidates are checked.
    pub(super) by: &'static str,
    pub(super) stands: Stands,
    pub(super) rest: Rest,
}

#[derive(Clone, Copy)]
pub(super) enum Stands {
    /// Anywhere, because other texts do not begin like this.
    Anywhere,
    /// Only at the beginning of a word, because a word may end like this.
    AtAWord,
    /// Like `AtAWord`, but lower-case letters may precede it.
    AtACapital,
}

#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// At least this many letters, digits, `_` and `-`.
    Word(usize),
    Dotted(usize),
    /// At least this many letters and digits.
    Plain(usize),
    /// At least this many upper-case letters and digits.
    Upper(usize),
    /// Two parts of at least this many characters, with a dot between them.
    Pair(usize, usize),
    /// The rest of a JSON Web Token: dotted, with at least two dots.
    WebToken,
    /// Up to the end of a PEM block.
    Pem,
    /// User and password before a host. Only the password is redacted.
    UrlPassword,
}

impl Shape {
    const fn by(self, by: &'static str) -> Self {
        Self { by, ..self }
    }
}

const fn shape(begins: &'static str, rest: Rest) -> Shape {
    Shape { begins, by: begins, stands: Stands::AtAWord, rest }
}

const fn anywhere(begins: &'static str, rest: Rest) -> Shape {
    Shape { begins, by: begins, stands: Stands::Anywhere, rest }
}

const fn capital(begins: &'static str, rest: Rest) -> Shape {
    Shape { begins, by: begins, stands: Stands::AtACapital, rest }
}

pub(super) const SHAPES: &[Shape] = &[
    anywhere("ghp_", Rest::Dotted(30)),
    anywhere("gho_", Rest::Dotted(30)),
    anywhere("ghu_", Rest::Dotted(30)),
    anywhere("ghs_", Rest::Dotted(30)),
    anywhere("ghr_", Rest::Dotted(30)),
    anywhere("github_pat_", Rest::Word(30)).by("pat_"),
    anywhere("dckr_pat_", Rest::Word(20)).by("pat_"),
    anywhere("glpat-", Rest::Dotted(20)),
    anywhere("sk-ant-", Rest::Word(20)).by("sk-"),
    anywhere("sk_live_", Rest::Plain(20)).by("k_live_"),
    anywhere("rk_live_", Rest::Plain(20)).by("k_live_"),
    anywhere("GOCSPX-", Rest::Word(20)),
    shape("sk-", Rest::Word(32)),
    capital("AKIA", Rest::Upper(16)),
    capital("ASIA", Rest::Upper(16)),
    capital("ATBB", Rest::Plain(28)),
    shape("AIza", Rest::Word(35)),
    shape("ya29.", Rest::Dotted(20)),
    shape("SG.", Rest::Pair(16, 32)),
    shape("npm_", Rest::Word(36)),
    shape("pypi-", Rest::Word(40)),
    shape("hf_", Rest::Word(30)),
    shape("xapp-", Rest::Word(20)),
    shape("xoxa-", Rest::Word(10)).by("xox"),
    shape("xoxb-", Rest::Word(10)).by("xox"),
    shape("xoxp-", Rest::Word(10)).by("xox"),
    shape("xoxr-", Rest::Word(10)).by("xox"),
    shape("xoxs-", Rest::Word(10)).by("xox"),
    shape("ATATT", Rest::Word(40)),
    shape("ATCTT", Rest::Word(40)),
    shape("lin_api_", Rest::Word(30)).by("n_api_"),
    // Pullyard's own.
    shape("rnt_", Rest::Word(32)),
    shape("pat_", Rest::Word(32)),
    shape("pyb_", Rest::Dotted(32)),
    shape("pyl_", Rest::Dotted(32)),
    shape("pyc_", Rest::Dotted(32)),
    shape("pys_", Rest::Dotted(32)),
    shape("eyJ", Rest::WebToken),
    anywhere("-----BEGIN ", Rest::Pem).by("-BEGIN "),
    anywhere("://", Rest::UrlPassword),
];

impl Rest {
    pub(super) fn takes(self, byte: u8) -> bool {
        match self {
            Self::Word(_) => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted(_) | Self::Pair(..) | Self::WebToken => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
            }
            Self::Plain(_) => byte.is_ascii_alphanumeric(),
            Self::Upper(_) => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            // The content of these two defines their end; see `scan`.
            Self::Pem => true,
            Self::UrlPassword => {
                !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'@' | b'"' | b'\'' | b'<' | b'>' | b'\\')
            }
        }
    }
}
