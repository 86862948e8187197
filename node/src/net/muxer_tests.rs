use std::{future::poll_fn, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, future::join_all, io::sink};
use libp2p::tcp::tokio::TcpStream as Io;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};

use super::*;
use crate::net::tests::help::soon;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;

/// Both ends of a connection.
async fn ends() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (dialled, listener.accept().await.unwrap().0)
}

type Opening = oneshot::Sender<yamux::Stream>;

/// A muxer at work.
struct Muxed {
    arrived: mpsc::Receiver<yamux::Stream>,
    open: mpsc::Sender<Opening>,
    /// How it came to its end.
    end: JoinHandle<ConnectionError>,
    counting: Arc<Counting>,
}

impl Muxed {
    fn over(io: TcpStream, mode: Mode) -> Self {
        let counting = Arc::<Counting>::default();
        let muxer = Muxing::new(Arc::clone(&counting)).mux(Io(io), mode).into_inner().unwrap();
        let ((arriving, arrived), (open, wanted)) = (mpsc::channel(MAX_STREAMS), mpsc::channel(MAX_STREAMS));
        Self { arrived, open, end: tokio::spawn(drive(muxer, arriving, wanted)), counting }
    }

    async fn stream(&self) -> yamux::Stream {
        let (opening, opened) = oneshot::channel();
        self.open.send(opening).await.unwrap();
        opened.await.unwrap()
    }

    async fn next(&mut self) -> yamux::Stream {
        soon("a stream", self.arrived.recv()).await.unwrap()
    }
}

