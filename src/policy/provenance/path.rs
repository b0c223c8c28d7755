//! Paths as text. No disk is asked: a link can still lead elsewhere, which a check before the call cannot know.

/// The path's steps, without empty ones and `.`; `None` where a step is `..` or either with space around it, where none is left, or where it is no one
/// line.
pub(super) fn canonical(text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let text = text.replace('\\', "/");
    let mut steps: Vec<&str> = Vec::new();
    for step in text.split('/') {
        match step {
            "" | "." => {}
            // `. ` and `.. ` are other names, and would be the same ones once trimmed.
            step if matches!(step.trim(), "." | "..") => return None,
            step => steps.push(step),
        }
    }
    if steps.is_empty() {
        return None;
    }
    let joined = steps.join("/");
    // `./ a` begins with the space that a caller trims.
    Some(if text.starts_with('/') { format!("/{}", joined.trim_end()) } else { joined.trim().to_owned() })
        .filter(|path| !path.is_empty() && !path.ends_with('/'))
}
