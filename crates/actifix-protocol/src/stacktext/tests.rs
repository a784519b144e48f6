#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Language, ParsedTrace, parse};
use proptest::prelude::{any, prop_assert, proptest};
use std::fmt::Write as _;

/// A trace in short: one line per exception, one per frame.
fn show(trace: &ParsedTrace) -> String {
    let mut out = format!("{:?}", trace.language);
    for (on, word) in [(trace.unhandled, " unhandled"), (trace.fatal, " fatal")] {
        out.push_str(if on { word } else { "" });
    }
    for exception in &trace.exceptions {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let value = or(&exception.value).replace('\n', "\\n");
        write!(out, "\n{}|{}|{value}", or(&exception.module), or(&exception.exception_type)).unwrap();
        if let Some(id) = exception.exception_id {
            write!(out, " #{id}<{:?} {}", exception.parent_id, exception.is_group).unwrap();
        }
        for frame in &exception.frames {
            let number = |n: Option<u32>| n.map(|n| format!(":{n}")).unwrap_or_default();
            let place = format!("{}{}{}", or(&frame.filename), number(frame.lineno), number(frame.colno));
            write!(out, "\n  {}|{} {place}", or(&frame.module), or(&frame.function)).unwrap();
        }
    }
    out
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let trace = parse(text, None).expect("a trace");
    let expected: Vec<&str> = expected.trim().lines().collect();
    let shown = show(&trace);
    let shown: Vec<&str> = shown.lines().collect();
    assert_eq!(shown, expected, "\n{}", shown.join("\n"));
    // The sender's own word for the language changes nothing.
    assert_eq!(parse(text, Some(trace.language)).as_ref(), Some(&trace));
}

#[test]
fn python_chain_with_carets() {
    check(
        r#"Traceback (most recent call last):
  File "/srv/shop/py/orders.py", line 28, in place_order
    return gateway.charge(card, 4200)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
ConnectionError: 502 from upstream

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/py/run.py", line 18, in <module>
    main()
    ~~~~^^
  File "/srv/shop/py/run.py", line 9, in main
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
  File "/venv/lib/python3.11/site-packages/flask/app.py", line 917, in full_dispatch_request
    rv = self.dispatch_request()
  [Previous line repeated 12 more times]
  File "/srv/shop/py/orders.py", line 30, in place_order
    raise PaymentError("x") from exc
orders.PaymentError: order 88 could not be paid
second line of text
"#,
        "Python
-|ConnectionError|502 from upstream
  orders|place_order orders.py:28
orders|PaymentError|order 88 could not be paid\\nsecond line of text
  __main__|<module> run.py:18
  __main__|main run.py:9
  json.decoder|raw_decode json/decoder.py:355
  flask.app|full_dispatch_request flask/app.py:917
  orders|place_order orders.py:30",
    );
}

#[test]
fn python_keeps_code_without_markers() {
    let text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    boom(1)\n    ~~~~^^^\nValueError: x\n";
    let trace = parse(text, None).unwrap();
    assert_eq!(trace.exceptions[0].frames[0].context_line.as_deref(), Some("boom(1)"));
}

