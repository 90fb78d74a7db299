//! Schemas as people read them: a name with a link, or a shape in words.

use std::fmt::Write as _;

use serde_json::Value;

use super::html::{escape, prose};

/// Shapes within shapes that are told in words; deeper ones have names of their own.
const DEPTH_MAX: usize = 6;

/// What a `$ref` leads to, or the value itself.
pub(super) fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let at = value["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    at.and_then(|at| document.pointer(at)).unwrap_or(value)
}

/// A schema in a few words, as HTML.
pub(super) fn shape(schema: &Value) -> String {
    shape_within(schema, DEPTH_MAX)
}

fn shape_within(schema: &Value, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return "...".to_owned() };
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.rsplit('/').next().unwrap_or(to);
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    for one_of in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[one_of].as_array() {
            let between = if one_of == "allOf" { " and " } else { " or " };
            let parts: Vec<String> = parts.iter().map(|part| shape_within(part, depth)).collect();
            return parts.join(between);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("<code>{}</code>", escape(&value.to_string())))
            .collect();
        return values.join(", ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let said: Vec<String> = kinds.into_iter().map(|kind| kind_of(kind, schema, depth)).collect();
    let limits = limits(schema);
    match (said.is_empty(), limits.is_empty()) {
        (true, _) => "anything".to_owned(),
        (false, true) => said.join(" or "),
        (false, false) => format!("{} ({limits})", said.join(" or ")),
    }
}

fn kind_of(kind: &str, schema: &Value, depth: usize) -> String {
    match kind {
        "array" => format!("a list of {}", shape_within(&schema["items"], depth)),
        "object" => match &schema["additionalProperties"] {
            Value::Object(_) => {
                format!("by name: {}", shape_within(&schema["additionalProperties"], depth))
            }
            _ => "an object".to_owned(),
        },
        "null" => "nothing".to_owned(),
        kind => escape(kind),
    }
}

fn limits(schema: &Value) -> String {
    let words = [
        ("minimum", "from "),
        ("maximum", "up to "),
        ("minLength", "at least so many characters: "),
        ("maxLength", "characters at most: "),
        ("maxItems", "entries at most: "),
        ("format", ""),
    ];
    let told = words.into_iter().filter_map(|(key, word)| match &schema[key] {
        Value::Null => None,
        Value::String(text) => Some(format!("{word}{}", escape(text))),
        value => Some(format!("{word}{}", escape(&value.to_string()))),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A schema with its fields.
pub(super) fn section(name: &str, schema: &Value) -> String {
    let mut text = String::new();
    let shown = escape(name);
    let _ = writeln!(text, "<section id=\"schema-{shown}\">\n<h3>{shown}</h3>");
    if let Some(said) = schema["description"].as_str() {
        let _ = writeln!(text, "<p>{}</p>", prose(said));
    }
    // What is flattened into a schema stands beside its own fields.
    let parts: Vec<&Value> = match schema["allOf"].as_array() {
        Some(parts) => parts.iter().collect(),
        None => vec![schema],
    };
    for part in parts {
        match part["properties"].as_object() {
            Some(properties) => fields(properties, &part["required"], &mut text),
            None => {
                let _ = writeln!(text, "<p>{}</p>", shape(part));
            }
        }
    }
    text.push_str("</section>\n");
    text
}

fn fields(properties: &serde_json::Map<String, Value>, required: &Value, text: &mut String) {
    text.push_str("<table>\n<tr><th>field</th><th>what</th></tr>\n");
    let needed: Vec<&str> =
        required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in properties {
        let _ = writeln!(
            text,
            "<tr><td><code>{}</code>{}</td><td>{}. {}</td></tr>",
            escape(name),
            if needed.contains(&name.as_str()) { "" } else { " (may be missing)" },
            shape(schema),
            prose(schema["description"].as_str().unwrap_or_default())
        );
    }
    text.push_str("</table>\n");
}
