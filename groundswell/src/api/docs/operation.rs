//! One route as people read it.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::{
    html::{escape, prose},
    schema,
};
use crate::api::routes::{self, Needs};

/// A route of the document.
pub(super) struct Operation<'a> {
    method: String,
    path: &'a str,
    said: &'a Value,
}

/// Every route, by its noun.
pub(super) fn all(document: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut by_tag: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, said) in item.as_object().into_iter().flatten() {
            if said.get("responses").is_none() {
                continue;
            }
            let tag = said["tags"][0].as_str().unwrap_or("other");
            let operation = Operation { method: method.to_ascii_uppercase(), path, said };
            by_tag.entry(tag).or_default().push(operation);
        }
    }
    by_tag
}

/// The name of a route within the page.
pub(super) fn anchor(method: &str, path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let path: String = path.trim_start_matches("/api/v1").chars().map(plain).collect();
    format!("{}{path}", method.to_ascii_lowercase())
}

impl Operation<'_> {
    pub(super) fn link(&self) -> String {
        let (anchor, path) = (anchor(&self.method, self.path), escape(self.path));
        format!("<li><b>{}</b> <a href=\"#{anchor}\">{path}</a></li>\n", escape(&self.method))
    }

    pub(super) fn section(&self, document: &Value) -> String {
        let mut text = String::new();
        let (anchor, path) = (anchor(&self.method, self.path), escape(self.path));
        let _ = writeln!(
            text,
            "<section id=\"{anchor}\">\n<h3><b>{}</b> <code>{path}</code></h3>",
            escape(&self.method)
        );
        for part in ["summary", "description"] {
            if let Some(said) = self.said[part].as_str() {
                let _ = writeln!(text, "<p>{}</p>", prose(said));
            }
        }
        let _ = writeln!(text, "<p class=\"who\">{}</p>", escape(&self.who()));
        self.parameters(document, &mut text);
        self.body(&mut text);
        self.answers(&mut text);
        text.push_str("</section>\n");
        text
    }

    fn who(&self) -> String {
        let own = |route: &&routes::Route| {
            route.path == self.path && route.method.as_str() == self.method
        };
        match routes::all().find(own).map(|route| route.needs) {
            Some(Needs::Right(right)) => format!("Takes a token of: {}.", right.who()),
            Some(Needs::DeviceOr(right)) => {
                format!("Takes the token of the device, or one of: {}.", right.who())
            }
            Some(Needs::Enrollment) => "Takes an enrollment token.".to_owned(),
            Some(Needs::Nothing) | None => "Takes no token.".to_owned(),
        }
    }

    fn parameters(&self, document: &Value, text: &mut String) {
        let Some(parameters) = self.said["parameters"].as_array() else { return };
        text.push_str("<table>\n<tr><th>parameter</th><th>in</th><th>what</th></tr>\n");
        for given in parameters {
            let parameter = schema::followed(document, given);
            let said = |part: &str| parameter[part].as_str().unwrap_or_default();
            let is_needed = parameter["required"].as_bool().unwrap_or(false);
            let _ = writeln!(
                text,
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{} {}</td></tr>",
                escape(said("name")),
                if is_needed { " (needed)" } else { "" },
                escape(said("in")),
                schema::shape(&parameter["schema"]),
                prose(said("description")),
            );
        }
        text.push_str("</table>\n");
    }

    fn body(&self, text: &mut String) {
        let content = self.said["requestBody"]["content"].as_object();
        for (kind, content) in content.into_iter().flatten() {
            let _ = writeln!(
                text,
                "<p>Body, <code>{}</code>: {}</p>",
                escape(kind),
                schema::shape(&content["schema"])
            );
        }
    }

    fn answers(&self, text: &mut String) {
        let Some(answers) = self.said["responses"].as_object() else { return };
        text.push_str("<table>\n<tr><th>status</th><th>answer</th></tr>\n");
        for (status, answer) in answers {
            let content = answer["content"].as_object();
            let shapes: Vec<String> = content
                .into_iter()
                .flatten()
                .map(|(kind, content)| match content.get("schema") {
                    Some(schema) => schema::shape(schema),
                    None => format!("<code>{}</code>", escape(kind)),
                })
                .collect();
            let said = answer["description"].as_str().unwrap_or_default();
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>{} {}</td></tr>",
                if status == "default" { "any other" } else { status },
                shapes.join(" or "),
                prose(said)
            );
        }
        text.push_str("</table>\n");
    }
}
