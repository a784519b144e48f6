use super::*;
use crate::event::Exception;
use crate::time::Timestamp;

fn frame(filename: &str, abs_path: Option<&str>, in_app: bool) -> Frame {
    Frame {
        filename: Some(filename.to_owned()),
        abs_path: abs_path.map(str::to_owned),
        in_app: Some(in_app),
        ..Frame::default()
    }
}

/// Outermost call first, as SDKs send it.
fn event(frames: Vec<Frame>) -> Event {
    let stacktrace = Some(Stacktrace { frames, ..Stacktrace::default() });
    Event { exception: vec![Exception { stacktrace, ..Exception::default() }], ..Event::default() }
}

fn commit(id: &str, second: i64, paths: &[&str]) -> Commit {
    Commit {
        id: id.to_owned(),
        author: None,
        author_email: None,
        message: String::new(),
        at: Some(Timestamp::from_micros(second * 1_000_000)),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        paths_left_out: 0,
    }
}

#[track_caller]
fn check(frames: Vec<Frame>, commits: &[Commit], expected: &[&str]) -> Vec<Ranked> {
    let ranked = rank(&own_files(&event(frames)), commits);
    let ids: Vec<&str> = ranked.iter().map(|one| commits[one.place].id.as_str()).collect();
    assert_eq!(ids, expected);
    ranked
}

#[test]
fn what_is_nearest_to_the_failure_comes_first_and_among_equals_the_newest() {
    let frames = || {
        vec![
            frame("shop/web.py", None, true),
            frame("shop/cart.py", None, true),
            frame("lib/http.py", None, false),
            frame("shop/pay.py", None, true),
        ]
    };
    let commits = [
        commit("aaaaaaa", 9, &["docs/README.md"]),
        commit("bbbbbbb", 8, &["shop/web.py"]),
        commit("ccccccc", 3, &["shop/pay.py"]),
        commit("ddddddd", 5, &["shop/pay.py"]),
        commit("eeeeeee", 4, &["shop/cart.py", "shop/web.py"]),
        commit("fffffff", 9, &["lib/http.py"]),
    ];
    let ranked = check(frames(), &commits, &["ddddddd", "ccccccc", "eeeeeee", "bbbbbbb"]);
    assert_eq!(ranked[0].why, "it changed the file in which it failed");
    assert_eq!(ranked[2].why, "it changed the file that called the one in which it failed");
    assert_eq!(ranked[2].files, ["shop/cart.py", "shop/web.py"]);
    assert_eq!(ranked[3].why, "it changed a file of the stack, 2 files before the one in which it failed");
    check(vec![frame("lib/http.py", None, false)], &commits, &[]);
    check(Vec::new(), &commits, &[]);
}

#[test]
fn paths_are_compared_by_their_parts_from_the_end() {
    for (filename, abs_path, changed, found) in [
        ("shop/pay.py", None, "services/shop/pay.py", true),
        ("/app/shop/pay.py", None, "shop/pay.py", true),
        ("/srv/app/shop/pay.py", None, "services/shop/pay.py", true),
        ("pay.py", Some("/app/shop/pay.py"), "shop/pay.py", true),
        ("pay.py", None, "services/shop/pay.py", true),
        ("C:\\build\\shop\\pay.cs", None, "src/shop/pay.cs", true),
        ("webpack:///./src/app.ts", None, "src/app.ts", true),
        ("https://cdn.example.net/src/app.js?v=3", None, "src/app.js", true),
        ("./src/app.ts", None, "src/app.ts", true),
        ("xpay.py", None, "shop/pay.py", false),
        ("shop/pay.py", None, "stop/pay.py", false),
        ("shop/pay.py", None, "services/stop/pay.py", false),
        ("/app/shop/pay.py", None, "stop/pay.py", false),
        ("https://cdn.example.net/", None, "cdn.example.net", false),
        ("", None, "", false),
    ] {
        let commits = [commit("aaaaaaa", 1, &[changed])];
        let expected: &[&str] = if found { &["aaaaaaa"] } else { &[] };
        check(vec![frame(filename, abs_path, true)], &commits, expected);
    }
}

#[test]
fn a_class_is_looked_for_in_the_folder_of_its_package() {
    let java = Frame { module: Some("com.acme.pay.Gateway".to_owned()), ..frame("Gateway.java", None, true) };
    let commits = [
        commit("aaaaaaa", 2, &["src/main/java/com/other/Gateway.java"]),
        commit("bbbbbbb", 1, &["src/main/java/com/acme/pay/Gateway.java"]),
    ];
    check(vec![java], &commits, &["bbbbbbb", "aaaaaaa"]);
}

#[test]
fn few_are_shown_of_many() {
    let commits: Vec<Commit> =
        (0..500).map(|n| commit(&format!("{n:07x}"), n, &["shop/pay.py", "x/shop/pay.py"])).collect();
    let ranked = rank(&own_files(&event(vec![frame("shop/pay.py", None, true)])), &commits);
    assert_eq!(ranked.len(), SUSPECTS_MAX);
    assert_eq!(ranked[0].place, 499, "the newest");
    let frames: Vec<Frame> = (0..1_000).map(|n| frame(&format!("shop/f{n}.py"), None, true)).collect();
    assert_eq!(own_files(&event(frames)).len(), STACK_FILES_MAX);
}
