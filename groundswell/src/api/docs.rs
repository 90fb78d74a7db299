//! `/docs`: the API as people read it, made of its `OpenAPI` document when the server starts.
//!
//! Plain HTML and one style sheet, embedded: no script, and nothing of another host.

mod html;
mod operation;
mod schema;

use std::{fmt::Write as _, sync::Arc};

use axum::{Router, response::IntoResponse, routing::get};
use http::{HeaderName, header};
use serde_json::Value;

use self::html::{escape, page, prose};
use super::{Api, problem::KINDS};

/// How it looks.
const STYLE: &str = include_str!("docs/style.css");

/// The routes of the documentation, which everybody may read.
pub(super) fn routes(document: &Value) -> Router<Api> {
    let (whole, problems): (Arc<str>, Arc<str>) = (whole(document).into(), problem_kinds().into());
    let html = |text: Arc<str>| {
        move || std::future::ready(sent("text/html; charset=utf-8", text.to_string()))
    };
    Router::new()
        .route("/docs", get(html(whole)))
        .route("/docs/problems", get(html(problems)))
        .route("/docs/style.css", get(|| std::future::ready(sent("text/css", STYLE.to_owned()))))
}

fn sent(kind: &'static str, text: String) -> impl IntoResponse {
    // Never stored is right for answers with devices in them; this one may stay for a while.
    const FOR_A_WHILE: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=300");
    ([(header::CONTENT_TYPE, kind), FOR_A_WHILE], text)
}

/// The page with every route and every schema.
fn whole(document: &Value) -> String {
    let mut body = String::new();
    let info = &document["info"];
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let _ = write!(
        body,
        "<h1>{} {}</h1>\n<p>{}</p>\n<p>Show a token with each request: <code>Authorization: Bearer \
         gsw_...</code>. What goes wrong is told as <a href=\"/docs/problems\">a problem</a>. The \
         same for programs: <a href=\"/api/v1/openapi.json\">openapi.json</a>.</p>\n",
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"]),
    );
    let operations = operation::all(document);
    body.push_str("<nav><ul>\n");
    for (tag, operations) in &operations {
        let _ = write!(body, "<li>{}<ul>", escape(tag));
        for operation in operations {
            body.push_str(&operation.link());
        }
        body.push_str("</ul></li>\n");
    }
    body.push_str("<li><a href=\"#schemas\">schemas</a></li>\n</ul></nav>\n<main>\n");
    for (tag, operations) in &operations {
        let _ = writeln!(body, "<h2>{}</h2>", escape(tag));
        for operation in operations {
            body.push_str(&operation.section(document));
        }
    }
    body.push_str("<h2 id=\"schemas\">schemas</h2>\n");
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        body.push_str(&schema::section(name, schema));
    }
    body.push_str("</main>\n");
    page("Groundswell: the API", &body)
}

/// The page with every kind of problem.
fn problem_kinds() -> String {
    let mut body = String::from(
        "<h1>Problems</h1>\n<p>What goes wrong is answered as RFC 9457 has it, with \
         <code>Content-Type: application/problem+json</code>. The <code>type</code> is stable: \
         <code>urn:groundswell:problem:</code> and a kind. <a href=\"/docs\">The API</a></p>\n\
         <table>\n<tr><th>kind</th><th>status</th><th>what it means</th></tr>\n",
    );
    for (kind, status, meaning) in KINDS {
        let (shown, meaning) = (escape(kind), prose(meaning));
        let _ = writeln!(
            body,
            "<tr id=\"{shown}\"><td><code>{shown}</code></td><td>{status}</td><td>{meaning}</td></tr>"
        );
    }
    body.push_str("</table>\n");
    page("Groundswell: problems", &body)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::{super::routes, *};

    fn document() -> Value {
        serde_json::to_value(routes::openapi()).unwrap()
    }

    #[test]
    fn every_route_is_told_with_who_may() {
        let page = whole(&document());
        for route in routes::all().filter(|route| !route.path.ends_with("openapi.json")) {
            let id = format!("id=\"{}\"", operation::anchor(route.method.as_str(), route.path));
            assert_eq!(page.matches(&id).count(), 1, "{} {}", route.method, route.path);
        }
        assert!(page.contains("<p class=\"who\">Takes a token of: "));
    }

    #[test]
    fn links_lead_somewhere_and_to_no_other_host() {
        for text in [whole(&document()), problem_kinds()] {
            for what in ["<script", " style=", " onclick=", " src="] {
                assert!(!text.contains(what), "{what}");
            }
            for part in text.split(" href=\"").skip(1) {
                let to = part.split('"').next().unwrap();
                let is_good = match to.strip_prefix('#') {
                    Some(anchor) => text.contains(&format!(" id=\"{anchor}\"")),
                    None => to == "data:," || (to.starts_with('/') && !to.starts_with("//")),
                };
                assert!(is_good, "{to}");
            }
        }
    }

    #[test]
    fn what_is_said_in_a_description_is_no_markup() {
        let mut document = document();
        document["info"]["title"] = "<script>alert(1)</script>\"&".into();
        let page = whole(&document);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn code_is_shown_as_code() {
        for text in [whole(&document()), problem_kinds()] {
            assert!(!text.contains('`') && text.contains("<code>"));
        }
    }

    /// Kinds as they stand in the code: behind what makes a problem, the first text.
    #[test]
    fn every_kind_of_problem_is_told() {
        let mut used = BTreeSet::new();
        let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api")];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for makes in ["Problem::new(", "Self::new(", "::conflict(", "::unavailable("] {
                used.extend(text.split(makes).skip(1).filter_map(first_text));
            }
        }
        let known: BTreeSet<String> = KINDS.iter().map(|(kind, ..)| (*kind).to_owned()).collect();
        assert!(used.len() > 10, "{used:?}");
        let untold: Vec<&String> = used.difference(&known).collect();
        assert!(untold.is_empty(), "{untold:?}: `KINDS` tells what they mean");
    }

    fn first_text(after: &str) -> Option<String> {
        let statement = after.split(';').next()?;
        let kind = statement.split('"').nth(1)?;
        let is_kind = |c: char| c.is_ascii_lowercase() || c == '-';
        (!kind.is_empty() && kind.chars().all(is_kind)).then(|| kind.to_owned())
    }
}
