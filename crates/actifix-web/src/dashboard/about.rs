//! What this program is made of.

use super::forms::Viewer;
use super::shell::{Nav, Shell, answer, bytes, render};
use actifix_app::App;
use actifix_app::error::Error;
use actifix_app::review::Component;
use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Every crate that a release is built of: name, version, licence. Written by `cargo xtask docs`.
const CRATES: &str = include_str!("../../assets/crates.tsv");

/// Each of them.
pub fn components() -> Vec<Component> {
    let component = |line: &'static str| {
        let mut columns = line.split('\t');
        Some(Component { name: columns.next()?, version: columns.next()?, licence: columns.next()? })
    };
    CRATES.lines().filter_map(component).collect()
}

#[derive(Template)]
#[template(path = "about.html")]
struct AboutPage {
    s: Shell,
    facts: Vec<(&'static str, String)>,
    crates: Vec<Component>,
}

/// The page.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer) -> Response {
    let page = async {
        let s = Shell::load(&app, &viewer.0, Nav::About, "About").await?;
        let debug = if cfg!(debug_assertions) { "debug" } else { "release" };
        let facts = vec![
            ("Version", s.version.to_owned()),
            ("Build", format!("{debug}, {} on {}", std::env::consts::ARCH, std::env::consts::OS)),
            ("SQLite", s.stats.engine_version.clone()),
            ("Schema", s.stats.schema_version.to_string()),
            ("Database", bytes(s.stats.db_size_bytes)),
            ("Licence", "MIT OR Apache-2.0".to_owned()),
        ];
        Ok::<_, Error>(render(&AboutPage { facts, crates: components(), s }))
    };
    answer(page.await)
}

/// The list of crates as a CycloneDX 1.6 document.
pub async fn sbom(_viewer: Viewer) -> Response {
    let components: Vec<_> = components()
        .into_iter()
        .map(|of| {
            serde_json::json!({
                "type": "library", "name": of.name, "version": of.version,
                "purl": format!("pkg:cargo/{}@{}", of.name, of.version),
                "licenses": [{ "expression": of.licence }],
            })
        })
        .collect();
    let document = serde_json::json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "actifix", "version": env!("CARGO_PKG_VERSION"),
        } },
        "components": components,
    });
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.cyclonedx+json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"actifix.cdx.json\""),
    ];
    (headers, document.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_a_crate_its_version_and_its_licence() {
        let all: Vec<Component> = components();
        assert_eq!(all.len(), CRATES.lines().count());
        assert!(all.len() > 50, "{}", all.len());
        for of in &all {
            assert!(!of.name.is_empty() && !of.licence.is_empty(), "{}", of.name);
            assert!(of.version.starts_with(|c: char| c.is_ascii_digit()), "{} {}", of.name, of.version);
        }
        assert!(all.iter().any(|of| of.name == "rustls") && all.iter().any(|of| of.name == "rusqlite"));
    }
}
