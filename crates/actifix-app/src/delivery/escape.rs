//! Text of strangers in the languages of chat programs.

/// One line of at most `most` characters: control characters and line breaks become blanks, what is cut ends with an
/// ellipsis.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(flat.trim(), most)
}

/// At most `most` characters, cut with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Mentions that mention nobody: an invisible character stands behind each `@`.
pub(super) fn quiet(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

/// For Slack's texts, where `<`, `>` and `&` begin mentions, links and entities.
pub(super) fn slack(text: &str) -> String {
    quiet(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For Markdown, of Discord and GitHub: whatever could be markup is taken literally, and references are broken.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in quiet(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '~' | '|' | '>' | '#' | '[' | ']' | '(' | ')' | '!' | '-' | '+'
            | '.' | '{' | '}' | '$' | '&' => {
                out.push('\\');
                out.push(c);
            }
            // Bare addresses would become links, with previews.
            ':' => out.push_str(":\u{200b}"),
            _ => out.push(c),
        }
    }
    out
}

/// For Discord, which knows no entities.
pub(super) fn discord(text: &str) -> String {
    markdown(text).replace("&lt;", "\\<").replace("\\&", "&").replace("\\.", ".").replace("\\$", "$")
}
