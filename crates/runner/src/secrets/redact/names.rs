//! Recognises names that mark a value as a secret, by common conventions.

use pullyard_domain::agent::{KeyForm, ModelKey};

const SECRET_NAME_PARTS: &str = "\
    KEY KEYS APIKEY TOKEN SECRET SECRETS PASSWORD PASSWD PASSPHRASE PASS PWD PAT AUTH CREDENTIAL CREDENTIALS \
    CREDS DSN";
/// The shell's folders, which are no secrets.
const PATH_NAMES: [&str; 2] = ["PWD", "OLDPWD"];
/// Endings of the last part that mark a secret, also within a longer word such as `ACCESSKEY`.
const ENDINGS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "BOOTSTRAP"];
/// Last parts for information about a secret: its place, its name or its purpose.
const NON_SECRET_SUFFIXES: &str = "\
    ACCOUNT ADDR ALGORITHM ALIAS ARN AUDIENCE BACKEND COLUMN COUNT DAYS DIR ENABLED ENDPOINT ENGINE ENV \
    ENVIRONMENT EXPIRY FILE FORMAT HEADER HOST ID ISSUER LENGTH LIMIT MANAGER METHOD MODE NAME PATH PORT \
    PREFIX PROJECT PROVIDER REGION SCOPE SERVICE SIZE SOCK SPEC STORE TTL TYPE URI URL USER USERNAME VERSION";

pub(crate) fn is_secret_file_name(name: &str) -> bool {
    name.to_ascii_uppercase().ends_with("_AUTH")
}

pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_key_file = |key: ModelKey| key.spec().form == KeyForm::File && key.spec().variable == name;
    if PATH_NAMES.contains(&name.as_str()) || ModelKey::ALL.into_iter().any(is_key_file) {
        return false;
    }
    // A number at the end does not matter: `TOKEN_2` is like `TOKEN`.
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| word.trim_end_matches(char::is_numeric));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    let is_in = |list: &str, word: &str| list.split(' ').any(|own| own == word);
    ENDINGS.iter().any(|ending| last.ends_with(ending))
        || (words.iter().any(|word| is_in(SECRET_NAME_PARTS, word)) && !is_in(NON_SECRET_SUFFIXES, last))
}
