//! Defines the shapes of well-known tokens: how each begins, which characters follow, and how many at least.
//! A shape that is too wide hides a readable word; a shape that is too narrow publishes a secret.
//! Source: GitHub's token formats (`ghs_` tokens may be over 500 characters long and have dots), and the published
//! formats of the others.

pub(super) struct Shape {
    pub(super) prefix: &'static str,
    /// The part of `prefix` to search for. It is rare in other text, so that few candidates are checked.
    pub(super) search_key: &'static str,
    pub(super) position: Position,
    pub(super) body: TokenBody,
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
pub(super) enum TokenBody {
    /// At least this many letters, digits, `_` and `-`.
    Word(usize),
    Dotted(usize),
    Plain(usize),
    Upper(usize),
    /// Two parts of at least this many characters, with a dot between them.
    Pair(usize, usize),
    /// The rest of a JSON Web Token: dotted, with at least two dots.
    WebToken,
    Pem,
    /// User and password before a host. Only the password is redacted.
    UrlPassword,
}

impl Shape {
    const fn with_search_key(self, search_key: &'static str) -> Self {
        Self { search_key, ..self }
    }
}

const fn shape_at_word(prefix: &'static str, body: TokenBody) -> Shape {
    Shape { prefix, search_key: prefix, position: Position::WordStart, body }
}

const fn shape_anywhere(prefix: &'static str, body: TokenBody) -> Shape {
    Shape { prefix, search_key: prefix, position: Position::Anywhere, body }
}

const fn shape_at_upper_case(prefix: &'static str, body: TokenBody) -> Shape {
    Shape { prefix, search_key: prefix, position: Position::UpperCaseStart, body }
}

pub(super) const SHAPES: &[Shape] = &[
    shape_anywhere("ghp_", TokenBody::Dotted(30)),
    shape_anywhere("gho_", TokenBody::Dotted(30)),
    shape_anywhere("ghu_", TokenBody::Dotted(30)),
    shape_anywhere("ghs_", TokenBody::Dotted(30)),
    shape_anywhere("ghr_", TokenBody::Dotted(30)),
    shape_anywhere("github_pat_", TokenBody::Word(30)).with_search_key("pat_"),
    shape_anywhere("dckr_pat_", TokenBody::Word(20)).with_search_key("pat_"),
    shape_anywhere("glpat-", TokenBody::Dotted(20)),
    shape_anywhere("sk-ant-", TokenBody::Word(20)).with_search_key("sk-"),
    shape_anywhere("sk_live_", TokenBody::Plain(20)).with_search_key("k_live_"),
    shape_anywhere("rk_live_", TokenBody::Plain(20)).with_search_key("k_live_"),
    shape_anywhere("GOCSPX-", TokenBody::Word(20)),
    shape_at_word("sk-", TokenBody::Word(32)),
    shape_at_upper_case("AKIA", TokenBody::Upper(16)),
    shape_at_upper_case("ASIA", TokenBody::Upper(16)),
    shape_at_upper_case("ATBB", TokenBody::Plain(28)),
    shape_at_word("AIza", TokenBody::Word(35)),
    shape_at_word("ya29.", TokenBody::Dotted(20)),
    shape_at_word("SG.", TokenBody::Pair(16, 32)),
    shape_at_word("npm_", TokenBody::Word(36)),
    shape_at_word("pypi-", TokenBody::Word(40)),
    shape_at_word("hf_", TokenBody::Word(30)),
    shape_at_word("xapp-", TokenBody::Word(20)),
    shape_at_word("xoxa-", TokenBody::Word(10)).with_search_key("xox"),
    shape_at_word("xoxb-", TokenBody::Word(10)).with_search_key("xox"),
    shape_at_word("xoxp-", TokenBody::Word(10)).with_search_key("xox"),
    shape_at_word("xoxr-", TokenBody::Word(10)).with_search_key("xox"),
    shape_at_word("xoxs-", TokenBody::Word(10)).with_search_key("xox"),
    shape_at_word("ATATT", TokenBody::Word(40)),
    shape_at_word("ATCTT", TokenBody::Word(40)),
    shape_at_word("lin_api_", TokenBody::Word(30)).with_search_key("n_api_"),
    shape_at_word("rnt_", TokenBody::Word(32)),
    shape_at_word("pat_", TokenBody::Word(32)),
    shape_at_word("pyb_", TokenBody::Dotted(32)),
    shape_at_word("pyl_", TokenBody::Dotted(32)),
    shape_at_word("pyc_", TokenBody::Dotted(32)),
    shape_at_word("pys_", TokenBody::Dotted(32)),
    shape_at_word("eyJ", TokenBody::WebToken),
    shape_anywhere("-----BEGIN ", TokenBody::Pem).with_search_key("-BEGIN "),
    shape_anywhere("://", TokenBody::UrlPassword),
];

impl TokenBody {
    pub(super) fn is_valid_byte(self, byte: u8) -> bool {
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
