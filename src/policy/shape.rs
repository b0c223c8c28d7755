//! From a tool's JSON Schema to the types its arguments have in Cedar.
//!
//! Only what has an exact form gets a type; everything else is *opaque*: never an attribute, always listed in
//! `context.unrepresented`. Constraints (`minimum`, `pattern`, `required`, …) are not types and are ignored:
//! a rule says what it demands.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Schemas nest at most this deep; what is deeper is opaque. Also ends `$ref` loops.
const DEPTH: usize = 16;
/// Attributes of one tool, over all depths.
const ATTRIBUTES: usize = 1_024;

/// The JSON kinds, as JSON Schema names them; a union has at most one branch of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }
}

/// The type of a value in Cedar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Long,
    Decimal,
    Bool,
    Set(Box<Self>),
    Record(Fields),
}

impl Shape {
    const fn kind(&self) -> Kind {
        match self {
            Self::Text => Kind::String,
            Self::Long => Kind::Integer,
            Self::Decimal => Kind::Number,
            Self::Bool => Kind::Boolean,
            Self::Set(_) => Kind::Array,
            Self::Record(_) => Kind::Object,
        }
    }

    /// The type in Cedar's JSON schema format.
    pub(super) fn cedar_type(&self) -> Value {
        match self {
            Self::Text => json!({"type": "String"}),
            Self::Long => json!({"type": "Long"}),
            Self::Bool => json!({"type": "Boolean"}),
            Self::Decimal => json!({"type": "Extension", "name": "decimal"}),
            Self::Set(element) => json!({"type": "Set", "element": element.cedar_type()}),
            Self::Record(fields) => fields.cedar_type(),
        }
    }
}

/// The declared properties of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields(BTreeMap<String, Vec<Branch>>);

/// One way a property can be typed: the Cedar attribute it becomes then, and its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) attribute: String,
    pub(super) shape: Shape,
}

impl Fields {
    /// The branches of a property: none where it is not declared or opaque.
    pub(super) fn branches(&self, property: &str) -> &[Branch] {
        self.0.get(property).map_or(&[], Vec::as_slice)
    }

    /// The declared properties.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Is the property declared, whether or not it has an exact form?
    pub(super) fn declares(&self, property: &str) -> bool {
        self.0.contains_key(property)
    }

    /// The shape of an attribute.
    pub(super) fn shape(&self, attribute: &str) -> Option<&Shape> {
        self.0.values().flatten().find(|branch| branch.attribute == attribute).map(|branch| &branch.shape)
    }

    /// The type of the record in Cedar's JSON schema format: every attribute optional.
    pub(super) fn cedar_type(&self) -> Value {
        let attributes: Map<String, Value> = self
            .0
            .values()
            .flatten()
            .map(|branch| {
                let mut of_type = branch.shape.cedar_type();
                if let Some(object) = of_type.as_object_mut() {
                    object.insert("required".to_owned(), Value::Bool(false));
                }
                (branch.attribute.clone(), of_type)
            })
            .collect();
        json!({"type": "Record", "attributes": attributes})
    }

    /// The shape of a tool's arguments, from the JSON Schema of its input.
    ///
    /// # Errors
    /// Says what in the schema is malformed or too much.
    pub(super) fn of_schema(schema: &Value) -> Result<Self, String> {
        let mut reader = Reader { root: schema, attributes: 0 };
        let mut branches = reader.union(schema, 0)?;
        match branches.remove(&Kind::Object) {
            Some(Some(Shape::Record(fields))) if branches.is_empty() => Ok(fields),
            _ => Err("\"input\" must be the schema of an object".to_owned()),
        }
    }
}

/// Branches by kind; `None` where two branches of one kind contradict each other, so that neither is exact.
type Union = BTreeMap<Kind, Option<Shape>>;

struct Reader<'a> {
    root: &'a Value,
    attributes: usize,
}

