//! Findings in words for people, and as JSON for programs.

use crate::cli::escape;

use super::finding::{Finding, Severity, worst};

/// How wide the text is.
const WIDTH: usize = 96;

/// One JSON object, without a newline.
pub(crate) fn json(finding: &Finding) -> String {
    // Strings and names only: it cannot fail.
    serde_json::to_string(finding).map(escape::json).unwrap_or_default()
}

/// All findings for people, the worst first, and what they come to.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.severity {
            Severity::Ok => "ok     ",
            Severity::Warning => "WARNING",
            Severity::Apart => "APART  ",
        };
        paragraph(&mut text, &format!("{mark}  "), &title(finding));
        if !finding.cause.is_empty() {
            paragraph(&mut text, "         why: ", &finding.cause);
        }
        if !finding.fix.is_empty() {
            paragraph(&mut text, "         do:  ", &finding.fix);
        }
    }
    let sum = match worst(findings) {
        Severity::Ok => "All is well.",
        Severity::Warning => "It works, or could not be found out; see the warnings.",
        Severity::Apart => "Something keeps people apart; see what is marked APART.",
    };
    text.push('\n');
    text.push_str(sum);
    text.push('\n');
    text
}

/// The title, with the interface and the way where it does not name them itself.
fn title(finding: &Finding) -> String {
    let way = finding.direction.map(|direction| direction.to_string());
    let about: Vec<String> = finding.interface.iter().cloned().chain(way).collect();
    if about.is_empty() { finding.title.clone() } else { format!("[{}] {}", about.join(" "), finding.title) }
}

/// Appends a text behind a label, broken into lines of equal indent.
fn paragraph(to: &mut String, label: &str, text: &str) {
    let text = escape::visible(text);
    let indent = " ".repeat(label.len());
    let mut line = label.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            to.push_str(line.trim_end());
            to.push('\n');
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    to.push_str(line.trim_end());
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Direction;

    fn finding() -> Finding {
        let long = "word ".repeat(40);
        Finding::apart("multicast-in-blocked", "mDNS does not get in")
            .cause(long.trim_end())
            .fix("allow \u{1b}[31mit")
            .on("eth0")
            .way(Direction::In)
            .with("10.0.0.1")
    }

    #[test]
    fn people_see_all_of_it_and_nothing_else() {
        let text = text(&[finding(), Finding::ok("peer", "bob is there")]);
        assert!(text.starts_with("APART    [eth0 in] mDNS does not get in\n         why: word word"), "{text}");
        assert!(text.contains("\nok       bob is there\n"), "{text}");
        assert!(text.ends_with("\n\nSomething keeps people apart; see what is marked APART.\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.lines().all(|line| line.len() <= WIDTH && line == line.trim_end()), "{text}");
    }

    #[test]
    fn programs_see_one_object() {
        let value: serde_json::Value = serde_json::from_str(&json(&finding())).unwrap();
        for (field, expect) in [
            ("event", "finding"),
            ("severity", "apart"),
            ("code", "multicast-in-blocked"),
            ("interface", "eth0"),
            ("direction", "in"),
            ("peer", "10.0.0.1"),
        ] {
            assert_eq!(value[field], expect);
        }
        let plain: serde_json::Value = serde_json::from_str(&json(&Finding::ok("peer", "x"))).unwrap();
        assert!(plain["interface"].is_null() && plain["direction"].is_null() && plain["cause"] == "");
    }
}
