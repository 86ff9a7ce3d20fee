//! Sockets of which many are written to in one row.
//!
//! To write to somebody who sleeps costs many times what it costs to write to somebody who is at
//! work already, and whoever is written to now and then falls asleep in between. So a small write
//! waits until the runtime's thread has nothing else to run and has looked for what arrived; then
//! everything that waits goes out, one socket after the other.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::yield_now,
};

/// More than this waits for nobody.
const LARGE: usize = 16 << 10;
/// How many buffers a thread keeps.
const MOST_SPARE: usize = 64;

thread_local! {
    /// What waits to be written by this thread.
    static ROW: Arc<Row> = Arc::default();
}

/// A TCP stream whose small writes wait for those of others.
#[derive(Debug)]
pub struct GatheredStream {
    reader: OwnedReadHalf,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Writer(Mutex<Outgoing>);

#[derive(Debug)]
struct Outgoing {
    /// How much of the bytes has been written.
    at: usize,
    bytes: Vec<u8>,
    failed: Option<io::Error>,
    half: OwnedWriteHalf,
    /// Whether it stands in a row.
    is_waiting: bool,
    /// Who is to know if not everything can be written.
    waker: Option<Waker>,
}

/// The sockets that wait, in the order they came.
#[derive(Debug, Default)]
struct Row(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    is_due: bool,
    spare: Vec<Vec<u8>>,
    writers: Vec<Arc<Writer>>,
}

impl GatheredStream {
    /// The stream; dropped, it still sends what waits, and then ends.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let (reader, half) = stream.into_split();
        let (bytes, failed, waker) = (Vec::new(), None, None);
        let outgoing = Outgoing { at: 0, bytes, failed, half, is_waiting: false, waker };
        Self { reader, writer: Arc::new(Writer(Mutex::new(outgoing))) }
    }
}

impl AsyncRead for GatheredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for GatheredStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut outgoing = self.writer.lock();
        outgoing.check()?;
        let length = slices.iter().map(|slice| slice.len()).sum();
        let fits = outgoing.is_waiting && outgoing.bytes.len() + length <= LARGE;
        if !fits {
            ready!(outgoing.poll_drain(cx))?;
        }
        if length > LARGE {
            return Pin::new(&mut outgoing.half).poll_write_vectored(cx, slices);
        }
        let row = ROW.with(Arc::clone);
        if outgoing.bytes.capacity() == 0 {
            outgoing.bytes = row.buffer();
        }
        for slice in slices {
            outgoing.bytes.extend_from_slice(slice);
        }
        if !outgoing.is_waiting {
            outgoing.is_waiting = true;
            outgoing.waker = Some(cx.waker().clone());
            drop(outgoing);
            row.join(Arc::clone(&self.writer));
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.writer.lock();
        outgoing.check()?;
        // What stands in a row goes out without being asked again.
        if outgoing.is_waiting { Poll::Ready(Ok(())) } else { outgoing.poll_drain(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.writer.lock();
        outgoing.check()?;
        ready!(outgoing.poll_drain(cx))?;
        Pin::new(&mut outgoing.half).poll_shutdown(cx)
    }
}

impl Writer {
    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outgoing {
    /// What went wrong when nobody was there to be told.
    fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Writes what waits, and waits where the peer does not read.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at < self.bytes.len() {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            match ready!(Pin::new(&mut self.half).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.at += written,
            }
        }
        self.at = 0;
        self.bytes.clear();
        Poll::Ready(Ok(()))
    }

    /// Writes what can be written now; the answer is a buffer that is free again.
    fn write(&mut self) -> Option<Vec<u8>> {
        self.is_waiting = false;
        let waker = self.waker.take();
        while !self.rest().is_empty() {
            match self.half.try_write(self.rest()) {
                Ok(written) if written > 0 => self.at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    let is_full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
                    self.failed = outcome.err().filter(|error| !is_full(error));
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    return None;
                }
            }
        }
        self.at = 0;
        self.bytes.clear();
        Some(std::mem::take(&mut self.bytes))
    }
}

impl Row {
    /// Takes a place; everything goes out as soon as the thread has nothing else to do.
    fn join(self: Arc<Self>, writer: Arc<Writer>) {
        let mut waiting = self.lock();
        waiting.writers.push(writer);
        if !std::mem::replace(&mut waiting.is_due, true) {
            drop(waiting);
            let waker = Waker::from(Arc::new(Turn(self)));
            // Asked once, it wakes whoever asks when that time has come.
            let _later = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
        }
    }

