//! Verification of webhook signatures.

use crate::webhook::{Secret, SignatureError, verify};

/// From GitHub's documentation.
const BODY: &[u8] = b"Hello, World!";
const SECRET: &str = "It's a Secret to Everybody";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn check(secrets: &[&str], body: &[u8], signature: Option<&str>, expected: Result<usize, SignatureError>) {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    assert_eq!(verify(&secrets, body, signature), expected, "{signature:?}");
}

#[test]
fn github_documentation_example_verifies() {
    check(&[SECRET], BODY, Some(SIGNATURE), Ok(0));
    assert_eq!(Secret::new(SECRET).sign(BODY), SIGNATURE);
}

#[test]
fn rfc_4231_vectors_verify() {
    // RFC 4231, cases 1, 2 and 6 (a key longer than a block).
    for (key, body, code) in [
        (vec![0x0b; 20], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        assert_eq!(verify(&[Secret::new(key)], body, Some(&format!("sha256={code}"))), Ok(0));
    }
}

#[test]
fn rotated_secrets_both_verify_by_index() {
    check(&["new", SECRET], BODY, Some(SIGNATURE), Ok(1));
    check(&[SECRET, "new"], BODY, Some(SIGNATURE), Ok(0));
    check(&[SECRET, SECRET], BODY, Some(SIGNATURE), Ok(0));
    check(&["new", "old"], BODY, Some(SIGNATURE), Err(SignatureError::Wrong));
    check(&[], BODY, Some(SIGNATURE), Err(SignatureError::Wrong));
}

#[test]
fn changed_body_or_signature_is_rejected() {
    check(&[SECRET], b"Hello, World", Some(SIGNATURE), Err(SignatureError::Wrong));
    check(&[SECRET], b"", Some(SIGNATURE), Err(SignatureError::Wrong));
    for place in 7..SIGNATURE.len() {
        let mut changed = SIGNATURE.to_owned().into_bytes();
        changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        check(&[SECRET], BODY, Some(&changed), Err(SignatureError::Wrong));
    }
}

#[test]
fn uppercase_digits_verify() {
    let capitals = format!("sha256={}", SIGNATURE[7..].to_uppercase());
    check(&[SECRET], BODY, Some(&capitals), Ok(0));
}

#[test]
fn missing_malformed_and_wrong_signatures_are_distinguished() {
    check(&[SECRET], BODY, None, Err(SignatureError::Missing));
    check(&[SECRET], BODY, Some(""), Err(SignatureError::Missing));
    for bad in ["sha256=", "sha256=75", "sha1=757107", "757107", "sha256=zz", "SHA256=00", "sha256", " "] {
        check(&[SECRET], BODY, Some(bad), Err(SignatureError::Malformed));
    }
    for bad in [&SIGNATURE[7..], &SIGNATURE[..70], &format!("{SIGNATURE}0"), &format!("{SIGNATURE}00")] {
        check(&[SECRET], BODY, Some(bad), Err(SignatureError::Malformed));
    }
    check(&[SECRET], BODY, Some(&format!("{SIGNATURE} ")), Err(SignatureError::Malformed));
}

#[test]
fn empty_secret_never_verifies() {
    let signature = Secret::new("").sign(BODY);
    check(&[""], BODY, Some(&signature), Err(SignatureError::Wrong));
}

#[test]
fn secret_is_never_printed() {
    assert!(!format!("{:?}", Secret::new(SECRET)).contains("Everybody"));
}
