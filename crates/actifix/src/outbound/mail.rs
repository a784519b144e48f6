//! Mail over SMTP. Without TLS, by STARTTLS or from the first byte, nothing of it is sent.

use super::{Outbound, handshake};
use actifix_app::ports::OutboundMail;
use actifix_domain::alert::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MessageId};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use url::Host;

/// How this program greets: a name of its own would tell strangers about the inner network.
const HELLO: &str = "localhost.localdomain";

/// Bytes of a word before it is encoded, so that it has at most 75 characters then (RFC 2047).
const WORD_BYTES_MAX: usize = 45;
/// What a server may say in all of one delivery, bytes: an honest one says less than four thousand, and the reader of
/// lines that we use has no bound of its own.
const ANSWERS_BYTES_MAX: usize = 64 << 10;
/// After STARTTLS nobody greets again, but the library waits for a greeting: it hears this one.
const GREETING: &[u8] = b"220 ready\r\n";

/// TLS that stood before the library's first word of SMTP, with what the server may still say.
#[derive(Debug)]
struct Secured {
    tls: TlsStream<TcpStream>,
    /// Bytes.
    left: usize,
    greeting: &'static [u8],
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.greeting.is_empty() {
            let fits = self.greeting.len().min(buffer.remaining());
            let (now, later) = self.greeting.split_at(fits);
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        if self.left == 0 {
            return Poll::Ready(Err(std::io::Error::other("the server says too much")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tls).poll_read(context, buffer);
        let heard = buffer.filled().len().saturating_sub(before);
        self.left = self.left.saturating_sub(heard);
        read
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.tls.get_ref().0.peer_addr()
    }
}

pub(super) async fn send(out: &Outbound, mail: OutboundMail) -> Result<(), Failure> {
    let (envelope, bytes) = written(&mail)?;
    let host = Host::parse(&mail.host)
        .or_else(|_| Host::parse(&format!("[{}]", mail.host)))
        .map_err(|_| Failure::Unusable)?;
    let hello = ClientId::Domain(HELLO.to_owned());
    let name = ServerName::try_from(mail.host.clone()).map_err(|_| Failure::Unusable)?;
    // Where no authority is trusted no certificate can be good: then nothing is said at all.
    if out.trust()?.roots.certificates().is_empty() {
        return Err(Failure::Tls);
    }
    let mut stream = out.connect(&host, mail.port).await?;
    let mut left = ANSWERS_BYTES_MAX;
    if !mail.implicit_tls {
        start_tls(&mut stream, &mut left).await?;
    }
    let tls = out.trust()?.tls.connect(name, stream).await.map_err(|error| handshake::class(&error))?;
    let greeting: &[u8] = if mail.implicit_tls { b"" } else { GREETING };
    let secured = Box::new(Secured { tls, left, greeting });
    let mut connection = AsyncSmtpConnection::connect_with_transport(secured, &hello).await.map_err(class)?;
    if let Some((name, password)) = &mail.login {
        let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(class)?;
    }
    connection.send(&envelope, &bytes).await.map_err(class)?;
    // It has the mail; how it says goodbye does not matter.
    let _goodbye = connection.quit().await;
    Ok(())
}

/// All that is said in clear. Nothing is read ahead: what stands behind the answer to STARTTLS was put there by somebody
/// on the way, to be taken for an answer of the server under TLS (RFC 3207, section 6), and ends the connection.
async fn start_tls(stream: &mut TcpStream, left: &mut usize) -> Result<(), Failure> {
    answer(stream, left, "220").await?;
    say(stream, &format!("EHLO {HELLO}\r\n")).await?;
    let offers = answer(stream, left, "250").await?;
    if !offers.iter().any(|offer| offer.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(Failure::Tls);
    }
    say(stream, "STARTTLS\r\n").await?;
    answer(stream, left, "220").await.map_err(|failure| match failure {
        Failure::Refused | Failure::Unavailable => Failure::Tls,
        other => other,
    })?;
    match stream.try_read(&mut [0]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Ok(0) | Err(_) => Err(Failure::Broken),
        Ok(_) => Err(Failure::Protocol),
    }
}

async fn say(stream: &mut TcpStream, line: &str) -> Result<(), Failure> {
    stream.write_all(line.as_bytes()).await.map_err(|_| Failure::Broken)
}

/// The lines of one answer, without their codes.
async fn answer(stream: &mut TcpStream, left: &mut usize, expected: &str) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    loop {
        let line = line(stream, left).await?;
        let (code, rest) = line.split_at_checked(3).ok_or(Failure::Protocol)?;
        if code != expected {
            return Err(match code.as_bytes() {
                [b'4', ..] => Failure::Unavailable,
                [b'5', ..] => Failure::Refused,
                _ => Failure::Protocol,
            });
        }
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        match rest.as_bytes().first() {
            Some(b'-') => {}
            None | Some(b' ') => return Ok(lines),
            Some(_) => return Err(Failure::Protocol),
        }
    }
}

/// One line, byte by byte, without its end.
async fn line(stream: &mut TcpStream, left: &mut usize) -> Result<String, Failure> {
    let mut line = Vec::new();
    loop {
        *left = left.checked_sub(1).ok_or(Failure::Protocol)?;
        match stream.read_u8().await.map_err(|_| Failure::Broken)? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    let text = String::from_utf8(line).map_err(|_| Failure::Protocol)?;
    Ok(text.trim_end_matches('\r').to_owned())
}

fn written(mail: &OutboundMail) -> Result<(Envelope, Vec<u8>), Failure> {
    let mailbox = |text: &str| text.parse::<Address>().map_err(|_| Failure::Unusable);
    let (from, at) = (mailbox(&mail.from)?, u64::try_from(mail.at.seconds()).unwrap_or(0));
    let to = mail.to.iter().map(|to| mailbox(to)).collect::<Result<Vec<Address>, Failure>>()?;
    let mut builder = Message::builder()
        .from(Mailbox::new(Some("Actifix".to_owned()), from.clone()))
        .header(subject(&mail.subject))
        .date(UNIX_EPOCH + Duration::from_secs(at))
        .header(MessageId::from(format!("<{}>", mail.message_id)))
        .header(Automatic)
        .header(ContentType::TEXT_PLAIN);
    for receiver in &to {
        builder = builder.to(Mailbox::new(None, receiver.clone()));
    }
    let message = builder.body(mail.text.clone()).map_err(|_| Failure::Unusable)?;
    let envelope = Envelope::new(Some(from), to).map_err(|_| Failure::Unusable)?;
    Ok((envelope, message.formatted()))
}

/// A subject whose words are what they say. What is of an event may hold an encoded word of its own (`=?utf-8?…`), which a
/// mail program would decode into line ends, links or text that runs backwards; then all of it is encoded (RFC 2047), as
/// what is not ASCII is anyway.
#[derive(Clone)]
struct Subject(HeaderValue);

fn subject(text: &str) -> Subject {
    let name = <Subject as Header>::name();
    if !text.contains("=?") {
        return Subject(HeaderValue::new(name, text.to_owned()));
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in text.chars() {
        if word.len() + letter.len_utf8() > WORD_BYTES_MAX {
            words.push(encoded(&word));
            word.clear();
        }
        word.push(letter);
    }
    words.push(encoded(&word));
    Subject(HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), words.join("\r\n ")))
}

fn encoded(word: &str) -> String {
    format!("=?utf-8?b?{}?=", STANDARD.encode(word))
}

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(subject(text))
    }

    fn display(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834), so that no vacation message answers.
