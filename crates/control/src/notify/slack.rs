//! Builds the message to an incoming webhook of Slack. Mattermost, Rocket.Chat and Discord accept the same.

use pullyard_domain::notice::{Notice, NoticeData, NoticeEvent};
use serde_json::json;

pub(super) fn build(notice: &Notice) -> Vec<u8> {
    let NoticeData { sentence, help, url, .. } = &notice.data;
    let (sentence, help) = (escape(sentence), escape(help));
    let text = match notice.event {
        NoticeEvent::Digest => format!("{sentence}\n<{url}|Open Pullyard>"),
        event => format!("*{}* {}: {sentence} {help} <{url}|Open>", event.label(), escape(&notice.subject())),
    };
    json!({ "text": text, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] })
        .to_string()
        .into_bytes()
}

/// Without these characters, a text can neither mention users nor contain links.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::id::{NoticeId, ProjectId};
    use pullyard_domain::time::Timestamp;

    #[test]
    fn text_of_others_cannot_mention_or_link() {
        let sentence = "<!channel> & <https://evil.example|Open>";
        let data = NoticeData::new(ProjectId::new("acme").unwrap(), sentence, "", "https://p.example/".into());
        let (id, at) = (NoticeId::new(format!("msg_{}", "a".repeat(26))).unwrap(), Timestamp::from_millis(0));
        let mut notice = Notice::to_endpoints(id, NoticeEvent::JobFailed, data, [], at);
        for event in [NoticeEvent::JobFailed, NoticeEvent::Digest] {
            notice.event = event;
            let message: serde_json::Value = serde_json::from_slice(&build(&notice)).unwrap();
            let text = message["text"].as_str().unwrap();
            assert!(text.contains("&lt;!channel&gt; &amp; &lt;https://evil.example|Open&gt;"), "{text}");
            assert_eq!(text.matches('<').count(), 1, "its own link: {text}");
            assert_eq!(message["blocks"][0]["text"]["text"], text);
        }
    }
}
