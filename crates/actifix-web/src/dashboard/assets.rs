//! Stylesheet, icons and script: inside the binary, under names that hold their content's hash, so that browsers may
//! keep them for ever.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

const CSS: &[u8] = include_bytes!("../../assets/app.css");
const ICONS: &[u8] = include_bytes!("../../assets/icons.svg");
const SCRIPT: &[u8] = include_bytes!("../../assets/app.js");

/// Names of the files as pages link them.
#[derive(Debug)]
pub struct Names {
    /// The stylesheet.
    pub css: String,
    /// The icon sprite.
    pub icons: String,
    /// The script.
    pub script: String,
}

/// The names of this build.
pub static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    css: format!("app-{:016x}.css", fnv(CSS)),
    icons: format!("icons-{:016x}.svg", fnv(ICONS)),
    script: format!("app-{:016x}.js", fnv(SCRIPT)),
});

/// Serves a file by its hashed name.
pub async fn serve(Path(name): Path<String>) -> Response {
    let (content_type, bytes) = match name.as_str() {
        name if name == NAMES.css => ("text/css; charset=utf-8", CSS),
        name if name == NAMES.icons => ("image/svg+xml", ICONS),
        name if name == NAMES.script => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, bytes).into_response()
}

/// FNV-1a, 64 bits: tells builds apart, proves nothing.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
