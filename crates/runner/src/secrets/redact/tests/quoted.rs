//! Tests secrets as programs quote them in JSON, HTML and shells.

use super::*;

const KEY: &str = "p4ss/+&'<=>\"ü!";

#[track_caller]
fn check_all(before: &str, written: &[&str], after: &str) {
    let redactor = redactor_for(&[KEY]);
    for written in written {
        let text = format!("{before}{written}{after}");
        assert_eq!(redactor.redact_text(&text), format!("{before}{MARK}{after}"), "{text}");
        assert!(redactor.contains_secret(text.as_bytes()), "{text}");
    }
}

#[test]
fn known_secret_is_found_in_every_json_quoting() {
    let written = [
        // JavaScript; Python; PHP in three ways.
        r#"p4ss/+&'<=>\"ü!"#,
        r#"p4ss/+&'<=>\"\u00fc!"#,
        r#"p4ss\/+&'<=>\"\u00fc!"#,
        r#"p4ss\/+&'<=>\"ü!"#,
        r"p4ss\/+\u0026\u0027\u003C=\u003E\u0022\u00FC!",
        // Go; Gson; .NET.
        r#"p4ss/+\u0026'\u003c=\u003e\"ü!"#,
        r#"p4ss/+\u0026\u0027\u003c\u003d\u003e\"ü!"#,
        r"p4ss/\u002B\u0026\u0027\u003C=\u003E\u0022\u00FC!",
    ];
    check_all("{\"key\":\"", &written, "\"}");
    let redactor = redactor_for(&["a-key-\u{1f511}\n\u{1b}-of-mine"]);
    assert_eq!(redactor.redact_text(r#""a-key-\ud83d\udd11\n\u001b-of-mine""#), format!("\"{MARK}\""));
}

#[test]
fn known_secret_is_found_in_every_html_quoting() {
    let written = [
        "p4ss/+&amp;'&lt;=&gt;\"ü!",
        "p4ss/+&amp;'&lt;=&gt;&quot;ü!",
        "p4ss/+&amp;&apos;&lt;=&gt;&quot;ü!",
        "p4ss/+&amp;&#39;&lt;=&gt;&quot;ü!",
        "p4ss/+&amp;&#x27;&lt;=&gt;&quot;ü!",
        "p4ss/+&amp;&#039;&lt;=&gt;&quot;ü!",
        "p4ss/+&amp;&#39;&lt;=&gt;&#34;ü!",
        "p4ss/&#43;&amp;&#39;&lt;=&gt;&#34;ü!",
        "p4ss/+&amp;&#x27;&lt;&#x3D;&gt;&quot;ü!",
        "p4ss&#x2F;+&amp;&#39;&lt;&#x3D;&gt;&quot;ü!",
    ];
    check_all("<td>", &written, "</td>");
}

#[test]
fn known_secret_is_found_in_shell_quoting() {
    check_all("KEY='", &[r#"p4ss/+&'\''<=>"ü!"#, r#"p4ss/+&'"'"'<=>"ü!"#], "'");
    let redactor = redactor_for(&[r#"p4$$\"4711`"#]);
    assert_eq!(redactor.redact_text(r#"declare -x KEY="p4\$\$\\\"4711\`""#), format!("declare -x KEY=\"{MARK}\""));
}

#[test]
fn secret_without_special_characters_has_one_form() {
    let forms = forms::secret_forms("sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789");
    assert_eq!(forms.iter().filter(|form| form.breaks != forms::LineBreaks::Parts).count(), 1);
}
