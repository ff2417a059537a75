//! Finds the credentials in URLs.
//! The name of a variable with a URL does not mark a secret, and the whole URL is no secret.

use percent_encoding::percent_decode_str;

const TOKEN_USER_PASSWORD: &str = "x-oauth-basic";
/// Default passwords, which are public, and ordinary terms.
const COMMON_PASSWORDS: [&str; 3] = ["changeme", "password", "postgres"];
/// A user name without a password counts as a token from this length on. Units: bytes.
const SHORTEST_TOKEN: usize = 20;

/// Returns the credentials in a value's URLs, raw and percent-decoded: each password alone and with its user.
pub(crate) fn parse_url_credentials(value: &str) -> Vec<String> {
    let mut credentials = Vec::new();
    for (at, begin) in value.match_indices("://") {
        let (scheme, rest) = (value.get(..at).unwrap_or_default(), value.get(at + begin.len()..).unwrap_or_default());
        let authority = rest.split(is_authority_end).next().unwrap_or_default();
        let Some((user_info, _)) = authority.rsplit_once('@') else { continue };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let secrets = match password {
            "" | TOKEN_USER_PASSWORD if is_http(scheme) && user.len() >= SHORTEST_TOKEN => vec![user],
            "" | TOKEN_USER_PASSWORD => continue,
            _ if password == user || is_common_password(password) => continue,
            _ => vec![password, user_info],
        };
        for secret in secrets {
            credentials.push(secret.to_owned());
            credentials.extend(percent_decode_str(secret).decode_utf8().ok().map(String::from));
        }
    }
    credentials
}

pub(super) fn is_common_password(password: &str) -> bool {
    COMMON_PASSWORDS.contains(&password)
}

fn is_authority_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '<' | '>' | '\\')
}

/// With any other scheme the user is only a name, because the login uses a key.
fn is_http(before: &str) -> bool {
    before.ends_with("http") || before.ends_with("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &[&str]) {
        let mut found = parse_url_credentials(value);
        found.sort_unstable();
        found.dedup();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn passwords_in_urls_are_found_raw_and_decoded() {
        check("http://user:planted-pw@proxy.example:3128", &["planted-pw", "user:planted-pw"]);
        let encoded = ["pl%40nted%2fpw", "pl@nted/pw", "us%65r:pl%40nted%2fpw", "user:pl@nted/pw"];
        check("https://us%65r:pl%40nted%2fpw@model.example/v1?x=y@z", &encoded);
        check("postgres://app:p@nted-pw@db/app", &["app:p@nted-pw", "p@nted-pw"]);
        check("redis://:planted-pw@cache", &[":planted-pw", "planted-pw"]);
        let several = "amqp://a:planted-one@h1,amqp://b:planted-two@h2 {\"url\":\"http://c:planted-3@h\"}";
        let all = ["a:planted-one", "b:planted-two", "c:planted-3", "planted-3", "planted-one", "planted-two"];
        check(several, &all);
        // An invalid percent escape stays unchanged.
        check("http://u:100%-planted%2@h", &["100%-planted%2", "u:100%-planted%2"]);
    }

    #[test]
    fn token_as_user_is_found_and_a_user_name_is_not() {
        let token = "0123456789abcdefghijKLMN";
        for value in [format!("https://{token}@h/x"), format!("a https://{token}:x-oauth-basic@h")] {
            check(&value, &[token]);
        }
        check("https://0123456789abcdefghij@h", &["0123456789abcdefghij"]);
        check("https://0123456789abcdefghi@h", &[]);
        check(&format!("https://x-access-token:{token}@h"), &[token, &format!("x-access-token:{token}")]);
        for value in ["https://a-person@h/x", "ssh://the-name-of-a-machines-user@h", "postgres://app@db"] {
            check(value, &[]);
        }
    }

    #[test]
    fn common_passwords_are_no_secret() {
        for value in [
            "postgres://postgres:postgres@db",
            "http://app:password@h",
            "http://same-same:same-same@h",
            "https://registry.example/@scope/package:1",
            "https://h:8080/?mail=a:long-word@b",
            "planted:password@nowhere",
        ] {
            check(value, &[]);
        }
    }
}
