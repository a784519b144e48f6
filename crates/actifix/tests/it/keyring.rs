//! The root key in a real Secret Service, and before services that are locked, silent or gone.
//!
//! Each test runs on a session bus of its own (`dbus-run-session`), with a home directory of its own for the keyring.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Finished, Home, finish};

/// Exit code of a refused configuration.
const CONFIG: i32 = 78;
/// A command before a silent service ends within this time: three seconds of waiting, and starting on a loaded machine.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// Runs a shell script on a bus of its own. In it `$A` is the program on the home.
fn on_bus(home: &Home, script: &str) -> Finished {
    let keyrings = home.path().join("session");
    fs::create_dir_all(&keyrings).expect("a folder");
    let mut command = Command::new("dbus-run-session");
    command.args(["--", "sh", "-ec", script]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ACTIFIX_") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", &keyrings)
        .env("XDG_DATA_HOME", keyrings.join("data"))
        .env("XDG_RUNTIME_DIR", &keyrings)
        .env("NO_COLOR", "1")
        .env("A", format!("{} --home {}", env!("CARGO_BIN_EXE_actifix"), home.path().display()));
    finish(command, b"")
}

/// Starts a keyring that is unlocked with a password.
const UNLOCKED: &str = "printf pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; ";
/// Locks every keyring of the session.
const LOCK: &str = "gdbus call --session --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets \
    --method org.freedesktop.Secret.Service.Lock \"['/org/freedesktop/secrets/collection/login']\" >/dev/null; ";

#[test]
fn heavy_the_root_key_lives_in_a_real_keyring() {
    let home = Home::new();
    let script = format!(
        "{UNLOCKED} $A secrets init --backend keyring; printf value1 | $A secrets set a --stdin; \
         $A secrets status --json; secret-tool search --all application actifix 2>&1 | grep -c '^label'; \
         $A secrets rotate-key >/dev/null 2>&1; \
         secret-tool search --all application actifix 2>&1 | grep -c '^label'; \
         script -qec \"$A secrets get a\" /dev/null"
    );
    let done = on_bus(&home, &script);
    assert_eq!(done.code(), 0, "{}\n{}", done.stdout, done.stderr);
    assert!(
        done.stdout.contains("\"backend\":\"keyring\"") && done.stdout.contains("value1"),
        "{}",
        done.stdout
    );
    let counts: Vec<&str> = done.stdout.lines().map(str::trim).filter(|line| line.len() == 1).collect();
    assert_eq!(counts, ["1", "1"], "the old key is removed: {}", done.stdout);
    assert!(!home.path().join(".actifix/root.key").exists(), "no key on the disk");

    // The same keyring in a later session, first locked, then open.
    let later = on_bus(&home, &format!("{UNLOCKED} script -qec \"$A secrets get a\" /dev/null"));
    assert!(later.code() == 0 && later.stdout.contains("value1"), "{}\n{}", later.stdout, later.stderr);
}