async fn drive(
    mut muxer: Muxer<Io>,
    arriving: mpsc::Sender<yamux::Stream>,
    mut wanted: mpsc::Receiver<Opening>,
) -> ConnectionError {
    poll_fn(|cx| {
        if let Poll::Ready(Err(error)) = Pin::new(&mut muxer).poll(cx) {
            return Poll::Ready(error);
        }
        while let Poll::Ready(Some(opening)) = wanted.poll_recv(cx) {
            match Pin::new(&mut muxer).poll_outbound(cx) {
                Poll::Ready(Ok(stream)) => drop(opening.send(stream)),
                other => panic!("{other:?}"),
            }
        }
        loop {
            match Pin::new(&mut muxer).poll_inbound(cx) {
                Poll::Ready(Ok(stream)) => drop(arriving.try_send(stream)),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// The other side, which writes its frames by hand.
struct ByHand(TcpStream);

impl ByHand {
    async fn send(&mut self, kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]) {
        let header = [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes()].concat();
        self.0.write_all(&header).await.unwrap();
        self.0.write_all(body).await.unwrap();
    }

    async fn data(&mut self, flags: u16, stream: u32, length: usize) {
        self.send(DATA, flags, stream, length as u32, &vec![7; length]).await;
    }

    /// The next frame, without what may be in it: its kind, stream and length.
    async fn next(&mut self) -> (u8, u32, u32) {
        let mut header = [0; 12];
        soon("a frame", self.0.read_exact(&mut header)).await.unwrap();
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        if header[1] == DATA {
            self.0.read_exact(&mut vec![0; number(8) as usize]).await.unwrap();
        }
        (header[1], number(4), number(8))
    }
}

/// Settings that another version of yamux understands in another way would be noticed here.
#[tokio::test]
async fn a_window_does_not_grow_whatever_round_trip_the_other_side_pretends() {
    const IN_ALL: usize = 8 * 1024 * 1024;
    let (by_hand, io) = ends().await;
    let (mut by_hand, mut muxed) = (ByHand(by_hand), Muxed::over(io, Mode::Server));
    let (ping, _, id) = by_hand.next().await;
    assert_eq!(ping, PING);
    // That long the way there and back seems to be, so all windows are used up in less than a round trip.
    sleep(Duration::from_secs(1)).await;
    by_hand.send(PING, ACK, 0, id, &[]).await;
    by_hand.data(SYN, 1, 1).await;
    let stream = muxed.next().await;
    tokio::spawn(async move { futures::io::copy(stream, &mut sink()).await });
    let (mut sent, mut open) = (1, WINDOW as usize - 1);
    while sent < IN_ALL {
        while open > 0 {
            let length = open.min(16 * 1024);
            by_hand.data(0, 1, length).await;
            (sent, open) = (sent + length, open - length);
        }
        let (kind, stream, credit) = by_hand.next().await;
        if (kind, stream) == (WINDOW_UPDATE, 1) {
            open += credit as usize;
        }
        assert!(open <= WINDOW as usize, "after {sent} bytes {open} more may come at once");
    }
    assert_eq!(muxed.counting.snapshot().bad_streams, 0);
}

#[tokio::test]
async fn what_comes_behind_the_end_of_a_stream_that_is_held_ends_the_connection() {
    let (by_hand, io) = ends().await;
    let (mut by_hand, mut muxed) = (ByHand(by_hand), Muxed::over(io, Mode::Server));
    by_hand.data(SYN | FIN, 1, 10).await;
    let mut held = muxed.next().await;
    let mut question = Vec::new();
    soon("the end", held.read_to_end(&mut question)).await.unwrap();
    assert_eq!(question, [7; 10]);
    by_hand.data(0, 1, 1000).await;
    let why = soon("an end", muxed.end).await.unwrap().to_string();
    assert!(why.contains("more behind the end of a stream"), "{why}");
    assert_eq!(held.read_to_end(&mut question).await.unwrap(), 0, "nothing of it was kept");
    assert_eq!(muxed.counting.snapshot().bad_streams, 1);
}

/// Two that keep to the rules, whichever of them reads, writes, ends and gives up streams, and when.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_to_the_rules_notices_nothing() {
    const ROUNDS: usize = 60;
    const AT_ONCE: usize = 40;
    let (one, other) = ends().await;
    let (asks, mut answers) = (Muxed::over(one, Mode::Client), Muxed::over(other, Mode::Server));
    let answering = tokio::spawn(async move {
        while let Some(mut stream) = answers.arrived.recv().await {
            tokio::spawn(async move {
                let mut kind = [0];
                if stream.read_exact(&mut kind).await.is_err() || kind[0] % 4 == 0 {
                    // It is given up, with what is still to come.
                    return;
                }
                if kind[0] % 4 == 1 {
                    // It is answered too early.
                    let _ = stream.write_all(&[1; 1000]).await;
                    let _ = stream.close().await;
                    return;
                }
                let mut read = Vec::new();
                if stream.read_to_end(&mut read).await.is_ok() && stream.write_all(&read).await.is_ok() {
                    let _ = stream.close().await;
                }
            });
        }
        answers
    });
    for round in 0..ROUNDS {
        let streams = join_all((0..AT_ONCE).map(|_| asks.stream())).await;
        join_all(streams.into_iter().enumerate().map(|(n, mut stream)| async move {
            let kind = (n + round) as u8;
            // Of what is answered too early nothing is read.
            let length = (n * n * (round % 5) * 97).min(if kind % 4 == 1 { 200_000 } else { usize::MAX });
            let written = stream.write_all(&[&[kind][..], &vec![9; length]].concat()).await;
            if n % 5 == 0 {
                // It is given up, or ended and given up.
                if n % 10 == 0 {
                    let _ = stream.close().await;
                }
                return;
            }
            let mut read = Vec::new();
            let closed = stream.close().await;
            let _ = stream.read_to_end(&mut read).await;
            if kind % 4 > 1 {
                assert!(written.is_ok() && closed.is_ok());
                assert_eq!(read, vec![9; length]);
            }
        }))
        .await;
    }
    assert_eq!(asks.counting.snapshot().bad_streams, 0);
    assert!(!asks.end.is_finished());
    asks.end.abort();
    let answers = soon("the other's end", answering).await.unwrap();
    assert_eq!(answers.counting.snapshot().bad_streams, 0);
}
