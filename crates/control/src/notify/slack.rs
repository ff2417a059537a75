//! Builds the message to an incoming webhook of Slack. Mattermost, Rocket.Chat and Discord accept the same.

use pullyard_domain::notice::{Notice, NoticeData, NoticeEvent};
use serde_json::json;

const MAX_ESCAPED_BYTES: usize = 1_500;

pub(super) fn build(notice: &Notice) -> Vec<u8> {
    let NoticeData { sentence, help, url, .. } = &notice.data;
    let (sentence, help) = (escape(sentence), escape(help));
    let text = match notice.event {
        NoticeEvent::Digest => format!("{sentence}\n<{url}|Open Pullyard>"),
        event => format!("*{}* {}: {sentence} {help} <{url}|Open>", event.label(), escape(&notice.subject())),
    };
    json!({ "text": text, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }] })
        .to_string()
        .into_bytes()
}

/// Text that mentions nobody and contains no link, also where `@channel` and bare URLs count. Slack rejects a section of
/// more than 3,000 characters, Discord a message of more than 2,000.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.replace("://", ":\u{200b}//").chars() {
        if escaped.len() > MAX_ESCAPED_BYTES {
            escaped.push('…');
            break;
        }
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("@\u{200b}"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::id::{NoticeId, ProjectId};
    use pullyard_domain::time::Timestamp;

    #[test]
    fn text_of_others_cannot_mention_or_link() {
        let sentence = format!("<!channel> & <https://evil.example|Open> @everyone {}", "&".repeat(2_000));
        let data = NoticeData::new(ProjectId::new("acme").unwrap(), &sentence, "", "https://p.example/".into());
        let (id, at) = (NoticeId::new(format!("msg_{}", "a".repeat(26))).unwrap(), Timestamp::from_millis(0));
        let mut notice = Notice::to_endpoints(id, NoticeEvent::JobFailed, data, [], at);
        for event in [NoticeEvent::JobFailed, NoticeEvent::Digest] {
            notice.event = event;
            let message: serde_json::Value = serde_json::from_slice(&build(&notice)).unwrap();
            let text = message["text"].as_str().unwrap();
            let quoted = "&lt;!channel&gt; &amp; &lt;https:\u{200b}//evil.example|Open&gt; @\u{200b}everyone";
            assert!(text.contains(quoted) && text.len() < 2_000, "{text}");
            assert_eq!(text.matches('<').count(), 1, "its own link: {text}");
            assert_eq!(message["blocks"][0]["text"]["text"], text);
        }
    }
}
