//! Redacts a private key that arrives line by line.
//! Only its first line identifies it, so every line up to its last one is redacted.

use super::MARK;
use super::scan::LONGEST_SHAPE;
use std::borrow::Cow;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const LABEL_ENDS: &str = "-----";
/// A line of a key contains a word of this length; ordinary text does not. Units: characters.
const LINE_OF_KEY: usize = 24;
/// Any other line of a key has at most this many words: a header or a line number.
const MOST_WORDS: usize = 2;
/// Limit for unrelated texts between two lines of a key. Other programs may write into the same pipe.
const MOST_OTHERS: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Block {
    /// How much more may belong to the open key. Units: bytes.
    left: Option<usize>,
    goes_on: bool,
    /// Unrelated texts since the last line of the key.
    others: usize,
}

impl Block {
    /// Redacts the next text if it continues a key.
    pub(crate) fn clean<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let rest = match self.left {
            None => text,
            Some(left) => match after_end(text) {
                Some(rest) => rest,
                None if left > text.len() && self.takes(text) => {
                    (self.left, self.others) = (Some(left - text.len()), 0);
                    self.goes_on |= is_line_of_key(text);
                    return if text.trim().is_empty() { text.into() } else { MARK.to_owned().into() };
                }
                // More lines of the key may follow.
                None if self.goes_on && self.others < MOST_OTHERS && begins(text).is_none() => {
                    self.others += 1;
                    return text.into();
                }
                None => text,
            },
        };
        let is_cut = rest.len() < text.len();
        let open = begins(rest);
        *self = Self { left: open.map(|_| LONGEST_SHAPE), ..Self::default() };
        if !is_cut && open.is_none() {
            return text.into();
        }
        let kept = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        let [first, last] = [is_cut, open.is_some()].map(|out| if out { MARK } else { "" });
        format!("{first}{kept}{last}").into()
    }

    /// Whether a text belongs to the open key. After an unrelated text, only a certain line of a key does.
    fn takes(&self, text: &str) -> bool {
        if self.others == 0 { may_belong(text) } else { is_line_of_key(text) }
    }
}

fn after_end(text: &str) -> Option<&str> {
    let (_, label) = text.split_once(END)?;
    label.split_once(LABEL_ENDS).map(|(_, rest)| rest)
}

/// The position of a key that begins in this text and does not end in it.
fn begins(text: &str) -> Option<usize> {
    let at = text.rfind(BEGIN)?;
    let block = text.get(at + BEGIN.len()..)?;
    let (label, body) = block.split_once(LABEL_ENDS)?;
    (label.ends_with("PRIVATE KEY") && !body.contains(END)).then_some(at)
}

/// Whether a text may be lines of a key. Lines of code and prose contain more words.
fn may_belong(text: &str) -> bool {
    text.lines().all(|line| line.split_whitespace().count() <= MOST_WORDS || is_line_of_key(line))
}

fn is_line_of_key(text: &str) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    text.as_bytes().split(|byte| !is_base64(byte)).any(|word| word.len() >= LINE_OF_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    fn cleaned(texts: &[&str]) -> Vec<String> {
        let mut block = Block::default();
        texts.iter().map(|text| block.clean(text).into_owned()).collect()
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
        assert_eq!(cleaned(&texts), expected);
    }

    #[test]
    fn text_after_a_label_without_key_lines_stays() {
        let texts = ["if text.contains(\"-----BEGIN PRIVATE KEY-----\")", "    return Err(it is a key);", LINE];
        assert_eq!(cleaned(&texts)[1..], texts[1..]);
        let certificate = ["-----BEGIN CERTIFICATE-----", LINE];
        assert_eq!(cleaned(&certificate), certificate);
        let whole = format!("-----BEGIN PRIVATE KEY-----\n{LINE}\n-----END PRIVATE KEY-----");
        assert_eq!(cleaned(&[&whole, LINE]), [&whole, LINE], "a complete key is found by the redactor");
    }

    #[test]
    fn interleaved_output_does_not_end_a_key() {
        let other = "npm warn config production use --omit=dev instead";
        let texts = ["-----BEGIN PRIVATE KEY-----", LINE, other, LINE, LINE, "-----END PRIVATE KEY-----"];
        assert_eq!(cleaned(&texts), [MARK, MARK, other, MARK, MARK, MARK]);
        let ended = [&["-----BEGIN PRIVATE KEY-----", LINE][..], &[other; MOST_OTHERS + 1], &[LINE]].concat();
        assert_eq!(cleaned(&ended).last().unwrap(), LINE, "the block has ended");
    }

    #[test]
    fn endless_key_is_redacted_up_to_the_longest_key() {
        let mut block = Block::default();
        block.clean("-----BEGIN PRIVATE KEY-----");
        let hidden = (0..1_000).take_while(|_| block.clean(LINE) == MARK).count();
        assert!((200..=LONGEST_SHAPE / LINE.len()).contains(&hidden), "{hidden}");
        assert_eq!(block.clean(LINE), LINE);
    }
}
