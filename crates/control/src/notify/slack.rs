//! Builds the message to an incoming webhook of Slack. Mattermost, Rocket.Chat and Discord accept the same.

use pullyard_domain::run::notice::{Notice, NoticeData, NoticeEvent};
use serde_json::json;

const MAX_SENTENCE_BYTES: usize = 1_200;
const MAX_HELP_BYTES: usize = 300;
const MAX_SUBJECT_BYTES: usize = 100;

pub(super) fn build(notice: &Notice) -> Vec<u8> {
    let NoticeData { sentence, help, url, pull_request, .. } = &notice.data;
    let (sentence, help) = (escape(sentence, MAX_SENTENCE_BYTES), escape(help, MAX_HELP_BYTES));
    let subject = escape(&notice.subject(), MAX_SUBJECT_BYTES);
    let is_plain = |url: &&String| !url.contains(['<', '>', '|', '&', ' ']);
    let pull_request = pull_request.as_ref().filter(is_plain).map(|url| format!(" <{url}|Pull request>"));
    let text = match notice.event {
        NoticeEvent::Digest => format!("{sentence}\n<{url}|Open Pullyard>"),
        event => {
            format!("*{}* {subject}: {sentence} {help} <{url}|Open>{}", event.label(), pull_request.unwrap_or_default())
        }
    };
    json!({ "text": text, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } }] })
        .to_string()
        .into_bytes()
}

/// Text that mentions nobody and contains no link, also where `@channel`, bare URLs and Markdown count. Slack rejects a
/// section of more than 3,000 characters, Discord a message of more than 2,000.
fn escape(text: &str, max_bytes: usize) -> String {
    let mut escaped = String::new();
    let unlinked = text.replace("://", ":\u{200b}//").replace("](", "]\u{200b}(").replace("www.", "www\u{200b}.");
    for character in unlinked.chars() {
        if escaped.len() > max_bytes {
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
    use pullyard_domain::text::id::{NoticeId, ProjectId, TicketKey};
    use pullyard_domain::text::time::Timestamp;

    #[test]
    fn text_of_others_cannot_mention_or_link() {
        let sentence = format!("<!channel> & <https://evil.example|Open> @everyone {}", "&".repeat(2_000));
        let help = "&".repeat(400);
        let mut data = NoticeData::new(ProjectId::new("acme").unwrap(), &sentence, &help, "https://p.example/".into());
        data.ticket = Some(TicketKey::new("&".repeat(60)).unwrap());
        data.pull_request = Some("https://evil.example/|a>".into());
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