    fn buffer(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    fn write(&self) {
        let mut waiting = self.lock();
        waiting.is_due = false;
        let mut writers = std::mem::take(&mut waiting.writers);
        drop(waiting);
        for writer in writers.drain(..) {
            let free = writer.lock().write();
            let free = free.filter(|buffer| (1..=LARGE).contains(&buffer.capacity()));
            let mut waiting = self.lock();
            if let Some(buffer) = free.filter(|_| waiting.spare.len() < MOST_SPARE) {
                waiting.spare.push(buffer);
            }
        }
        // The room is used again.
        let mut waiting = self.lock();
        if waiting.writers.capacity() == 0 {
            waiting.writers = writers;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row's turn: when it is woken, or will never be because its runtime has ended.
struct Turn(Arc<Row>);

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.write();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.write();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::timeout,
    };
    use tokio_util::task::TaskTracker;

    use super::*;

    async fn pair() -> (GatheredStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (own, peer) = tokio::join!(connecting, listener.accept());
        (GatheredStream::new(own.unwrap()), peer.unwrap().0)
    }

    async fn read(peer: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let reading = peer.read_exact(&mut bytes);
        timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
        bytes
    }

    #[tokio::test]
    async fn small_writes_wait_for_each_other_and_go_out_together() {
        let (mut one, mut one_peer) = pair().await;
        let (mut other, mut other_peer) = pair().await;
        one.write_all(b"first ").await.unwrap();
        other.write_all(b"second").await.unwrap();
        one.write_all(b"third").await.unwrap();
        one.flush().await.unwrap();
        let mut nothing = [0; 16];
        assert!(one_peer.try_read(&mut nothing).is_err(), "nothing has gone out yet");
        assert_eq!(read(&mut one_peer, 11).await, b"first third");
        assert_eq!(read(&mut other_peer, 6).await, b"second");
    }

    #[tokio::test]
    async fn a_large_write_goes_at_once_and_after_what_waited() {
        let (mut own, mut peer) = pair().await;
        let large = vec![b'x'; LARGE + 1];
        own.write_all(b"small").await.unwrap();
        own.write_all(&large).await.unwrap();
        own.write_all(b"end").await.unwrap();
        let whole = [b"small", large.as_slice(), b"end"].concat();
        assert_eq!(read(&mut peer, whole.len()).await, whole);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_gets_everything_later() {
        let (mut own, mut peer) = pair().await;
        let pieces: Vec<Vec<u8>> =
            (0..=u8::MAX).cycle().take(20_000).map(|b| vec![b; 999]).collect();
        let sent = pieces.concat();
        let writing = TaskTracker::new().spawn(async move {
            for piece in pieces {
                own.write_all(&piece).await.unwrap();
                own.flush().await.unwrap();
            }
            own.shutdown().await.unwrap();
        });
        while !writing.is_finished() {
            // Until it waits for the peer, or is done.
            yield_now().await;
            let mut some = [0; 1];
            if peer.peek(&mut some).await.unwrap() == 1 {
                break;
            }
        }
        let mut received = Vec::new();
        let reading = peer.read_to_end(&mut received);
        timeout(Duration::from_mins(1), reading).await.unwrap().unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end() {
        for drops in [false, true] {
            let (mut own, mut peer) = pair().await;
            own.write_all(b"last words").await.unwrap();
            if drops {
                drop(own);
            } else {
                own.shutdown().await.unwrap();
            }
            let mut received = Vec::new();
            let reading = peer.read_to_end(&mut received);
            timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
            assert_eq!(received, b"last words", "dropped: {drops}");
        }
    }

    #[test]
    fn a_runtime_that_ends_leaves_nothing_behind_for_the_next_one() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let (mut own, _peer) = runtime.block_on(pair());
            runtime.block_on(own.write_all(b"first")).unwrap();
            drop((runtime, own));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let (mut other, mut other_peer) = runtime.block_on(pair());
            runtime.block_on(async {
                other.write_all(b"second").await.unwrap();
                assert_eq!(read(&mut other_peer, 6).await, b"second");
            });
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error() {
        let (mut own, peer) = pair().await;
        drop(peer);
        let writing = async {
            loop {
                if let Err(error) = own.write_all(b"anybody there?").await {
                    return error.kind();
                }
                yield_now().await;
            }
        };
        let kind = timeout(Duration::from_secs(10), writing).await.unwrap();
        assert!(
            matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset),
            "{kind:?}"
        );
    }
}
