//! Frames as bytes: a length in four bytes, big-endian, and that many bytes of CBOR, as the sync protocol has them.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use serde::de::DeserializeOwned;

use super::wire::{Answer, MAX_FRAME, PROBE_PROTOCOL, Request};
use crate::net::codec::{decode, encode, end};

/// Reads and writes frames.
#[derive(Clone, Debug, Default)]
pub(in crate::net) struct ProbeCodec;

/// The protocol's name, as the behaviour wants it.
pub(in crate::net) fn protocol() -> StreamProtocol {
    StreamProtocol::new(PROBE_PROTOCOL)
}

async fn read<T: DeserializeOwned, S: AsyncRead + Unpin>(io: &mut S) -> io::Result<T> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(invalid(format!("a frame of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    decode(&bytes).map_err(|malformed| invalid(malformed.to_string()))
}

impl request_response::Codec for ProbeCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let request = read(io).await?;
        end(io).await?.map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
        Ok(request)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&encode(&request)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, answer: Answer) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&encode(&answer)?).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec;

    use super::{super::wire::*, *};

    fn bytes(answer: &Answer) -> Vec<u8> {
        let mut io = Cursor::new(Vec::new());
        block_on(ProbeCodec.write_response(&protocol(), &mut io, answer.clone())).unwrap();
        io.into_inner()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn frames_are_as_the_protocol_says() {
        let request = |request| {
            let mut io = Cursor::new(Vec::new());
            block_on(ProbeCodec.write_request(&protocol(), &mut io, request)).unwrap();
            hex(&io.into_inner())
        };
        assert_eq!(request(Request::Who), "00000004".to_owned() + "63" + &hex(b"who"));
        let expect = "0000000d".to_owned() + "a169" + &hex(b"multicast") + "8201";
        assert_eq!(request(Request::Multicast(1, 2)), expect.replace("0000000d", "0000000e") + "02");
        assert_eq!(
            request(Request::Dial(Via::Tcp, 4001, 3)),
            "0000000f".to_owned() + "a164" + &hex(b"dial") + "8363" + &hex(b"tcp") + "190fa103"
        );
        let who = Answer::Who(Who { clock_ms: 1, interface: "e".into(), mdns: true });
        assert_eq!(hex(&bytes(&who)), "0000000a".to_owned() + "a163" + &hex(b"who") + "83016165f5");
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        for bytes in [
            &[0, 0, 4, 1][..],
            &[0xff; 8],
            &[0, 0, 0, 1, 0x61],
            &[0, 0, 0, 5, 0x63, b'w', b'h', b'o', 0],
            &[0, 0, 0, 4, 0x63, b'w', b'h', b'o', 0],
        ] {
            let read = block_on(ProbeCodec.read_request(&protocol(), &mut Cursor::new(bytes.to_vec())));
            assert!(read.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_longest_answer_fits() {
        let long = || "x".repeat(5000);
        let heard =
            Heard { interface: long(), heard: vec![long(); 50], deaf: Some(long()), mute: Some(long()), echo: true };
        let bytes = bytes(&Answer::Multicast(heard));
        let read = block_on(ProbeCodec.read_response(&protocol(), &mut Cursor::new(bytes))).unwrap();
        assert!(matches!(read, Answer::Multicast(heard) if heard.heard.len() == 4));
    }
}