impl Reader<'_> {
    fn union(&mut self, schema: &Value, depth: usize) -> Result<Union, String> {
        let schema = match schema {
            _ if depth > DEPTH => return Ok(Union::new()),
            Value::Bool(_) => return Ok(Union::new()),
            Value::Object(schema) => schema,
            _ => return Err("a schema must be an object or a boolean".to_owned()),
        };
        let deeper = depth.saturating_add(1);
        if let Some(reference) = schema.get("$ref") {
            let target = reference
                .as_str()
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.root.pointer(pointer))
                .ok_or_else(|| format!("$ref {reference} does not lead into this schema"))?
                .clone();
            return self.union(&target, deeper);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(keyword) {
                return self.any_of(list(choices, keyword)?, deeper);
            }
        }
        if let Some(all) = schema.get("allOf") {
            // One schema in `allOf` is that schema; an intersection of several has no exact form here.
            return match list(all, "allOf")? {
                [only] => self.union(only, deeper),
                _ => Ok(Union::new()),
            };
        }
        let kinds = kinds(schema)?;
        let mut union = Union::new();
        for kind in kinds {
            if let Some(shape) = self.shape(kind, schema, deeper)? {
                union.insert(kind, Some(shape));
            }
        }
        Ok(without_shadowed(union))
    }

    fn any_of(&mut self, choices: &[Value], depth: usize) -> Result<Union, String> {
        let mut union = Union::new();
        for choice in choices {
            for (kind, shape) in self.union(choice, depth)? {
                union
                    .entry(kind)
                    .and_modify(|known| {
                        if *known != shape {
                            *known = None;
                        }
                    })
                    .or_insert(shape);
            }
        }
        Ok(without_shadowed(union))
    }

    /// `None` where the kind has no exact form in this schema.
    fn shape(
        &mut self,
        kind: Kind,
        schema: &Map<String, Value>,
        depth: usize,
    ) -> Result<Option<Shape>, String> {
        Ok(match kind {
            Kind::String => Some(Shape::Text),
            Kind::Integer => Some(Shape::Long),
            Kind::Number => Some(Shape::Decimal),
            Kind::Boolean => Some(Shape::Bool),
            Kind::Array => match schema.get("items") {
                Some(items @ Value::Object(_)) if !schema.contains_key("prefixItems") => {
                    let mut union = self.union(items, depth)?;
                    match (union.pop_first(), union.is_empty()) {
                        (Some((_, Some(element))), true) => Some(Shape::Set(Box::new(element))),
                        _ => None,
                    }
                }
                _ => None,
            },
            Kind::Object => Some(Shape::Record(self.fields(schema.get("properties"), depth)?)),
        })
    }

    fn fields(&mut self, properties: Option<&Value>, depth: usize) -> Result<Fields, String> {
        let mut fields = BTreeMap::new();
        let mut attributes = std::collections::BTreeSet::new();
        let empty = Map::new();
        let properties = match properties {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err("\"properties\" must be an object".to_owned()),
        };
        for (name, schema) in properties {
            let shapes: Vec<Shape> = self.union(schema, depth)?.into_values().flatten().collect();
            let single = shapes.len() == 1;
            let mut branches = Vec::new();
            for shape in shapes {
                let attribute =
                    if single { name.clone() } else { format!("{name}__{}", shape.kind().name()) };
                if !attributes.insert(attribute.clone()) {
                    return Err(format!("two properties would become the attribute {attribute:?}"));
                }
                branches.push(Branch { attribute, shape });
            }
            self.attributes = self.attributes.saturating_add(branches.len());
            if self.attributes > ATTRIBUTES {
                return Err(format!("more than {ATTRIBUTES} attributes"));
            }
            fields.insert(name.clone(), branches);
        }
        Ok(Fields(fields))
    }
}

/// Every integer is a number: with both branches, a rule on one would not see the other's values.
fn without_shadowed(mut union: Union) -> Union {
    if union.contains_key(&Kind::Number) {
        union.remove(&Kind::Integer);
    }
    union
}

fn list<'a>(value: &'a Value, keyword: &str) -> Result<&'a [Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{keyword:?} must be an array"))
}

/// The kinds a schema names, null left out: null is absence.
fn kinds(schema: &Map<String, Value>) -> Result<Vec<Kind>, String> {
    let named = match schema.get("type") {
        Some(Value::String(name)) => vec![kind(name)?],
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| kind(name.as_str().ok_or("\"type\" must hold strings")?))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err("\"type\" must be a string or an array of strings".to_owned()),
        None => match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(values)), _) => values.iter().map(kind_of).collect(),
            (Some(_), _) => return Err("\"enum\" must be an array".to_owned()),
            (None, Some(value)) => vec![kind_of(value)],
            (None, None) if schema.contains_key("properties") => vec![Some(Kind::Object)],
            (None, None) if schema.contains_key("items") => vec![Some(Kind::Array)],
            (None, None) => vec![],
        },
    };
    let mut kinds: Vec<Kind> = named.into_iter().flatten().collect();
    kinds.sort();
    kinds.dedup();
    Ok(kinds)
}

fn kind(name: &str) -> Result<Option<Kind>, String> {
    Ok(Some(match name {
        "string" => Kind::String,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        "array" => Kind::Array,
        "object" => Kind::Object,
        "null" => return Ok(None),
        _ => return Err(format!("{name:?} is not a JSON Schema type")),
    }))
}

fn kind_of(value: &Value) -> Option<Kind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(Kind::Boolean),
        Value::Number(number) if number.is_f64() => Some(Kind::Number),
        Value::Number(_) => Some(Kind::Integer),
        Value::String(_) => Some(Kind::String),
        Value::Array(_) => Some(Kind::Array),
        Value::Object(_) => Some(Kind::Object),
    }
}
