//! Texts of records from elsewhere, made safe for terminals, logs and Markdown.

/// Puts a text on one line, with control characters and invisible formatting characters escaped.
pub(crate) fn clean(text: &mut String) {
    if text.chars().any(|c| is_unsafe(c) || c.is_whitespace() && c != ' ') {
        *text = line(text);
    }
}

/// Returns a text on one line, with control characters and invisible formatting characters escaped.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            c if is_unsafe(c) && !c.is_whitespace() => out.extend(c.escape_unicode()),
            c if c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Whether a character controls a terminal, or changes how the characters around it are shown.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("agent on node1: 1.37–1.38 s", "agent on node1: 1.37–1.38 s")]
    #[case::newlines("one\r\ntwo\n", "one  two")]
    #[case::escape("\u{1b}[31mred\u{7}", r"\u{1b}[31mred\u{7}")]
    #[case::eight_bit_escape("\u{9b}2J", r"\u{9b}2J")]
    #[case::reversed("a\u{202e}b", r"a\u{202e}b")]
    #[case::separator("a\u{2028}b", "a b")]
    fn texts_stay_on_their_line(#[case] raw: &str, #[case] shown: &str) {
        assert_eq!(line(raw), shown);
        let mut text = raw.to_owned();
        clean(&mut text);
        assert_eq!(text.trim_end(), shown);
    }
}
