//! The side of a member that is asked: what it answers is for a test to say, and what it was asked is counted.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use distchat_crdt::{
    Keypair, RoomId, Signer,
    sync::{
        Blob, Entered, Greeting, List, MAX_FRAME, Page, Peer, Request, Response, RoomGreeting, Summaries, proof,
        sign_peer,
    },
};
use futures::{AsyncReadExt, AsyncWriteExt};

use crate::{Stream, member::framed};

type Answer = dyn Fn(&Request) -> Option<Response> + Send + Sync;

/// What a member of a room answers. Clones count together.
#[derive(Clone)]
pub struct Answers(Arc<Shared>);

struct Shared {
    room: RoomId,
    keys: Keypair,
    answer: Box<Answer>,
    asked: AtomicU64,
    bytes: AtomicU64,
}

impl Answers {
    /// Lets in whoever enters, and answers everything else by `answer`. Where that has none, the asker waits for ever.
    pub fn of(
        room: RoomId,
        keys: &Keypair,
        answer: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let (asked, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { room, keys: keys.clone(), answer: Box::new(answer), asked, bytes }))
    }

    pub(crate) fn room(&self) -> RoomId {
        self.0.room
    }

    pub(crate) fn keys(&self) -> &Keypair {
        &self.0.keys
    }

    /// How many questions there were, besides those to enter.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// How many bytes the answers to them had.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Answers what stands on a stream, by `me` to `node`.
    pub(crate) async fn on(&self, stream: &mut Stream, me: &Peer, node: &Peer) -> io::Result<()> {
        let mut length = [0; 4];
        stream.read_exact(&mut length).await?;
        let mut bytes = vec![0; (u32::from_be_bytes(length) as usize).min(MAX_FRAME)];
        stream.read_exact(&mut bytes).await?;
        let request: Request = ciborium::from_reader(&bytes[..]).map_err(io::Error::other)?;
        if let Request::Enter(_) = request {
            let Shared { room, keys, .. } = &*self.0;
            let entered = Entered {
                handle: 1,
                proof: proof(room, me, node),
                author: keys.author(),
                signature: sign_peer(keys, me),
            };
            stream.write_all(&framed(&Response::Entered(entered))).await?;
            return stream.close().await;
        }
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let Some(response) = (self.0.answer)(&request) else { return std::future::pending().await };
        let response = framed(&response);
        self.0.bytes.fetch_add(response.len() as u64, Ordering::Relaxed);
        stream.write_all(&response).await?;
        stream.close().await
    }
}

/// The answer of one who says to hold the same, and has nothing to give.
pub fn quiet(request: &Request) -> Option<Response> {
    Some(match request {
        Request::Enter(_) => return None,
        Request::Hello(hello) => {
            let rooms = hello.rooms.iter().map(|_| RoomGreeting::Equal(0)).collect();
            Response::Hello(Greeting { clock: hello.clock, rooms: List::cut(rooms) })
        }
        Request::Nodes(nodes) => {
            Response::Nodes(Summaries { done: nodes.items.len() as u32, summaries: List::default() })
        }
        Request::Fetch(fetch) => Response::Page(page(fetch.items.len(), Vec::new())),
        Request::Offer(_) => Response::Offered(0),
        Request::Have(have) => Response::Have(Blob::cut(vec![0; have.keys.len().div_ceil(8)])),
    })
}

/// A page of these messages, after which so many of the items asked for are done.
pub fn page(done: usize, messages: Vec<u8>) -> Page {
    Page { done: done as u32, messages: Blob::cut(messages), cuts: List::default(), lacks: Blob::default() }
}
