//! One connection, from its handshake to its end.

use super::pulse::{Pulse, Sending, Streaming};
use super::{Peer, ServerLimits, Stopping, Tls, stopped};
use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tower::Service;

/// Headers per request.
const HEADERS_MAX: usize = 100;
/// Bytes of request line and headers together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Who waits for an answer takes at least so many bytes of it within the time that an answer may stand still.
const STALL_BYTES_MIN: u64 = 8 * 1024;
/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 100;
/// Requests of one HTTP/2 connection that were taken back before they were looked at; more end the connection
/// (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// Errors of ours on one HTTP/2 connection before it is ended.
const ERRORS_MAX: usize = 100;
/// Bytes that one HTTP/2 request, and one connection, may send ahead of us.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of answers that wait for one HTTP/2 client.
const SEND_BYTES_MAX: usize = 256 * 1024;
/// Who has answers to take over HTTP/2 takes at least so many bytes from one look to the next.
const SLOW_BYTES_MIN: u64 = 4 * 1024;
/// An HTTP/2 client with open requests must answer a ping within [`PING_TIMEOUT`] of it.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What was accepted.
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
    Unix(UnixStream),
}

/// Serves a connection to its end. When `stop` turns true, open requests are finished and no more are taken.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    router: Router,
    limits: ServerLimits,
    stop: watch::Receiver<bool>,
    pulse: Arc<Pulse>,
) {
    let stall = limits.stall_timeout;
    let stopping = Stopping(stop.clone());
    let exchange = Exchange { router, peer, encrypted: false, pulse: Arc::clone(&pulse), stopping };
    match stream {
        Stream::Tcp(stream) => http1(Patient::new(stream, stall, pulse), exchange, &limits, stop).await,
        Stream::Unix(stream) => http1(Patient::new(stream, stall, pulse), exchange, &limits, stop).await,
        Stream::Tls(stream, acceptor) => {
            let stream = match tokio::time::timeout(
                limits.header_timeout,
                acceptor.accept(Patient::new(stream, stall, pulse)),
            )
            .await
            {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(error = %error, "TLS handshake failed"),
                Err(_) => return tracing::debug!("TLS handshake took too long"),
            };
            let exchange = Exchange { encrypted: true, ..exchange };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2(stream, exchange, &limits, stop).await;
            } else {
                http1(stream, exchange, &limits, stop).await;
            }
        }
    }
}

/// What the requests of a connection share.
#[derive(Clone)]
struct Exchange {
    router: Router,
    peer: Peer,
    encrypted: bool,
    pulse: Arc<Pulse>,
    stopping: Stopping,
}

impl Exchange {
    async fn answer(
        self,
        mut request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Sending>, std::convert::Infallible> {
        let _answering = Pulse::answering(&self.pulse);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if self.encrypted {
            request.extensions_mut().insert(Tls);
        }
        request.extensions_mut().insert(self.stopping);
        let mut router = self.router;
        let answer = router.call(request).await;
        answer.map(|response| {
            let streams = response.extensions().get::<Streaming>().is_some();
            response.map(|body| Sending::new(body, &self.pulse, streams))
        })
    }
}

async fn http1<I>(io: I, exchange: Exchange, limits: &ServerLimits, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| exchange.clone().answer(request));
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            // Who has said all and closed that half waits for the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(io), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended");
    }
}

async fn http2<I>(io: I, exchange: Exchange, limits: &ServerLimits, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::clone(&exchange.pulse);
    let service = service_fn(move |request| exchange.clone().answer(request));
    let mut connection = pin!(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(ERRORS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(io), service)
    );
    // The library has no bound on idle time, nor on how slowly answers are taken. A connection is ended that had no
    // request from one look to the next, or had answers to take at both and took next to nothing.
    let mut looks = tokio::time::interval(limits.header_timeout);
    looks.tick().await;
    let mut before = pulse.look();
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
            _ = looks.tick() => {
                let now = pulse.look();
                if now.is_stuck_since(&before, SLOW_BYTES_MIN) {
                    tracing::debug!("answers were not taken");
                    break Ok(());
                }
                if now.is_idle_since(&before, SLOW_BYTES_MIN) {
                    connection.as_mut().graceful_shutdown();
                    let last = tokio::time::timeout(limits.header_timeout, connection).await;
                    break last.unwrap_or(Ok(()));
                }
                before = now;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended");
    }
}

/// A stream whose writes may not stand still: who does not read its answer, or reads it byte by byte, holds memory and a
/// connection for nothing.
struct Patient<S> {
    inner: S,
    stall: Duration,
    pulse: Arc<Pulse>,
    /// Runs from the first write that had to wait until enough was taken.
    stalled: Option<Pin<Box<Sleep>>>,
    taken: u64,
}

impl<S> Patient<S> {
    const fn new(inner: S, stall: Duration, pulse: Arc<Pulse>) -> Self {
        Self { inner, stall, pulse, stalled: None, taken: 0 }
    }

    fn judge_write(
        &mut self,
        progress: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(Ok(bytes)) = progress else { return self.judge(progress, context) };
        self.pulse.moved(bytes as u64);
        self.taken = self.taken.saturating_add(bytes as u64);
        if self.taken >= STALL_BYTES_MIN {
            self.caught_up();
        }
        Poll::Ready(Ok(bytes))
    }

    /// All that was written is with the kernel, or enough of it.
    fn caught_up(&mut self) {
        self.stalled = None;
        self.taken = 0;
    }

    fn judge<T>(&mut self, progress: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            return progress;
        }
        if self.stalled.is_none() {
            self.taken = 0;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge_write(progress, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_flush(context);
        if progress.is_ready() {
            self.caught_up();
        }
        self.judge(progress, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(progress, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.judge_write(progress, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const STALL: Duration = Duration::from_secs(30);

    fn patient(inner: tokio::io::DuplexStream) -> Patient<tokio::io::DuplexStream> {
        Patient::new(inner, STALL, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the paused clock of the runtime is what is tested")]
    async fn who_takes_nothing_of_its_answer_is_let_go() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut patient = patient(ours);
        let began = tokio::time::Instant::now();
        let error = patient.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), STALL);
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the paused clock of the runtime is what is tested")]
    async fn who_takes_a_byte_now_and_then_is_let_go() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut patient = patient(ours);
        let began = tokio::time::Instant::now();
        let dribble = async {
            while began.elapsed() < STALL * 4 {
                tokio::time::sleep(STALL / 10).await;
                if theirs.read(&mut [0; 1]).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        let (written, ()) = tokio::join!(
            async {
                let error = patient.write_all(&[0; 4_096]).await.unwrap_err();
                drop(patient);
                (error.kind(), began.elapsed())
            },
            dribble
        );
        assert_eq!(written, (io::ErrorKind::TimedOut, STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_all() {
        let (ours, mut theirs) = tokio::io::duplex(8 * 1024);
        let mut patient = patient(ours);
        let all = 256 * 1024;
        let bytes = vec![0; all];
        let reader = async {
            let mut read = 0;
            while read < all {
                tokio::time::sleep(STALL / 2).await;
                read += theirs.read(&mut [0; 8 * 1024]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(patient.write_all(&bytes), reader);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_two_answers_is_no_stall() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut patient = patient(ours);
        for _ in 0..3 {
            let (written, read) = tokio::join!(
                async {
                    patient.write_all(&[0; 16]).await?;
                    patient.flush().await
                },
                async {
                    tokio::time::sleep(STALL / 2).await;
                    theirs.read_exact(&mut [0; 16]).await
                }
            );
            written.unwrap();
            read.unwrap();
            tokio::time::sleep(STALL * 3).await;
        }
    }
}
