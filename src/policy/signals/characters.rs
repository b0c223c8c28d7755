//! Characters that hide: those nobody sees, those that turn the direction of reading, and letters that look like others.
//! Only texts with characters beyond ASCII come here.

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hidden {
    pub(super) invisible: bool,
    pub(super) lookalike: bool,
}

/// A word with more letters than this is looked at as far as this.
const WORD_CHARS_MAX: usize = 128;

pub(super) fn look(text: &str) -> Hidden {
    Hidden { invisible: has_invisible(text), lookalike: has_lookalike(text) }
}

fn has_invisible(text: &str) -> bool {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if is_invisible(c, before, chars.peek().copied()) {
            return true;
        }
        before = Some(c);
    }
    false
}

/// Characters without a shape of their own, where no script or emoji needs them.
fn is_invisible(c: char, before: Option<char>, after: Option<char>) -> bool {
    match c {
        // Soft hyphen, zero width space, word joiner and invisible operators, byte order mark, fillers, annotations.
        '\u{AD}'
        | '\u{200B}'
        | '\u{2060}'..='\u{2065}'
        | '\u{FEFF}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{FFA0}'
        | '\u{180E}'
        | '\u{34F}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{FFF9}'..='\u{FFFB}' => true,
        // Embeddings, overrides and isolates turn what follows; the marks alone do so in right-to-left text.
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{206A}'..='\u{206F}' => true,
        '\u{200E}' | '\u{200F}' | '\u{61C}' => {
            !before.is_some_and(is_right_to_left) && !after.is_some_and(is_right_to_left)
        }
        // Joiners are needed in Arabic, Indic and Mongolian scripts, and between emoji.
        '\u{200C}' | '\u{200D}' => {
            before.is_none_or(|c| c < '\u{600}') || after.is_none_or(|c| c < '\u{600}')
        }
        // Shapes of emoji and of ideographs, one after each.
        '\u{FE00}'..='\u{FE0F}' => before.is_none_or(|c| c.is_ascii_alphabetic() || is_variation(c)),
        '\u{E0100}'..='\u{E01EF}' => before.is_none_or(|c| c < '\u{2E80}' || is_variation(c)),
        // Tags spell flags after one emoji, and otherwise ASCII that nobody sees.
        '\u{E0000}'..='\u{E007F}' => {
            !before.is_some_and(|c| c == '\u{1F3F4}' || ('\u{E0061}'..='\u{E007A}').contains(&c))
        }
        // Controls, white space apart.
        c => c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{C}' | '\u{85}'),
    }
}

fn is_variation(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' | '\u{10800}'..='\u{10FFF}')
}

/// A word, or a host's or address's name, with Latin letters of ASCII and others that look like them; or ASCII letters
/// in mathematical or wide form.
fn has_lookalike(text: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '@' | '_');
    text.split(|c| !in_word(c)).filter(|word| !word.is_ascii()).any(|word| {
        let latin = word.chars().any(|c| c.is_ascii_alphabetic());
        word.chars()
            .filter(|c| !c.is_ascii())
            .take(WORD_CHARS_MAX)
            .any(|c| is_styled(c) || (latin && is_like_ascii(c)))
    })
}

/// Letters and digits of ASCII in other clothes: mathematical, wide, in circles.
fn is_styled(c: char) -> bool {
    matches!(c, '\u{1D400}'..='\u{1D7FF}' | '\u{FF10}'..='\u{FF5A}' | '\u{24B6}'..='\u{24E9}' | '\u{1F130}'..='\u{1F189}')
}

/// A letter of another script that looks like one of ASCII (UTS #39). Accents are no disguise.
fn is_like_ascii(c: char) -> bool {
    if !c.is_alphabetic() || std::iter::once(c).nfd().next().is_some_and(|c| c.is_ascii()) {
        return false;
    }
    let mut buffer = [0; 4];
    let mut like = skeleton(c.encode_utf8(&mut buffer)).peekable();
    like.peek().is_some() && like.all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_found_and_writing_is_not() {
        for text in [
            "pay\u{200B}pal",
            "a\u{202E}b",
            "x\u{E0041}\u{E0042}",
            "\u{FEFF}start",
            "soft\u{AD}hyphen",
            "a\u{200D}b",
            "nul\u{0}",
            "esc\u{1b}[2J",
            "a\u{FE0F}b",
            "\u{1F600}\u{FE0F}\u{FE01}",
        ] {
            assert!(look(text).invisible, "{text:?}");
        }
        for text in [
            "👩\u{200D}👩\u{200D}👧 ❤\u{FE0F}",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "naïve café\r\n",
            "שלום\u{200F}",
            "1\u{FE0F}\u{20E3}",
        ] {
            assert!(!look(text).invisible, "{text:?}");
        }
        for text in ["p\u{430}ypal.com", "аррӏе.com", "ＰayPal", "𝐩𝐚𝐲", "g\u{3bf}ogle"] {
            assert!(look(text).lookalike, "{text:?}");
        }
        for text in ["Привет, Bob", "α-helix", "Müller & Søn", "東京 Tokyo", "5 kΩ", "10 µm", "naïve"]
        {
            assert!(!look(text).lookalike, "{text:?}");
        }
    }
}
