//! Defines the shapes of well-known tokens: how each begins, which characters follow, and how many at least.
//! A shape that is too wide hides a readable word; a shape that is too narrow publishes a secret.
//! Source: GitHub's token formats (`ghs_` tokens may be over 500 characters long and have dots), and the published
//! formats of the others.

pub(super) struct Shape {
    pub(super) prefix: &'static str,
    /// The part of `begins` to search for. It is rare in other text, so that few candidates are checked.
    pub(super) search_key: &'static str,
    pub(super) position: Position,
    pub(super) body: Body,
}

#[derive(Clone, Copy)]
pub(super) enum Position {
    /// Anywhere, because other texts do not begin like this.
    Anywhere,
    /// Only at the beginning of a word, because a word may end like this.
    WordStart,
    /// Like `WordStart`, but lower-case letters may precede it.
    UpperCaseStart,
}

#[derive(Clone, Copy)]
pub(super) enum Body {
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
    const fn with_search_key(self, by: &'static str) -> Self {
        Self { search_key: by, ..self }
    }
}

const fn shape(begins: &'static str, rest: Body) -> Shape {
    Shape { prefix: begins, search_key: begins, position: Position::WordStart, body: rest }
}

const fn anywhere(begins: &'static str, rest: Body) -> Shape {
    Shape { prefix: begins, search_key: begins, position: Position::Anywhere, body: rest }
}

const fn upper_case(begins: &'static str, rest: Body) -> Shape {
    Shape { prefix: begins, search_key: begins, position: Position::UpperCaseStart, body: rest }
}

pub(super) const SHAPES: &[Shape] = &[
    anywhere("ghp_", Body::Dotted(30)),
    anywhere("gho_", Body::Dotted(30)),
    anywhere("ghu_", Body::Dotted(30)),
    anywhere("ghs_", Body::Dotted(30)),
    anywhere("ghr_", Body::Dotted(30)),
    anywhere("github_pat_", Body::Word(30)).with_search_key("pat_"),
    anywhere("dckr_pat_", Body::Word(20)).with_search_key("pat_"),
    anywhere("glpat-", Body::Dotted(20)),
    anywhere("sk-ant-", Body::Word(20)).with_search_key("sk-"),
    anywhere("sk_live_", Body::Plain(20)).with_search_key("k_live_"),
    anywhere("rk_live_", Body::Plain(20)).with_search_key("k_live_"),
    anywhere("GOCSPX-", Body::Word(20)),
    shape("sk-", Body::Word(32)),
    upper_case("AKIA", Body::Upper(16)),
    upper_case("ASIA", Body::Upper(16)),
    upper_case("ATBB", Body::Plain(28)),
    shape("AIza", Body::Word(35)),
    shape("ya29.", Body::Dotted(20)),
    shape("SG.", Body::Pair(16, 32)),
    shape("npm_", Body::Word(36)),
    shape("pypi-", Body::Word(40)),
    shape("hf_", Body::Word(30)),
    shape("xapp-", Body::Word(20)),
    shape("xoxa-", Body::Word(10)).with_search_key("xox"),
    shape("xoxb-", Body::Word(10)).with_search_key("xox"),
    shape("xoxp-", Body::Word(10)).with_search_key("xox"),
    shape("xoxr-", Body::Word(10)).with_search_key("xox"),
    shape("xoxs-", Body::Word(10)).with_search_key("xox"),
    shape("ATATT", Body::Word(40)),
    shape("ATCTT", Body::Word(40)),
    shape("lin_api_", Body::Word(30)).with_search_key("n_api_"),
    // Pullyard's own.
    shape("rnt_", Body::Word(32)),
    shape("pat_", Body::Word(32)),
    shape("pyb_", Body::Dotted(32)),
    shape("pyl_", Body::Dotted(32)),
    shape("pyc_", Body::Dotted(32)),
    shape("pys_", Body::Dotted(32)),
    shape("eyJ", Body::WebToken),
    anywhere("-----BEGIN ", Body::Pem).with_search_key("-BEGIN "),
    anywhere("://", Body::UrlPassword),
];

impl Body {
    pub(super) fn accepts(self, byte: u8) -> bool {
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
