use super::{Language, base_name, is_unknown, module, normalize};
use crate::event::{Event, Frame};
use proptest::prelude::any;
use proptest::{prop_assert, proptest};

fn check(language: Language, rows: &[(&str, &str)]) {
    for (name, expected) in rows {
        assert_eq!(normalize(language, name), *expected, "for {name:?}");
    }
}

#[test]
fn a_frame_has_its_own_language_or_that_of_the_event() {
    let event = Event { platform: Some("node".to_owned()), ..Event::default() };
    let of = |platform: Option<&str>| {
        Language::of(&Frame { platform: platform.map(str::to_owned), ..Frame::default() }, &event)
    };
    assert_eq!(of(None), Language::JavaScript);
    assert_eq!(of(Some("cocoa")), Language::Native);
    assert_eq!(of(Some("other")), Language::Other);
    assert_eq!(Language::of(&Frame::default(), &Event::default()), Language::Other);
}

#[test]
fn scripts() {
    check(
        Language::JavaScript,
        &[
            ("Object.fetchStock [as stock]", "fetchStock"),
            ("async Foo.bar", "bar"),
            ("new Cart", "Cart"),
            ("get total", "total"),
            ("Object.<anonymous>", "<anonymous>"),
            ("IncomingMessage.?", "?"),
            ("HTMLButtonElement.onBuy", "onBuy"),
        ],
    );
    check(Language::Python, &[("f.<locals>.g.<locals>.<lambda>", "<lambda>"), ("A.f", "A.f")]);
    check(
        Language::Ruby,
        &[
            ("block (2 levels) in Foo::Bar#baz", "baz"),
            ("rescue in block in run", "run"),
            ("Foo.call", "call"),
            ("_app_views_users_show_html_erb__123_456", "_app_views_users_show_html_erb"),
        ],
    );
    check(
        Language::Php,
        &[
            ("App\\Http\\{closure:App\\Http::run():12}", "App\\Http\\{closure}"),
            ("{closure:{closure:f():3}:4}", "{closure}"),
            ("class@anonymous/srv/x.php:7$0::handle", "handle"),
            ("App\\Kernel::handle", "App\\Kernel::handle"),
        ],
    );
}

#[test]
fn virtual_machines_and_go() {
    check(
        Language::Java,
        &[
            ("lambda$charge$0", "charge"),
            ("Cart.lambda$null$12", "Cart.null"),
            ("Foo$$Lambda$14/0x0000000800c03000.run", "Foo.run"),
            ("Foo$$EnhancerBySpringCGLIB$$1a2b3c4d.pay", "Foo.pay"),
            ("GeneratedMethodAccessor123.invoke", "GeneratedMethodAccessor.invoke"),
            ("MyAccessor2", "MyAccessor2"),
            ("lambda$x", "lambda$x"),
        ],
    );
    check(
        Language::CSharp,
        &[
            ("Shop.Cart.<Pay>d__3.MoveNext", "Shop.Cart.Pay"),
            ("<Main>b__0_1", "Main"),
            ("Shop.Cart.Pay (System.String id)", "Shop.Cart.Pay"),
            ("<>c.<Run>b__1", "<>c.Run"),
        ],
    );
    check(
        Language::Go,
        &[
            ("(*Server).Serve.func1.2", "(*Server).Serve.func"),
            ("Map[...].func3", "Map.func"),
            ("run.gowrap1", "run.func"),
            ("run.deferwrap2", "run.func"),
            ("main", "main"),
            ("v1.functional", "v1.functional"),
        ],
    );
}

#[test]
fn native_code() {
    check(
        Language::Native,
        &[
            ("rs::main::{{closure}}", "rs::main"),
            ("rs::main::{{closure}}::h0123456789abcdef", "rs::main"),
            ("<app::Pay as core::ops::Drop>::drop", "app::Pay::drop"),
            ("<app::List<T> as app::Run>::run", "app::List::run"),
            ("<<A as B>::C as D>::f", "A::C::f"),
            ("<app::Cart>::total", "app::Cart::total"),
            ("core::result::Result<T,E>::unwrap", "core::result::Result::unwrap"),
            ("std::panic::catch_unwind::<fn() -> i32, i32>", "std::panic::catch_unwind"),
            ("app::run::<impl Fn() -> Vec<u8>>::go", "app::run::go"),
            ("std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector::push_back"),
            ("(anonymous namespace)::Foo::bar(int) const", "(anonymous namespace)::Foo::bar"),
            ("Foo::operator()(int)", "Foo::operator()"),
            ("operator<<(std::ostream&, Foo)", "operator<<"),
            ("work.part.0 [clone .isra.0]", "work.part.0"),
            ("__libc_start_main@@GLIBC_2.34", "__libc_start_main"),
            ("_WinMain@16", "_WinMain"),
            ("<unknown>", "<unknown>"),
            ("broken<<<(", "broken"),
            ("app::run::{closure#0}", "app::run"),
            ("app::run::{closure#0}::{closure#12}::h0123456789abcdef", "app::run"),
            ("app::run::{closure#x}", "app::run::{closure#x}"),
        ],
    );
}

