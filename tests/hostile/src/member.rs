//! A client that has entered a room, by an author key of its own.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use distchat_crdt::{
    AuthorId, Draft, Key, Keypair, Message, RoomId, Signer, Timestamp,
    index::Prefix,
    sync::{
        Blob, Enter, Entered, Fetch, Filter, List, MAX_FRAME, Peer, Range, Request, Response, SYNC_PROTOCOL, Wanted,
        proof, sign_peer,
    },
};
use futures::{AsyncReadExt, AsyncWriteExt, future::try_join_all};
use serde::Serialize;
use tokio::time::sleep;

use crate::{Answers, Connection, Rpc, Stream};

/// A connection whose author has entered a room.
pub struct Member {
    connection: Connection,
    keys: Keypair,
    room: RoomId,
    /// What the node calls the room.
    handle: u32,
}

impl Member {
    /// Connects, and enters a room.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn of(node: SocketAddr, room: RoomId) -> io::Result<Self> {
        Self::entering(Connection::to(node).await?, room, Keypair::from_seed(rand::random())).await
    }

    /// Connects, enters a room by its author key, and answers what it is asked there.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn answering(node: SocketAddr, answers: Answers) -> io::Result<Self> {
        let (room, keys) = (answers.room(), answers.keys().clone());
        Self::entering(Connection::answering(node, answers).await?, room, keys).await
    }

    /// Connects from one of the machine's own addresses, and enters a room.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn from(own: IpAddr, node: SocketAddr, room: RoomId) -> io::Result<Self> {
        Self::entering(Connection::from(own, node).await?, room, Keypair::from_seed(rand::random())).await
    }

    /// Asks to enter a room, and goes after so long without having said what it is.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn passing_by(node: SocketAddr, room: RoomId, stays: Duration) -> io::Result<()> {
        let connection = Connection::unnamed(node).await?;
        let enter = entering(&connection.me(), &connection.peer(), room, &Keypair::from_seed(rand::random()));
        let _unanswered = begin(&connection, &enter).await?;
        sleep(stays).await;
        Ok(())
    }

    /// Enters a room by an author key, on a connection that is there.
    ///
    /// # Errors
    /// If it is turned away.
    pub async fn entering(connection: Connection, room: RoomId, keys: Keypair) -> io::Result<Self> {
        match ask(&connection, &entering(&connection.me(), &connection.peer(), room, &keys)).await? {
            Response::Entered(Entered { handle, .. }) => Ok(Self { connection, keys, room, handle }),
            other => Err(io::Error::other(format!("not let in: {other:?}"))),
        }
    }

    /// The connection it came by.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// What the node calls the room.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Who it is.
    pub fn author(&self) -> AuthorId {
        self.keys.author()
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The room's name in gossip.
    pub fn topic(&self) -> String {
        self.room.topic().to_string()
    }

    /// Asks something and waits for the answer.
    ///
    /// # Errors
    /// If there is none.
    pub async fn ask(&self, request: &Request) -> io::Result<Response> {
        ask(&self.connection, request).await
    }

    /// Asks the same many times at once, and leaves the answers where they are.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn ask_at_once(&self, request: &Request, count: usize) -> io::Result<Vec<Stream>> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            streams.push(self.connection.speaking(SYNC_PROTOCOL).await?);
        }
        let question = framed(request);
        // None of them may be answered before the last is on its way, so nothing is flushed before all are written.
        for stream in &mut streams {
            stream.write_all(&question).await?;
        }
        try_join_all(streams.iter_mut().map(AsyncWriteExt::close)).await?;
        Ok(streams)
    }

    /// The answer to what was asked on a stream, and its length.
    ///
    /// # Errors
    /// If there is none.
    pub async fn finish(&self, stream: Stream) -> io::Result<(usize, Response)> {
        finish(stream).await
    }

    /// Asks for everything before a key, or for everything at all.
    pub fn everything(&self, below: Option<Key>) -> Request {
        let range = Range { region: Prefix::EMPTY, from: None, below, filter: Filter::Except(Blob::default()) };
        let items = List::cut(vec![Wanted::Range(range)]);
        Request::Fetch(Fetch { handle: self.handle, upper: Timestamp::MAX, nonce: 0, items })
    }

    /// A stream of gossip on which it has joined the room's mesh.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn gossip(&self) -> io::Result<Stream> {
        let mut stream = self.connection.speaking("/meshsub/1.1.0").await?;
        let topic = self.topic();
        stream.write_all(&Rpc::default().subscribe(&topic).graft(&topic).bytes()).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// A run of its messages, each of which names the one before.
    pub fn run(&self, count: u64, time: Timestamp, text: impl Fn(u64) -> String) -> Vec<Message> {
        let mut run: Vec<Message> = Vec::new();
        for seq in 0..count {
            let draft = Draft {
                room: self.room,
                seq,
                time: Timestamp(time.0 + seq),
                prev: run.last().map(Message::key),
                seen: Vec::new(),
                kind: distchat_crdt::kind::TEXT,
                body: text(seq).into_bytes(),
            };
            run.push(draft.sign(&self.keys).expect("it is well-formed"));
        }
        run
    }
}

/// What proves to the node that who has the connection and the key is in the room.
pub(crate) fn entering(me: &Peer, node: &Peer, room: RoomId, keys: &Keypair) -> Request {
    Request::Enter(Enter {
        topic: room.topic(),
        handle: 1,
        proof: proof(&room, me, node),
        author: keys.author(),
        signature: sign_peer(keys, me),
    })
}

/// A request or an answer as it stands on a stream: its length in four bytes, and that.
pub(crate) fn framed(request: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    ciborium::into_writer(request, &mut bytes).expect("a vector takes everything");
    let length = u32::try_from(bytes.len() - 4).expect("no frame is that long");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// Asks something on a stream of its own and waits for the answer.
async fn ask(connection: &Connection, request: &Request) -> io::Result<Response> {
    Ok(finish(begin(connection, request).await?).await?.1)
}

async fn begin(connection: &Connection, request: &Request) -> io::Result<Stream> {
    let mut stream = connection.speaking(SYNC_PROTOCOL).await?;
    stream.write_all(&framed(request)).await?;
    // Before it has come to its end it is no request.
    stream.close().await?;
    Ok(stream)
}

async fn finish(mut stream: Stream) -> io::Result<(usize, Response)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok((4 + length, ciborium::from_reader(&bytes[..]).map_err(io::Error::other)?))
}
