//! Redacts a private key that arrives line by line.
//! Only its first line identifies it, so every line up to its last one is redacted.

use super::scan::LONGEST_SHAPE;
use super::segments::MARK;
use std::borrow::Cow;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const LABEL_ENDS: &str = "-----";
/// A line of a key contains a word of this length; ordinary text does not. Units: characters.
const MIN_KEY_WORD: usize = 24;
/// Limit of any other line of a key: a header or a line number.
const MAX_LINE_WORDS: usize = 2;
/// Limit for unrelated texts between two lines of a key. Other programs may write into the same pipe.
const MAX_UNRELATED: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct PrivateKeyFilter {
    /// How much more may belong to the open key. Units: bytes.
    remaining: Option<usize>,
    has_key_line: bool,
    /// Unrelated texts since the last line of the key.
    unrelated: usize,
}

impl PrivateKeyFilter {
    pub(crate) fn redact<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let rest = match self.remaining {
            None => text,
            Some(remaining) => match text_after_key(text) {
                Some(rest) => rest,
                None if remaining > text.len() && self.belongs_to_key(text) => {
                    (self.remaining, self.unrelated) = (Some(remaining - text.len()), 0);
                    self.has_key_line |= is_key_line(text);
                    return if text.trim().is_empty() { text.into() } else { MARK.to_owned().into() };
                }
                // More lines of the key may follow.
                None if self.has_key_line && self.unrelated < MAX_UNRELATED && find_open_key(text).is_none() => {
                    self.unrelated += 1;
                    return text.into();
                }
                None => text,
            },
        };
        let is_cut = rest.len() < text.len();
        let open = find_open_key(rest);
        *self = Self { remaining: open.map(|_| LONGEST_SHAPE), ..Self::default() };
        if !is_cut && open.is_none() {
            return text.into();
        }
        let clear = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        let [first, last] = [is_cut, open.is_some()].map(|out| if out { MARK } else { "" });
        format!("{first}{clear}{last}").into()
    }

    /// Whether a text belongs to the open key. After an unrelated text, only a certain line of a key does.
    fn belongs_to_key(&self, text: &str) -> bool {
        if self.unrelated == 0 { may_be_key_lines(text) } else { is_key_line(text) }
    }
}

fn text_after_key(text: &str) -> Option<&str> {
    let (_, label) = text.split_once(END)?;
    label.split_once(LABEL_ENDS).map(|(_, rest)| rest)
}

fn find_open_key(text: &str) -> Option<usize> {
    let at = text.rfind(BEGIN)?;
    let block = text.get(at + BEGIN.len()..)?;
    let (label, body) = block.split_once(LABEL_ENDS)?;
    (label.ends_with("PRIVATE KEY") && !body.contains(END)).then_some(at)
}

/// Whether a text may be lines of a key. Lines of code and prose contain more words.
fn may_be_key_lines(text: &str) -> bool {
    text.lines().all(|line| line.split_whitespace().count() <= MAX_LINE_WORDS || is_key_line(line))
}

fn is_key_line(text: &str) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    text.as_bytes().split(|byte| !is_base64(byte)).any(|word| word.len() >= MIN_KEY_WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    fn clean_lines(texts: &[&str]) -> Vec<String> {
        let mut block = PrivateKeyFilter::default();
        texts.iter().map(|text| block.redact(text).into_owned()).collect()
    }

    #[test]
    fn lines_of_a_key_are_redacted_until_its_end() {
        let texts = [
            "cat key.pem",
            "-----BEGIN RSA PRIVATE KEY-----",
            "Proc-Type: 4,ENCRYPTED",
            "",
            LINE,
            &format!("     5\t{LINE}"),
            "2026-11-21T05:58:13Z out MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
            "dA==",
            "-----END RSA PRIVATE KEY----- and on",
            LINE,
        ];
        let expected = ["cat key.pem", MARK, MARK, "", MARK, MARK, MARK, MARK, &format!("{MARK} and on"), LINE];
        assert_eq!(clean_lines(&texts), expected);
    }

    #[test]
    fn text_after_a_label_without_key_lines_stays() {
        let texts = ["if text.contains(\"-----BEGIN PRIVATE KEY-----\")", "    return Err(it is a key);", LINE];
        assert_eq!(clean_lines(&texts)[1..], texts[1..]);
        let certificate = ["-----BEGIN CERTIFICATE-----", LINE];
        assert_eq!(clean_lines(&certificate), certificate);
        let key = format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n-----END PRIVATE KEY-----");
        assert_eq!(clean_lines(&[&key, LINE]), [&key, LINE], "a complete key is found by the redactor");
    }

    #[test]
    fn interleaved_output_does_not_end_a_key() {
        let other = "npm warn config production use --omit=dev instead";
        let texts = ["-----BEGIN PRIVATE KEY-----", LINE, other, LINE, LINE, "-----END PRIVATE KEY-----"];
        assert_eq!(clean_lines(&texts), [MARK, MARK, other, MARK, MARK, MARK]);
        let ended = [&["-----BEGIN PRIVATE KEY-----", LINE][..], &[other; MAX_UNRELATED + 1], &[LINE]].concat();
        assert_eq!(clean_lines(&ended).last().unwrap(), LINE, "the block has ended");
    }

    #[test]
    fn endless_key_is_redacted_up_to_the_longest_key() {
        let mut block = PrivateKeyFilter::default();
        block.redact("-----BEGIN PRIVATE KEY-----");
        let hidden = (0..1_000).take_while(|_| block.redact(LINE) == MARK).count();
        assert!((200..=LONGEST_SHAPE / LINE.len()).contains(&hidden), "{hidden}");
        assert_eq!(block.redact(LINE), LINE);
    }
}
