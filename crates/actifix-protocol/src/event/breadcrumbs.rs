//! What happened before.

use super::Clock;
use super::cut::{as_map, cut_map};
use super::field::{list, text};
use crate::when;
use actifix_domain::event::Breadcrumb;
use serde_json::Value;

/// Most breadcrumbs kept: the last ones.
pub const BREADCRUMBS_MAX: usize = 100;

/// The last [`BREADCRUMBS_MAX`] of the list, times on our clock.
pub(crate) fn breadcrumbs(value: Value, clock: Clock) -> Vec<Breadcrumb> {
    let mut crumbs = list(value);
    crumbs.drain(..crumbs.len().saturating_sub(BREADCRUMBS_MAX));
    crumbs.into_iter().map(|crumb| breadcrumb(crumb, clock)).collect()
}

fn breadcrumb(value: Value, clock: Clock) -> Breadcrumb {
    let mut crumb = Breadcrumb::default();
    let Value::Object(map) = value else {
        crumb.message = text(value);
        return crumb;
    };
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "type" => crumb.crumb_type = text(value),
            "category" => crumb.category = text(value),
            "message" => crumb.message = text(value),
            "data" => crumb.data.append(&mut as_map(value)),
            "timestamp" | "level" => {
                match key.as_str() {
                    "level" => crumb.level = super::level(&value),
                    _ => crumb.timestamp = when::parse(&value).map(|time| clock.correct(time)),
                }
                let lost = if key == "level" { crumb.level.is_none() } else { crumb.timestamp.is_none() };
                if lost {
                    crumb.data.insert(key, value);
                }
            }
            _ => {
                crumb.data.insert(key, value);
            }
        }
    }
    cut_map(&mut crumb.data);
    crumb
}
