//! What facts are made of: values and records out of texts that anybody wrote, SQL and shell. Behind the feature `policy`,
//! because the room holds Cedar.

use foreseal::policy::provenance::{
    Destination, FingerprintKey, Format, Memory, OutputLabels, Pattern, Reading, ValueType,
};
use foreseal::policy::signals::{self, Language, Parse};
use serde_json::{Value, json};

use crate::text;

fn place(at: &str, kind: ValueType) -> Destination {
    Destination { at: Pattern::parse(at).expect("it is a path"), kind }
}

/// A text is the user's, a tool's output in each form, an agent's claim and an argument. A canonical spelling is its own;
/// what an output grounds as a whole is what stands there; claims ground nothing; and a memory survives its bytes.
pub fn grounding(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let key = FingerprintKey::new(&[7; 32]);
    let args = json!({ "to": text });
    let asked_for = Reading { asked_for: true, place_named: true };
    for kind in ValueType::ALL {
        let canonical = kind.canonical(text);
        if let Some(canonical) = &canonical {
            assert_eq!(kind.canonical(canonical).as_ref(), Some(canonical), "{kind} {text:?}");
        }
        let whole = OutputLabels {
            format: Format::Text,
            authoritative: vec![place("", kind)],
            ..OutputLabels::default()
        };
        let mut memory = Memory::default();
        memory.output(&key, &whole, asked_for, &Value::from(text));
        let reading = memory.reading(&key, &[place("/to", kind)], &whole, &args);
        assert!(!reading.asked_for || canonical.is_some() || several(text));
    }
    let mut memory = Memory::default();
    memory.claimed(&key, &args);
    let destinations: Vec<Destination> = ValueType::ALL.into_iter().map(|kind| place("/to", kind)).collect();
    let payload = [Pattern::parse("").expect("it is a path")];
    let claimed = memory.ground(&key, &destinations, &payload, &args);
    assert_eq!(claimed.destinations, Memory::default().ground(&key, &destinations, &[], &args).destinations);
    for format in [Format::Json, Format::Python, Format::Text, Format::Yaml] {
        let places = ["", "/*", "/*/id", "/~", "/a/*"];
        let authoritative = places.iter().flat_map(|at| ValueType::ALL.map(|kind| place(at, kind))).collect();
        let author = Some(Pattern::parse("/*/a").expect("it is a path"));
        let labels = OutputLabels { format, authoritative, author, untrusted: true, ..OutputLabels::default() };
        memory.output(&key, &labels, asked_for, &Value::from(text));
    }
    memory.user_words(&key, text);
    let kept = postcard::to_stdvec(&memory).expect("it has a form");
    let again: Memory = postcard::from_bytes(&kept).expect("it comes back");
    assert_eq!(again.ground(&key, &destinations, &payload, &args), memory.ground(&key, &destinations, &payload, &args));
}

/// May the text be a list of values?
fn several(text: &str) -> bool {
    text.contains(['[', ',', ';', '\n']) || text.is_empty()
}

/// SQL, shell and all other detectors: the same twice, and none of them ends the process.
pub fn detectors(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let parse = |at: &str, language| Parse { at: Pattern::parse(at).expect("it is a path"), language };
    let parses = [parse("/q", Language::Sql), parse("/q", Language::Shell)];
    let args = json!({ "q": text });
    let found = signals::of_call(&args, &parses);
    assert_eq!(found, signals::of_call(&args, &parses));
    assert!(found.sql.is_some() && found.shell.is_some());
    let known: Vec<&str> = signals::class_names().collect();
    assert!(found.classes.iter().all(|class| known.contains(&class.as_str())));
    // The same under another name, and beside nothing.
    let moved = signals::of_call(&json!({ "q": [text], "r": {} }), &[]);
    assert_eq!((moved.classes, moved.instructions, moved.encoded), (found.classes, found.instructions, found.encoded));
}

/// `tools.json` by itself, which is most of what a bundle has to say of its tools.
pub fn tools(bytes: &[u8]) {
    let files = std::collections::BTreeMap::from([("tools.json".to_owned(), bytes.to_vec())]);
    for (id, tool) in foreseal::policy::tools_of(&files) {
        assert_eq!(id, tool.action_id());
        assert!(tool.groups.iter().any(|group| group == "call"));
    }
}
