//! Captured SDK requests as templates: envelopes with one event, under new ids, compressed anew as gzip.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::bodies::{ID_MARK, Template};

/// Bytes of one capture before compression.
const CLEAR_BYTES_MAX: u64 = 4 << 20;

/// Every capture that is an envelope with an event, in plain or gzip, by file name.
pub fn templates(folder: &Path) -> Result<Vec<Template>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    paths.sort();
    let mut templates = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(template) = template(&bytes).with_context(|| path.display().to_string())? {
            templates.push(template);
        }
    }
    if templates.len() < 10 {
        bail!("only {} captures in {} can be replayed", templates.len(), folder.display());
    }
    Ok(templates)
}

/// None for what is no such envelope.
fn template(request: &[u8]) -> Result<Option<Template>> {
    let Some(envelope) = envelope(request)? else { return Ok(None) };
    let Some(line_end) = envelope.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let (header, items) = envelope.split_at(line_end);
    let Ok(Value::Object(mut header)) = serde_json::from_slice(header) else { return Ok(None) };
    // One event exactly, else answers would not count events.
    let events = items.split(|byte| *byte == b'\n').filter(|line| is_event_header(line)).count();
    if events != 1 || !header.contains_key("event_id") {
        return Ok(None);
    }
    // The key of the capture is not ours, and the time at which it was sent would be a clock's drift.
    header.remove("dsn");
    header.remove("sent_at");
    header.insert("event_id".to_owned(), Value::from(ID_MARK));
    Template::new(&Value::Object(header).to_string(), items).map(Some)
}

fn is_event_header(line: &[u8]) -> bool {
    let Ok(Value::Object(header)) = serde_json::from_slice(line) else { return false };
    header.get("type").and_then(Value::as_str) == Some("event")
        && !header.contains_key("event_id")
        && !header.contains_key("exception")
}

/// The body of a request to the envelope endpoint, decoded; none for other endpoints and rarer encodings.
fn envelope(request: &[u8]) -> Result<Option<Vec<u8>>> {
    let head_end =
        request.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the head")?;
    let head = String::from_utf8_lossy(&request[..head_end]).to_ascii_lowercase();
    let body = &request[head_end + 4..];
    if !head.lines().next().is_some_and(|line| line.starts_with("post ") && line.contains("/envelope/")) {
        return Ok(None);
    }
    let encoding = head.lines().find_map(|line| line.strip_prefix("content-encoding:")).map(str::trim);
    match encoding {
        None | Some("") => Ok(Some(body.to_vec())),
        Some("gzip") => {
            let mut clear = Vec::new();
            flate2::read::GzDecoder::new(body)
                .take(CLEAR_BYTES_MAX)
                .read_to_end(&mut clear)
                .context("cannot decompress")?;
            Ok(Some(clear))
        }
        Some(_) => Ok(None),
    }
}
