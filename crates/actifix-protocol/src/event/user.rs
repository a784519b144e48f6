//! The user that was affected.

use super::cut::{as_map, cut_map, free_map};
use super::field::text;
use actifix_domain::event::User;
use serde_json::Value;

/// Stands for the address of whoever sent the event.
const AUTO: &str = "{{auto}}";

/// A user; `None` if nothing is known. `{{auto}}` becomes `peer_ip`, or nothing.
pub(crate) fn user(value: Value, peer_ip: Option<&str>) -> Option<User> {
    let mut user = User::default();
    for (key, value) in as_map(value) {
        if value.is_null() {
            continue;
        }
        match key.as_str() {
            "id" => user.id = text(value),
            "email" => user.email = text(value),
            "username" => user.username = text(value),
            "ip_address" if value.as_str() == Some(AUTO) => user.ip_address = peer_ip.map(str::to_owned),
            "ip_address" => user.ip_address = text(value),
            "geo" => user.geo = free_map(value),
            "data" => user.data.append(&mut as_map(value)),
            _ => {
                user.data.insert(key, value);
            }
        }
    }
    cut_map(&mut user.data);
    (user != User::default()).then_some(user)
}