#[test]
fn heavy_locked_absent_and_wrong_are_three_errors() {
    let home = Home::new();
    on_bus(
        &home,
        &format!("{UNLOCKED} $A secrets init --backend keyring; printf v | $A secrets set a --stdin"),
    )
    .ok();
    let refused = |script: &str, word: &str| {
        let done = on_bus(&home, &format!("{UNLOCKED} {script} $A serve"));
        assert_eq!(done.code(), CONFIG, "{word}: {}\n{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
        assert!(!home.path().join(".actifix/root.key").exists(), "{word}: no file instead");
        done.stderr
    };
    let locked = refused(LOCK, "is locked");
    assert!(!locked.contains("absent") && !locked.contains("wrong"));
    let status = on_bus(&home, &format!("{UNLOCKED} {LOCK} $A secrets status --json"));
    assert!(status.code() == 1 && status.stdout.contains("\"locked\""), "{}", status.stdout);

    // Another key under the same attributes.
    let exchange = "A1=$(sed -n 's/.*\"home_id\": \"\\(.*\\)\".*/\\1/p' \"$HOME/../.actifix/vault.json\"); \
        A2=$(sed -n 's/.*\"key_id\": \"\\(.*\\)\".*/\\1/p' \"$HOME/../.actifix/vault.json\"); \
        printf '%064d' 7 | secret-tool store --label=x application actifix home $A1 key $A2; ";
    refused(exchange, "wrong root key");
    refused("secret-tool clear application actifix;", "absent");
}

/// A bus that starts no services by itself.
const BARE_BUS: &str = r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
<allow receive_type="signal"/><allow receive_type="method_return"/><allow receive_type="error"/></policy></busconfig>"#;

#[test]
fn heavy_without_a_bus_or_a_service_the_start_ends() {
    let home = Home::new();
    on_bus(&home, &format!("{UNLOCKED} $A secrets init --backend keyring")).ok();
    let mut command = home.command(&["serve"]);
    command.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", home.path());
    let no_bus = finish(command, b"");
    fs::write(home.path().join("bus.conf"), BARE_BUS).expect("a configuration");
    let script = "dbus-run-session --config-file=\"$HOME/../bus.conf\" -- $A serve";
    let no_service = on_bus(&home, script);
    for done in [no_bus, no_service] {
        assert_eq!(done.code(), CONFIG, "{}\n{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("the Secret Service cannot be reached"), "{}", done.stderr);
        assert!(!done.stderr.contains("absent") && !done.stderr.contains("locked"), "{}", done.stderr);
    }
    assert!(!home.path().join(".actifix/root.key").exists(), "no file instead");
}

/// Takes the name of the Secret Service, and never answers a call.
const SILENT: &str = r#"
import os, socket, struct, sys, time
path = os.environ["DBUS_SESSION_BUS_ADDRESS"].split("path=", 1)[1].split(",", 1)[0]
bus = socket.socket(socket.AF_UNIX); bus.connect(path)
bus.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
assert bus.recv(200).startswith(b"OK"); bus.sendall(b"BEGIN\r\n")
def field(code, kind, text):
    data = text.encode()
    return struct.pack("<BB2s", code, 1, kind + b"\0") + struct.pack("<I", len(data)) + data + b"\0"
def call(serial, member, signature, body):
    fields = b""
    for part in [field(1, b"o", "/org/freedesktop/DBus"), field(6, b"s", "org.freedesktop.DBus"),
                 field(2, b"s", "org.freedesktop.DBus"), field(3, b"s", member)]:
        fields += b"\0" * (-len(fields) % 8) + part
    if signature:
        fields += b"\0" * (-len(fields) % 8) + struct.pack("<BB2sB", 8, 1, b"g\0", len(signature)) + signature + b"\0"
    head = struct.pack("<BBBBIII", ord("l"), 1, 0, 1, len(body), serial, len(fields)) + fields
    bus.sendall(head + b"\0" * (-len(head) % 8) + body)
call(1, "Hello", b"", b"")
name = b"org.freedesktop.secrets"
call(2, "RequestName", b"su", struct.pack("<I", len(name)) + name + b"\0" + struct.pack("<I", 0))
bus.settimeout(5)
seen = b""
while b"NameAcquired" not in seen or name not in seen:
    seen += bus.recv(4096)
print("ready", flush=True)
bus.settimeout(None)
while bus.recv(4096):
    pass
"#;

#[test]
fn heavy_a_service_that_never_answers_is_not_waited_for() {
    let home = Home::new();
    on_bus(&home, &format!("{UNLOCKED} $A secrets init --backend keyring")).ok();
    let fake = home.path().join("silent.py");
    fs::write(&fake, SILENT).expect("a program");
    // The shell waits for the line "ready", not for a time.
    let script = format!(
        "mkfifo \"$HOME/ready\"; python3 {} > \"$HOME/ready\" & fake=$!; read line < \"$HOME/ready\"; \
         code=0; $A serve || code=$?; kill $fake; exit $code",
        fake.display()
    );
    let started = Instant::now();
    let done = on_bus(&home, &script);
    assert_eq!(done.code(), CONFIG, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("does not answer within 3 s"), "{}", done.stderr);
    assert!(started.elapsed() < SILENT_MAX, "{:?}", started.elapsed());
}