#[test]
fn python_context_and_syntax_error() {
    check(
        r#"Traceback (most recent call last):
  File "/app/shop/load.py", line 3, in load
    d["x"]
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/shop/load.py", line 5, in load
    exec(code)
  File "/app/plug.py", line 7
    def f(:
          ^
SyntaxError: invalid syntax
"#,
        "Python
-|KeyError|'x'
  shop.load|load load.py:3
-|SyntaxError|invalid syntax
  shop.load|load load.py:5
  plug|- plug.py:7"
            .replace("load load.py", "load shop/load.py")
            .as_str(),
    );
}

#[test]
fn python_group() {
    check(
        r#"  + Exception Group Traceback (most recent call last):
  |   File "/srv/run2.py", line 58, in group
  |     raise ExceptionGroup("2 of 5 jobs failed", errors)
  | ExceptionGroup: 2 of 5 jobs failed (3 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/run2.py", line 56, in group
    |     open(path)
    | FileNotFoundError: [Errno 2] No such file
    +---------------- 2 ----------------
    | ValueError: bad 'x1'
    +---------------- 3 ----------------
    | ExceptionGroup: inner (1 sub-exception)
    +-+---------------- 1 ----------------
      | TimeoutError: no answer
      +------------------------------------
"#,
        "Python
-|TimeoutError|no answer #4<Some(3) false
-|ExceptionGroup|inner #3<Some(0) true
-|ValueError|bad 'x1' #2<Some(0) false
-|FileNotFoundError|[Errno 2] No such file #1<Some(0) false
  run2|group run2.py:56
-|ExceptionGroup|2 of 5 jobs failed #0<None true
  run2|group run2.py:58",
    );
}

#[test]
fn node_with_causes() {
    check(
        r#"/srv/shop/svc.cjs:5
    throw new StockError("x");
    ^

StockError: stock of A-1 unknown
    at Object.fetchStock (/srv/shop/node/svc.cjs:5:21)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
    at async Object.cause [as run] (file:///srv/shop/node/run.cjs:7:8)
    at new Cart (/srv/shop/node_modules/cart/lib/cart.js:1:2)
    at Array.map (<anonymous>)
    at /srv/shop/node/run.cjs:25:34 {
  code: 'E_STOCK',
  [cause]: TypeError [ERR_FETCH]: fetch failed
      at node:internal/deps/undici/undici:14976:13
    [cause]: Error: bad port
        at makeNetworkError (node:internal/deps/undici/undici:9495:35)
}

Node.js v20.11.1
"#,
        "JavaScript unhandled
-|Error|bad port
  undici|makeNetworkError node:internal/deps/undici/undici:9495:35
-|TypeError|fetch failed
  undici|? node:internal/deps/undici/undici:14976:13
-|StockError|stock of A-1 unknown
  run|? /srv/shop/node/run.cjs:25:34
  -|Array.map <anonymous>
  cart.lib:cart|new Cart /srv/shop/node_modules/cart/lib/cart.js:1:2
  run|Object.cause /srv/shop/node/run.cjs:7:8
  task_queues|process.processTicksAndRejections node:internal/process/task_queues:95:5
  svc|Object.fetchStock /srv/shop/node/svc.cjs:5:21",
    );
}

#[test]
fn javascript_of_browsers() {
    check(
        "TypeError: can't access property \"map\", x is undefined\nonBuy@https://shop.example.net/static/app.3f2a91c8.js:12:34\nasync*render/<@https://shop.example.net/static/app.js:1:2\n@https://shop.example.net/:3:4\n",
        "JavaScript
-|TypeError|can't access property \"map\", x is undefined
  -|? https://shop.example.net/:3:4
  -|render https://shop.example.net/static/app.js:1:2
  -|onBuy https://shop.example.net/static/app.3f2a91c8.js:12:34",
    );
    check(
        "Uncaught (in promise) PaymentDeclined: no funds\n    at pay (https://shop.example.net/app.js:1:20)\n    at eval (eval at run (https://shop.example.net/app.js:4:5), <anonymous>:1:1)\n",
        "JavaScript unhandled
-|PaymentDeclined|no funds
  -|eval https://shop.example.net/app.js:4:5
  -|pay https://shop.example.net/app.js:1:20",
    );
}

#[test]
fn java_with_causes_and_suppressed() {
    check(
        "Exception in thread \"main\" com.acme.shop.OrderException: order 88 failed\nsecond line: of text\n\tat com.acme.shop.Orders.place(Orders.java:41)\n\tSuppressed: java.io.IOException: close\n\t\tat com.acme.shop.Db.close(Db.java:9)\n\t\t... 2 more\n\tat com.acme.shop.Main.lambda$run$0(Main.kt:12)\n\tat com.acme.shop.Main$$Lambda/0x00007f.run(Unknown Source)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: java.lang.IllegalStateException: no stock\n\tat com.acme.shop.Stock.take(Stock.java:7) ~[shop.jar:1.2]\n\tat com.acme.shop.Orders.place(Orders.java:39)\n\t... 3 more\n",
        "Java unhandled
java.lang|IllegalStateException|no stock
  java.lang.Thread|run Thread.java:840
  com.acme.shop.Main$$Lambda/0x00007f|run -
  com.acme.shop.Main|lambda$run$0 Main.kt:12
  com.acme.shop.Orders|place Orders.java:39
  com.acme.shop.Stock|take Stock.java:7
com.acme.shop|OrderException|order 88 failed\\nsecond line: of text
  java.lang.Thread|run Thread.java:840
  com.acme.shop.Main$$Lambda/0x00007f|run -
  com.acme.shop.Main|lambda$run$0 Main.kt:12
  com.acme.shop.Orders|place Orders.java:41",
    );
}

#[test]
fn go_panics() {
    check(
        "panic: runtime error: index out of range [5] with length 3 [recovered]\n\tpanic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\npanic({0x4a6ee0?, 0xc0000b2000?})\n\t/usr/local/go/src/runtime/panic.go:884 +0x213\nexample.com/shop/internal/pay.(*Gateway).charge(0xc000012345, {0x1, 0x2})\n\t/src/shop/internal/pay/pay.go:42 +0x1d\nexample.com/shop/internal/pay.Map[...](...)\n\t/src/shop/internal/pay/map.go:9\nmain.main.func1()\n\t/src/shop/main.go:10 +0x65\ncreated by main.main in goroutine 1\n\t/src/shop/main.go:8 +0x1\nexit status 2\n",
        "Go unhandled fatal
-|runtime.boundsError|runtime error: index out of range [5] with length 3
-|runtime.boundsError|runtime error: index out of range [5] with length 3
  main|main.func1 main.go:10
  example.com/shop/internal/pay|Map map.go:9
  example.com/shop/internal/pay|(*Gateway).charge pay.go:42",
    );
    check(
        "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45]\n\ngoroutine 17 [running]:\nmain.f(...)\n\t/src/main.go:5\n",
        "Go unhandled fatal
-|runtime.errorString|runtime error: invalid memory address or nil pointer dereference
  main|f main.go:5",
    );
    check(
        "2026/11/24 09:47:29 http: panic serving 10.0.0.1:5000: order 88 gone\ngoroutine 19 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/local/go/src/net/http/server.go:1850 +0xbf\npanic({0x1, 0x2})\n\t/usr/local/go/src/runtime/panic.go:890 +0x262\nmain.handler({0x1}, 0x2)\n\t/src/main.go:12 +0x1\n",
        "Go unhandled
-|panic|order 88 gone
  main|handler main.go:12",
    );
}

#[test]
fn ruby_both_orders_and_quotes() {
    check(
        "app/pay.rb:3:in 'Shop::Cart#pay': no funds (Shop::PaymentError)\n\tfrom app/pay.rb:9:in 'block in Shop::Cart#each'\n\tfrom /usr/lib/ruby/gems/3.4.0/gems/rack-3.0/lib/rack.rb:9:in 'Array#each'\n\tfrom app/main.rb:1:in '<main>'\napp/net.rb:5:in 'Net#get': timed out (Net::ReadTimeout)\n\tfrom app/pay.rb:2:in 'Shop::Cart#pay'\n",
        "Ruby unhandled
Net|Net::ReadTimeout|timed out
  Shop::Cart|pay app/pay.rb:2
  Net|get app/net.rb:5
Shop|Shop::PaymentError|no funds
  -|<main> app/main.rb:1
  Array|each rack-3.0/lib/rack.rb:9
  -|block in Shop::Cart#each app/pay.rb:9
  Shop::Cart|pay app/pay.rb:3",
    );
    check(
        "Traceback (most recent call last):\n\t2: from app/main.rb:9:in `<main>'\n\t1: from app/main.rb:5:in `run'\napp/pay.rb:3:in `pay': no funds (RuntimeError)\n",
        "Ruby unhandled
-|RuntimeError|no funds
  -|<main> app/main.rb:9
  -|run app/main.rb:5
  -|pay app/pay.rb:3",
    );
    check(
        "RuntimeError (no funds):\n  \napp/controllers/pay.rb:3:in `create'\napp/main.rb:5:in `block in run'\n",
        "Ruby
-|RuntimeError|no funds
  -|block in run app/main.rb:5
  -|create app/controllers/pay.rb:3",
    );
}

#[test]
fn dotnet_with_inner() {
    check(
        "Unhandled exception. System.InvalidOperationException: order 88 failed\n ---> System.ArgumentNullException: Value cannot be null. (Parameter 'sku')\n   at Acme.Cart.Parse[T](String sku, List`1 items) in /src/Cart.cs:line 12\n   at Acme.Cart.<>c__DisplayClass0_0.<Load>b__0(Int32 x) in C:\\src\\Cart.cs:line 20\n   --- End of inner exception stack trace ---\n   at Acme.Shop.<LoadAsync>d__3.MoveNext() in /src/Shop.cs:line 5\n--- End of stack trace from previous location ---\n   at System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw()\n   at Acme.Shop..ctor(String[] args)\n",
        "DotNet unhandled
-|System.ArgumentNullException|Value cannot be null. (Parameter 'sku')
  Acme.Cart+<>c__DisplayClass0_0|Load { <lambda> } Cart.cs:20
  Acme.Cart|Parse Cart.cs:12
-|System.InvalidOperationException|order 88 failed
  Acme.Shop|.ctor -
  System.Runtime.ExceptionServices.ExceptionDispatchInfo|Throw -
  Acme.Shop|LoadAsync Shop.cs:5",
    );
}

#[test]
fn rust_panics_and_reports() {
    check(
        "thread 'main' (1234) panicked at src/main.rs:4:10:\ncalled `Result::unwrap()` on an `Err` value: \"no\"\nstack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:697:5\n   1: core::panicking::panic_fmt\n             at /rustc/abc/library/core/src/panicking.rs:75:14\n   2: shop::pay::charge::h0123456789abcdef\n             at ./src/pay.rs:10:5\n   3: shop::main\n             at ./src/main.rs:4:10\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
        "Rust unhandled fatal
-|panic|called `Result::unwrap()` on an `Err` value: \"no\"
  -|shop::main main.rs:4:10
  -|shop::pay::charge pay.rs:10:5
  -|core::panicking::panic_fmt panicking.rs:75:14",
    );
    check(
        "thread 'worker-7' panicked at 'no funds', src/pay.rs:9:5\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        "Rust unhandled fatal\n-|panic|no funds\n  -|- pay.rs:9:5",
    );
    check(
        "Error: worker 7 failed to start\n\nCaused by:\n    0: reading secret/data/shop\n    1: vault refused\n\nStack backtrace:\n   0: anyhow::error::from\n   1: shop::main\n             at ./src/main.rs:3:1\n",
        "Rust
-|Error|vault refused
-|Error|reading secret/data/shop
-|Error|worker 7 failed to start
  -|shop::main main.rs:3:1
  -|anyhow::error::from -",
    );
}

#[test]
fn php_uncaught_and_next() {
    check(
        "PHP Fatal error:  Uncaught PDOException: gone away in /app/db.php:5\nStack trace:\n#0 /app/db.php(5): PDO->query('SELECT 1')\n#1 {main}\n\nNext Acme\\PayError: order 88\nfailed in /app/pay.php:12\nStack trace:\n#0 /app/main.php(3): Acme\\Pay->charge(Object(Acme\\Order))\n#1 [internal function]: Acme\\{closure}()\n#2 {main}\n  thrown in /app/pay.php on line 12\n",
        "Php unhandled fatal
-|PDOException|gone away
  -|- /app/db.php:5
  -|PDO::query /app/db.php:5
-|Acme\\PayError|order 88\\nfailed
  -|Acme\\{closure} /app/main.php:3
  -|Acme\\Pay::charge /app/pay.php:12",
    );
}

#[test]
fn prose_is_no_trace() {
    for text in [
        "",
        "order 88 failed",
        "at last (we met)",
        "#1 (a): b",
        "Error: x",
        "see a.rb:12: note",
        "a@b.example:1:2",
    ] {
        assert_eq!(parse(text, None), None, "{text}");
    }
}

#[test]
fn bounds_hold() {
    let mut text = "Traceback (most recent call last):\n".to_owned();
    for at in 0..5_000 {
        writeln!(text, "  File \"/srv/a.py\", line {at}, in f").unwrap();
    }
    text.push_str("ValueError: x\n");
    let trace = parse(&text, None).unwrap();
    assert_eq!(trace.exceptions[0].frames.len(), super::FRAMES_MAX);
    assert_eq!(trace.exceptions[0].frames.last().unwrap().lineno, Some(4_999));
}

const WORDS: [&str; 26] = [
    "Traceback (most recent call last):\n",
    "  File \"/a.py\", line 1, in f\n",
    "ValueError: x\n",
    "  | ",
    "  +-+---\n",
    "    at f (/a.js:1:2)\n",
    "[cause]: E: x\n",
    "\tat a.b.C.d(C.java:1)\n",
    "Caused by: a.B: c\n",
    "\t... 3 more\n",
    "panic: x\n",
    "goroutine 1 [running]:\n",
    "main.f(0x1)\n",
    "\t/a.go:1 +0x1\n",
    "a.rb:1:in 'A#b': x (E)\n",
    "\tfrom a.rb:2:in `c'\n",
    " ---> A.B: c\n",
    "   at A.B.C(D e) in /x.cs:line 1\n",
    "thread 'x' panicked at a.rs:1:2:\n",
    "stack backtrace:\n",
    "   0: a::b\n",
    "Uncaught E: x in /a.php:1\n",
    "Stack trace:\n",
    "#0 /a.php(1): b()\n",
    "é€😀",
    "\n",
];

#[test]
fn hostile_repetition_is_survived() {
    for first in WORDS {
        for second in
            ["", "x: ", "a.B: ", "  File \"/a.py\", line 1, in f\n", "\tat a.b.C.d(C.java:1)\n", "\n"]
        {
            let part = format!("{first}{second}");
            let text = part.repeat(8_000 / part.len());
            for language in Language::ALL {
                let _ = parse(&text, Some(language));
            }
        }
    }
}

proptest! {
    #[test]
    fn never_panics_on_any_text(text in any::<String>()) {
        for language in Language::ALL {
            let _ = parse(&text, Some(language));
        }
    }

    #[test]
    fn never_panics_on_shuffled_traces(picks in proptest::collection::vec(0..WORDS.len(), 0..60)) {
        let text: String = picks.iter().map(|at| WORDS[*at]).collect();
        for language in Language::ALL {
            if let Some(trace) = parse(&text, Some(language)) {
                prop_assert!(!trace.exceptions.is_empty() && trace.exceptions.len() <= super::EXCEPTIONS_MAX);
            }
        }
    }
}
