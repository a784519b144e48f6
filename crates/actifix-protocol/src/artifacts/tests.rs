//! Bundles as `sentry-cli` makes them, and as it never would.

use super::*;
use std::io::Write;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn bundle(files: &[(&str, &[u8])]) -> Vec<u8> {
    // What stands before the archive in every bundle.
    let mut cursor = Cursor::new(b"SYSB\x02\0\0\0".to_vec());
    cursor.set_position(8);
    let mut zip = ZipWriter::new(cursor);
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn manifest(files: &str) -> String {
    format!(r#"{{"files":{{{files}}},"release":"r1","dist":"","org":"any"}}"#)
}

const SCRIPT: &str = r#""files/_/_/a.js":{"type":"minified_source","url":"~/a.js","headers":{"Debug-ID":"6d891456-7828-5945-acf5-88acbfe016af","sourcemap":"a.js.map","odd":7}}"#;

#[test]
fn a_bundle_is_read_with_its_headers() {
    let manifest = manifest(SCRIPT);
    let bytes = bundle(&[("files/_/_/a.js", b"a()"), ("manifest.json", manifest.as_bytes())]);
    let mut bundle = Bundle::open(&bytes).unwrap();
    assert_eq!((bundle.release.as_deref(), bundle.dist.as_deref()), (Some("r1"), None));
    let file = bundle.files[0].clone();
    assert_eq!((file.kind, file.url.as_str()), (ArtifactKind::Script, "~/a.js"));
    assert_eq!(file.debug_id.unwrap().to_string(), "6d891456-7828-5945-acf5-88acbfe016af");
    assert_eq!(file.map_reference, Some(MapReference::At("a.js.map".to_owned())));
    assert_eq!(bundle.read(&file).unwrap(), b"a()");
}

#[test]
fn what_is_no_bundle_is_refused_with_a_reason() {
    let open = |bytes: &[u8]| Bundle::open(bytes).map(|_| ()).unwrap_err();
    assert_eq!(open(b""), BundleError::Archive);
    assert_eq!(open(&[0; 4096]), BundleError::Archive);
    assert_eq!(open(&bundle(&[("a.js", b"a()")])), BundleError::Manifest);
    assert_eq!(open(&bundle(&[("manifest.json", b"[")])), BundleError::Manifest);
    for name in ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\\\b"] {
        let manifest = manifest(&format!(r#""{name}":{{"type":"source_map","url":"~/a.js.map"}}"#));
        assert_eq!(open(&bundle(&[("manifest.json", manifest.as_bytes())])), BundleError::Name, "{name}");
    }
    let mut cut = bundle(&[("manifest.json", manifest(SCRIPT).as_bytes())]);
    let bytes = bundle(&[("manifest.json", manifest(SCRIPT).as_bytes())]);
    let mut missing = Bundle::open(&bytes).unwrap();
    let file = missing.files[0].clone();
    assert_eq!(missing.read(&file).unwrap_err(), BundleError::Missing);
    cut.truncate(cut.len() / 2);
    assert_eq!(open(&cut), BundleError::Archive);
}

#[test]
fn bombs_are_cut_while_they_unpack() {
    let zeros = vec![b' '; usize::try_from(BUNDLE_FILE_BYTES_MAX).unwrap() + 1];
    let manifest = manifest(SCRIPT);
    let bytes = bundle(&[("files/_/_/a.js", &zeros), ("manifest.json", manifest.as_bytes())]);
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let mut opened = Bundle::open(&bytes).unwrap();
    let file = opened.files[0].clone();
    assert_eq!(opened.read(&file).unwrap_err(), BundleError::Unpacked);
    let names: Vec<String> = (0..=BUNDLE_FILES_MAX + 1).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(Bundle::open(&bundle(&many)).map(|_| ()).unwrap_err(), BundleError::Files);
}

#[test]
fn references_are_resolved_against_the_script() {
    for (script, reference, map) in [
        ("~/static/app.js", "app.js.map", "~/static/app.js.map"),
        ("~/app.js", "maps/app.js.map", "~/maps/app.js.map"),
        ("~/a/b/app.js", "../app.js.map", "~/a/app.js.map"),
        ("~/a/app.js", "../../../app.js.map", "~/app.js.map"),
        ("https://cdn.example/a/app.js", "/m/app.js.map", "https://cdn.example/m/app.js.map"),
        ("https://cdn.example/a/app.js", "https://other.example/x.map", "https://other.example/x.map"),
        ("app:///app.js", "./app.js.map", "app:///app.js.map"),
    ] {
        assert_eq!(map_url(script, reference), map, "{script} {reference}");
    }
    let found = |text: &str| MapReference::in_script(text.as_bytes());
    let at = Some(MapReference::At("a.js.map".to_owned()));
    assert_eq!(found("a()\n//# sourceMappingURL=a.js.map\n//# debugId=x\n"), at);
    assert_eq!(found("a()\r\n//@ sourceMappingURL=a.js.map\r\n"), at);
    for none in [
        "a()",
        "a()\n//# sourceMappingURL=",
        "a()\n//# sourceMappingURL=a map",
        "eval('\\n//# sourceMappingURL=data:application/json;base64,e30=')",
        &format!("//# sourceMappingURL=a.js.map{}", "\nb()".repeat(30)),
        &format!("//# sourceMappingURL={}", "a".repeat(ARTIFACT_URL_BYTES_MAX + 1)),
    ] {
        assert_eq!(found(none), None, "{none}");
    }
}

#[test]
fn maps_in_scripts_are_read_out_of_them() {
    let map = br#"{"version":3,"sources":[],"mappings":""}"#;
    // Padded, not padded, with a charset, followed by a comment.
    let data = "eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbXSwibWFwcGluZ3MiOiIifQ";
    for (kind, end) in [
        ("application/json;base64", "=="),
        ("application/json;base64", ""),
        ("application/json;charset=utf-8;base64", "==\n//# debugId=x\n"),
    ] {
        let script = format!("a()\n//# sourceMappingURL=data:{kind},{data}{end}");
        assert_eq!(MapReference::in_script(script.as_bytes()), Some(MapReference::Inline));
        assert_eq!(inline_map(script.as_bytes()).unwrap(), map, "{kind} {end}");
    }
    for broken in [
        "a()",
        "a()\n//# sourceMappingURL=a.js.map",
        "a()\n//# sourceMappingURL=data:",
        "a()\n//# sourceMappingURL=data:application/json,%7B%7D",
        "a()\n//# sourceMappingURL=data:application/json;base64,!",
        "a()\n//# sourceMappingURL=data:application/json;base64",
    ] {
        assert_eq!(inline_map(broken.as_bytes()), Err(crate::sourcemap::MapError::Inline), "{broken}");
    }
    // The manifest repeats the map, however long it is.
    let header = format!("data:application/json;base64,{}", "e30=".repeat(3 << 20));
    let files =
        format!(r#""a.js":{{"type":"minified_source","url":"~/a.js","headers":{{"sourcemap":"{header}"}}}}"#);
    let bytes = bundle(&[("a.js", b"a()"), ("manifest.json", manifest(&files).as_bytes())]);
    assert_eq!(Bundle::open(&bytes).unwrap().files[0].map_reference, Some(MapReference::Inline));
}
