//! Paths as text. No disk is asked: a link can still lead elsewhere, which a check before the call cannot know.

/// The path with `.`, `..` and repeated separators resolved. `None` for what leads above its root, is no one line,
/// or mixes in the other system's separator.
pub(super) fn canonical(text: &str) -> Option<String> {
    if text.is_empty() || text.contains('\\') || text.chars().any(char::is_control) {
        return None;
    }
    let absolute = text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            // What a relative path or a home leads above is not known.
            ".." => match parts.pop() {
                Some(last) if !last.starts_with('~') => {}
                _ => return None,
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    Some(match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        // `a/../ b` begins with the space that a caller trims.
        (false, false) => joined.trim().to_owned(),
    })
}