#[test]
fn names_that_say_nothing() {
    for name in ["", " ", "?", "<anonymous>", "<unknown>", "<redacted>"] {
        assert!(is_unknown(name), "{name:?}");
    }
    assert!(!is_unknown("<module>") && !is_unknown("<lambda>"));
}

#[test]
fn files_lose_path_query_and_content_hash() {
    for (path, expected) in [
        ("/srv/shop/node/run.cjs", "run.cjs"),
        ("https://x.example/static/app.3f2a91c8.js?v=1.2", "app.js"),
        ("C:\\shop\\Cart.CS", "cart.cs"),
        ("index-BcD3f9aZ.js", "index.js"),
        ("main-3f2a91c8.chunk.js", "main.chunk.js"),
        ("vendor_deadbeef.js", "vendor_deadbeef.js"),
        ("my-settings.js", "my-settings.js"),
        ("my-buttons.js#x/y.js", "my-buttons.js"),
        ("https://shop.example.net/cart", ""),
        ("node:internal/timers", ""),
        ("main-10-error.html?coupon=X", "main-10-error.html"),
        ("https://h/app.deadbeef.js", "app.js"),
        ("4821-3f2a91c8aa11.js", "chunk.js"),
        ("5120-9f2a91c8aa11.js", "chunk.js"),
        ("3421.3f2a91c8.chunk.js", "chunk.chunk.js"),
        ("8712.aaaa91c8.chunk.js", "chunk.chunk.js"),
        ("index-B_D3f9aZ.js", "index.js"),
        ("index-C-d3_9aZ.js", "index.js"),
        ("a-Ab12Cd34xx.mjs", "a.mjs"),
        ("2021.js", "2021.js"),
        ("my-foo-Baz1.js", "my-foo-baz1.js"),
        ("my-Sha256Digest.js", "my-sha256digest.js"),
    ] {
        assert_eq!(base_name(path), expected, "for {path:?}");
    }
}

#[test]
fn modules_are_those_of_the_language() {
    let frame = Frame {
        module: Some("app.pay".to_owned()),
        filename: Some("src/Pay.ts".to_owned()),
        ..Frame::default()
    };
    assert_eq!(module(Language::Python, &frame), "app.pay");
    assert_eq!(module(Language::JavaScript, &frame), "pay.ts");
    assert_eq!(module(Language::Native, &frame), "");
    assert_eq!(module(Language::Ruby, &Frame { module: None, ..frame }), "pay.ts");
}

#[test]
fn proxies_and_closures_have_the_module_of_their_class() {
    for (language, sent, expected) in [
        (Language::Java, "com.a.B$$EnhancerBySpringCGLIB$$3f2a91c8", "com.a.B"),
        (Language::Java, "com.a.B$$SpringCGLIB$$0", "com.a.B"),
        (Language::Java, "com.a.B$$Lambda$14/0x0000000800c03000", "com.a.B"),
        (Language::Java, "com.sun.proxy.$Proxy12", "com.sun.proxy.$Proxy"),
        (Language::Java, "com.a.B$run$1", "com.a.B$run"),
        (Language::Java, "com.a.B$Inner", "com.a.B$Inner"),
        (Language::Java, "com.a.B$$EnhancerBy", "com.a.B$$EnhancerBy"),
        (Language::CSharp, "A.B+<>c__DisplayClass3_0", "A.B"),
        (Language::CSharp, "A.B+<>c", "A.B"),
        (Language::CSharp, "A.B+<Run>d__7", "A.B+Run"),
        (Language::CSharp, "A.B+Inner", "A.B+Inner"),
    ] {
        let frame = Frame { module: Some(sent.to_owned()), ..Frame::default() };
        assert_eq!(module(language, &frame), expected, "for {sent:?}");
    }
}

proptest! {
    #[test]
    fn hostile_names_do_no_harm(name in any::<String>(), brackets in "[<>(){}@:$. a-]{0,60}") {
        for language in [
            Language::JavaScript, Language::Python, Language::Ruby, Language::Php, Language::Java,
            Language::CSharp, Language::Go, Language::Native, Language::Other,
        ] {
            for text in [&name, &brackets] {
                let room = text.len() + 8;
                prop_assert!(normalize(language, text).len() <= room);
            }
        }
        prop_assert!(!base_name(&name).contains('/'));
    }
}
