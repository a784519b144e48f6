//! Mail over SMTP. Without TLS, by STARTTLS or from the first byte, nothing of it is sent.

use super::Outbound;
use actifix_app::ports::OutboundMail;
use actifix_domain::alert::Failure;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, MessageId};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use url::Host;

/// How this program greets: a name of its own would tell strangers about the inner network.
const HELLO: &str = "localhost.localdomain";

/// TLS that stood before the first word of SMTP.
#[derive(Debug)]
struct Secured(TlsStream<TcpStream>);

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

pub(super) async fn send(out: &Outbound, mail: OutboundMail) -> Result<(), Failure> {
    let (envelope, bytes) = written(&mail)?;
    let host = Host::parse(&mail.host)
        .or_else(|_| Host::parse(&format!("[{}]", mail.host)))
        .map_err(|_| Failure::Unusable)?;
    let hello = ClientId::Domain(HELLO.to_owned());
    let stream = out.connect(&host, mail.port).await?;
    let mut connection = if mail.implicit_tls {
        let name = ServerName::try_from(mail.host.clone()).map_err(|_| Failure::Unusable)?;
        let secured = out.trust()?.tls.connect(name, stream).await.map_err(|_| Failure::Tls)?;
        AsyncSmtpConnection::connect_with_transport(Box::new(Secured(secured)), &hello)
            .await
            .map_err(class)?
    } else {
        let mut plain =
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.map_err(class)?;
        if !plain.can_starttls() {
            plain.abort().await;
            return Err(Failure::Tls);
        }
        plain.starttls(parameters(out, &mail.host)?, &hello).await.map_err(|_| Failure::Tls)?;
        if !plain.is_encrypted() {
            return Err(Failure::Tls);
        }
        plain
    };
    if let Some((name, password)) = &mail.login {
        let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(class)?;
    }
    connection.send(&envelope, &bytes).await.map_err(class)?;
    // It has the mail; how it says goodbye does not matter.
    let _goodbye = connection.quit().await;
    Ok(())
}

fn parameters(out: &Outbound, host: &str) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for root in out.trust()?.roots.certificates() {
        let certificate = Certificate::from_der(root.to_vec()).map_err(|_| Failure::Unusable)?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|_| Failure::Unusable)
}

fn written(mail: &OutboundMail) -> Result<(Envelope, Vec<u8>), Failure> {
    let mailbox = |text: &str| text.parse::<Address>().map_err(|_| Failure::Unusable);
    let (from, at) = (mailbox(&mail.from)?, u64::try_from(mail.at.seconds()).unwrap_or(0));
    let to = mail.to.iter().map(|to| mailbox(to)).collect::<Result<Vec<Address>, Failure>>()?;
    let mut builder = Message::builder()
        .from(Mailbox::new(Some("Actifix".to_owned()), from.clone()))
        .subject(&mail.subject)
        .date(UNIX_EPOCH + Duration::from_secs(at))
        .header(MessageId::from(format!("<{}>", mail.message_id)))
        .header(ContentType::TEXT_PLAIN);
    for receiver in &to {
        builder = builder.to(Mailbox::new(None, receiver.clone()));
    }
    let message = builder.body(mail.text.clone()).map_err(|_| Failure::Unusable)?;
    let envelope = Envelope::new(Some(from), to).map_err(|_| Failure::Unusable)?;
    Ok((envelope, message.formatted()))
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
            if speaks != Speaks::ImplicitTls {
                let offer = if speaks == Speaks::StartTls {
                    "250-localhost\r\n250 STARTTLS\r\n"
                } else {
                    "250-localhost\r\n250 AUTH PLAIN\r\n"
                };
                if !clear(&mut stream, offer, &mut heard) {
                    return heard;
                }
                heard.push_str("<TLS>\n");
            }
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut tls = BufReader::new(StreamOwned::new(connection, stream));
            // After STARTTLS the client greets first.
            if speaks == Speaks::ImplicitTls {
                let _greeted = tls.get_mut().write_all(b"220 localhost\r\n");
            }
            let _ended = talk(&mut tls, &mut heard);
            heard
        });
        Mailbox { port, thread }
    }

    /// The part before TLS; whether it was asked for.
    fn clear(stream: &mut std::net::TcpStream, offer: &str, heard: &mut String) -> bool {
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn mail_goes_through_tls_and_through_nothing_else() {
        let (issuer, pem) = authority();
        let (out, _dir) = out(&pem);
        for speaks in [Speaks::StartTls, Speaks::ImplicitTls] {
            let mailbox = mailbox(&issuer, speaks);
            send(&out, letter(mailbox.port, speaks == Speaks::ImplicitTls)).await.unwrap();
            let heard = mailbox.thread.join().unwrap();
            let after = heard.rsplit("<TLS>").next().unwrap();
            for part in
                ["AUTH ", "RCPT TO:<ops@example.net>", "Message-ID: <msg_1@example.net>", "\r\n..\r\n"]
            {
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
                Err(Failure::Tls)
            );
            let heard = mailbox.thread.join().unwrap();
            assert!(!heard.contains("AUTH"), "{heard}");
        }
    }
}
