//! Reads the built-in rules once, at build time, and leaves them in a form that costs the program little to read.

use std::error::Error;
use std::path::Path;

#[allow(dead_code, reason = "a rule file cannot say all that the engine can")]
#[path = "src/rule/data.rs"]
mod data;
#[path = "src/builtin/files.rs"]
mod files;
#[path = "src/rule/lead.rs"]
mod lead;

use data::{Leads, RawRule, RuleFile};
use lead::lead;

type Rules = RuleFile<RawRule<String>>;

#[allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
#[allow(clippy::disallowed_methods, reason = "the folder belongs to this build, and cargo made it")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/rule/data.rs");
    println!("cargo::rerun-if-changed=src/builtin/files.rs");
    println!("cargo::rerun-if-changed=src/rule/lead.rs");
    let mut read: Vec<(Rules, Vec<Leads>)> = Vec::new();
    for name in files::RULE_FILES {
        println!("cargo::rerun-if-changed={name}");
        let text = std::fs::read_to_string(name)?;
        let file: Rules = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
        let leads: Result<Vec<Leads>, _> = file.rule.iter().map(leads).collect();
        read.push((file, leads.map_err(|error| format!("{name}: {error}"))?));
    }
    let folder = std::env::var_os("OUT_DIR").ok_or("cargo names no folder for the output")?;
    std::fs::write(Path::new(&folder).join("rules.json"), serde_json::to_vec(&read)?)?;
    Ok(())
}

/// What the pattern of a rule demands of each of its keywords.
fn leads(rule: &RawRule<String>) -> Result<Leads, Box<regex_syntax::Error>> {
    let pattern = rule.pattern.as_deref().unwrap_or_default();
    rule.keywords.iter().map(|keyword| lead(pattern, keyword)).collect()
}