#[derive(Clone)]
struct Automatic;

impl Header for Automatic {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The class of an error; its text can repeat what the server said.
fn class(error: lettre::transport::smtp::Error) -> Failure {
    if error.is_tls() {
        Failure::Tls
    } else if error.is_transient() {
        Failure::Unavailable
    } else if error.is_permanent() {
        Failure::Refused
    } else if error.is_response() {
        Failure::Protocol
    } else {
        Failure::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::system_lookup;
    use actifix_app::secrets::SecretText;
    use actifix_domain::alert::AddressPolicy;
    use actifix_domain::time::Timestamp;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::sync::Arc;

    /// How a server of the tests speaks.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Speaks {
        Nothing,
        StartTls,
        ImplicitTls,
        /// Answers of somebody on the way behind that to STARTTLS.
        Injected,
        /// A greeting that does not end, in clear.
        Endless,
        /// The same under TLS.
        EndlessTls,
    }

    struct Mailbox {
        port: u16,
        thread: std::thread::JoinHandle<String>,
    }

    fn authority() -> (Issuer<'static, KeyPair>, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), pem)
    }

    fn mailbox(issuer: &Issuer<'static, KeyPair>, speaks: Speaks) -> Mailbox {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
                )
                .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = String::new();
            if !matches!(speaks, Speaks::ImplicitTls | Speaks::EndlessTls) {
                if speaks == Speaks::Endless {
                    heard.push_str(&flood(&mut stream).to_string());
                    return heard;
                }
                let offer = if speaks != Speaks::Nothing {
                    "250-localhost\r\n250 STARTTLS\r\n"
                } else {
                    "250-localhost\r\n250 AUTH PLAIN\r\n"
                };
                if !clear(&mut stream, offer, speaks, &mut heard) {
                    return heard;
                }
                heard.push_str("<TLS>\n");
            }
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut tls = BufReader::new(StreamOwned::new(connection, stream));
            if speaks == Speaks::EndlessTls {
                heard.push_str(&flood(tls.get_mut()).to_string());
                return heard;
            }
            // After STARTTLS the client greets first.
            if speaks == Speaks::ImplicitTls {
                let _greeted = tls.get_mut().write_all(b"220 localhost\r\n");
            }
            let _ended = talk(&mut tls, &mut heard);
            heard
        });
        Mailbox { port, thread }
    }

    /// Bytes of a line without an end until the client hung up.
    fn flood<S: Write>(stream: &mut S) -> usize {
        const FLOOD_BYTES_MAX: usize = 64 << 20;
        let mut sent = 0;
        while sent < FLOOD_BYTES_MAX && stream.write_all(&[b'2'; 4096]).is_ok() {
            sent += 4096;
        }
        sent
    }

    /// The part before TLS; whether it was asked for.
    fn clear(stream: &mut std::net::TcpStream, offer: &str, speaks: Speaks, heard: &mut String) -> bool {
        stream.write_all(b"220 localhost\r\n").unwrap();
        let mut byte = [0];
        let mut line = String::new();
        while stream.read(&mut byte).unwrap_or(0) == 1 {
            line.push(char::from(byte[0]));
            if !line.ends_with('\n') {
                continue;
            }
            heard.push_str(&line);
            let answer = match line.split_whitespace().next().unwrap_or_default() {
                "EHLO" => offer,
                "STARTTLS" if speaks == Speaks::Injected => "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n",
                "STARTTLS" => "220 go\r\n",
                _ => "250 ok\r\n",
            };
            stream.write_all(answer.as_bytes()).unwrap();
            if line.starts_with("STARTTLS") {
                return true;
            }
            line.clear();
        }
        false
    }

    fn talk<S: Read + Write>(tls: &mut BufReader<S>, heard: &mut String) -> std::io::Result<()> {
        let mut data = false;
        loop {
            let mut line = String::new();
            if tls.read_line(&mut line)? == 0 {
                return Ok(());
            }
            heard.push_str(&line);
            let answer = match line.trim_end() {
                "." if data => {
                    data = false;
                    "250 taken\r\n"
                }
                _ if data => continue,
                "DATA" => {
                    data = true;
                    "354 go\r\n"
                }
                "QUIT" => "221 bye\r\n",
                text if text.starts_with("EHLO") => "250-localhost\r\n250 AUTH PLAIN LOGIN\r\n",
                text if text.starts_with("AUTH") => "235 in\r\n",
                _ => "250 ok\r\n",
            };
            tls.get_mut().write_all(answer.as_bytes())?;
        }
    }

    fn letter(port: u16, implicit_tls: bool) -> OutboundMail {
        OutboundMail {
            host: "localhost".into(),
            port,
            implicit_tls,
            login: Some(("actifix".into(), SecretText::new("open sesame".into()))),
            from: "actifix@example.net".into(),
            to: vec!["ops@example.net".into()],
            subject: "[Actifix] New P1 ticket: Größe".into(),
            text: "New P1 ticket\r\n.\r\nhttps://errors.example.net/tickets/ACT-1".into(),
            message_id: "msg_1@example.net".into(),
            at: Timestamp::from_micros(1_795_000_000_000_000),
        }
    }

    fn out(ca: &str) -> (Outbound, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, ca).unwrap();
        let allow_private = ["127.0.0.0/8", "::1"].map(|network| network.parse().unwrap()).into();
        (Outbound::new(AddressPolicy { allow_private }, Some(path), system_lookup).unwrap(), dir)
    }

    /// A subject as a mail program reads it: encoded words are decoded wherever they stand, and those side by side are one.
    fn read_subject(message: &[u8]) -> String {
        let text = std::str::from_utf8(message).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let line = head.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        let mut read = String::new();
        let mut was_encoded = false;
        for word in line.split(' ') {
            let parts: Vec<&str> = word.split('?').collect();
            let clear = match parts.as_slice() {
                ["=", charset, kind, text, "="] if charset.eq_ignore_ascii_case("utf-8") => {
                    assert!(word.len() <= 75, "{word}");
                    match kind.to_ascii_lowercase().as_str() {
                        "b" => String::from_utf8(STANDARD.decode(text).unwrap()).unwrap(),
                        _ => format!("decoded from the event: {text}"),
                    }
                }
                _ => {
                    read.push_str(if read.is_empty() { "" } else { " " });
                    read.push_str(word);
                    was_encoded = false;
                    continue;
                }
            };
            read.push_str(if read.is_empty() || was_encoded { "" } else { " " });
            read.push_str(&clear);
            was_encoded = true;
        }
        read
    }

    #[test]
    fn a_subject_is_read_as_it_was_written_and_no_word_of_an_event_is_decoded() {
        for text in [
            "[Actifix] New P1 ticket: Größe".to_owned(),
            "[Actifix] New P1 ticket: =?utf-8?q?=E2=80=AEmoc.live?= in x".to_owned(),
            "[Actifix] =?utf-8?b?aHR0cHM6Ly9ldmlsLmV4YW1wbGU=?=".to_owned(),
            "[Actifix] Größe =?utf-8?b?aHR0cHM6Ly9ldmlsLmV4YW1wbGU=?= ☃".to_owned(),
            format!("{} =?utf-8?b?aHR0cHM6Ly9ldmlsLmV4YW1wbGU=?=", "läng ".repeat(50)),
        ] {
            let (_, message) = written(&OutboundMail { subject: text.clone(), ..letter(25, true) }).unwrap();
            assert_eq!(read_subject(&message), text);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn mail_goes_through_tls_and_through_nothing_else() {
        let (issuer, pem) = authority();
        let (out, _dir) = out(&pem);
        for speaks in [Speaks::StartTls, Speaks::ImplicitTls] {
            let mailbox = mailbox(&issuer, speaks);
            send(&out, letter(mailbox.port, speaks == Speaks::ImplicitTls)).await.unwrap();
            let heard = mailbox.thread.join().unwrap();
            let after = heard.rsplit("<TLS>").next().unwrap();
            for part in [
                "AUTH ",
                "RCPT TO:<ops@example.net>",
                "Auto-Submitted: auto-generated",
                "Message-ID: <msg_1@example.net>",
                "\r\n..\r\n",
            ] {
                assert!(after.contains(part), "{part} in {heard}");
            }
            if speaks == Speaks::StartTls {
                assert!(!heard.split("<TLS>").next().unwrap().contains("AUTH"), "{heard}");
            }
        }
        // Without STARTTLS, and with a certificate of an authority that nobody knows.
        let plain = mailbox(&issuer, Speaks::Nothing);
        assert_eq!(send(&out, letter(plain.port, false)).await, Err(Failure::Tls));
        let heard = plain.thread.join().unwrap();
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL") && !heard.contains("sesame"), "{heard}");
        let (stranger, _) = authority();
        for speaks in [Speaks::StartTls, Speaks::ImplicitTls] {
            let mailbox = mailbox(&stranger, speaks);
            assert_eq!(
                send(&out, letter(mailbox.port, speaks == Speaks::ImplicitTls)).await,
                Err(Failure::TlsUnknownIssuer)
            );
            let heard = mailbox.thread.join().unwrap();
            assert!(!heard.contains("AUTH"), "{heard}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn answers_without_end_and_answers_before_tls_end_the_connection() {
        let (issuer, pem) = authority();
        let (out, _dir) = out(&pem);
        let injected = mailbox(&issuer, Speaks::Injected);
        assert_eq!(send(&out, letter(injected.port, false)).await, Err(Failure::Protocol));
        let heard = injected.thread.join().unwrap();
        assert!(!heard.rsplit("<TLS>").next().unwrap().contains("EHLO"), "{heard}");
        for speaks in [Speaks::Endless, Speaks::EndlessTls] {
            let mailbox = mailbox(&issuer, speaks);
            assert!(send(&out, letter(mailbox.port, speaks == Speaks::EndlessTls)).await.is_err());
            let sent: usize = mailbox.thread.join().unwrap().parse().unwrap();
            // The buffers of two sockets besides.
            assert!(sent < 32 << 20, "{sent} bytes were taken");
        }
    }
}
