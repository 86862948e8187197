use futures::{AsyncReadExt, AsyncWriteExt, executor::block_on};

use super::*;

/// Gives what is to come, and takes everything, a few bytes at a time.
struct Script {
    coming: Vec<u8>,
    at_once: usize,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.at_once.min(buf.len()).min(self.coming.len());
        buf[..count].copy_from_slice(&self.coming[..count]);
        self.coming.drain(..count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.at_once.min(buf.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection, whose bytes come so many at a time.
struct Wire(Frames<Script>);

impl Wire {
    fn cut(at_once: usize) -> Self {
        Self(Frames::new(Script { coming: Vec::new(), at_once }, Arc::default()))
    }

    fn whole() -> Self {
        Self::cut(usize::MAX)
    }

    /// What the other side sends, and what becomes of it.
    fn comes(&mut self, frames: &[Vec<u8>]) -> Result<(), Fault> {
        let bytes = frames.concat();
        self.0.io.coming.extend_from_slice(&bytes);
        let mut read = Vec::new();
        let result = block_on(self.0.read_to_end(&mut read));
        assert!(bytes.starts_with(&read), "it is changed");
        assert!(result.is_err() || read.len() == bytes.len());
        result.map(drop).map_err(|error| *error.get_ref().unwrap().downcast_ref().unwrap())
    }

    fn goes(&mut self, frames: &[Vec<u8>]) {
        block_on(self.0.write_all(&frames.concat())).unwrap();
    }

    fn counted(&self) -> u64 {
        self.0.counting.snapshot().bad_streams
    }
}

fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    [&[0, kind][..], &flags.to_be_bytes(), &stream.to_be_bytes(), &length.to_be_bytes()].concat()
}

/// A frame of that many bytes, which look like the end of some stream.
fn data(flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = frame(DATA, flags, stream, length);
    bytes.extend(frame(DATA, FIN, 1, 0).into_iter().cycle().take(length as usize));
    bytes
}

#[test]
fn what_is_behind_an_end_is_refused_however_it_is_cut() {
    for at_once in 1..50 {
        let mut wire = Wire::cut(at_once);
        let begun = [data(SYN, 1, 40), frame(2, SYN, 0, 7), data(SYN, 3, 5), data(0, 1, 99)];
        assert_eq!(wire.comes(&begun), Ok(()));
        assert_eq!(
            wire.comes(&[data(FIN, 1, 3), frame(WINDOW_UPDATE, 0, 1, 1000), data(0, 3, 10), data(FIN, 1, 0)]),
            Ok(())
        );
        assert_eq!(wire.comes(&[data(0, 1, 1)]), Err(Fault::Behind));
        assert_eq!(wire.comes(&[]), Err(Fault::Behind), "it stays ended");
        assert!(block_on(wire.0.write_all(&[0])).is_err());
        assert_eq!(wire.counted(), 1);
    }
}

#[test]
fn an_end_is_one_whoever_ends_first_and_whatever_tells_it() {
    for end in [
        data(FIN, 1, 0),
        data(FIN, 1, 9),
        frame(WINDOW_UPDATE, FIN, 1, 0),
        data(RST, 1, 0),
        frame(WINDOW_UPDATE, RST, 1, 0),
    ] {
        for first in [true, false] {
            let mut wire = Wire::whole();
            wire.comes(&[frame(WINDOW_UPDATE, SYN, 1, 0), data(0, 1, 9)]).unwrap();
            if first {
                wire.goes(&[data(FIN, 1, 0)]);
                assert_eq!(wire.comes(&[data(0, 1, 9)]), Ok(()), "only this side has ended");
            }
            wire.comes(std::slice::from_ref(&end)).unwrap();
            if !first {
                wire.goes(&[data(FIN, 1, 0)]);
            }
            assert!(wire.0.streams.open.is_empty());
            assert_eq!(wire.comes(&[data(0, 1, 1)]), Err(Fault::Behind));
        }
    }
    let mut wire = Wire::whole();
    assert_eq!(wire.comes(&[data(SYN | FIN, 1, 20), data(0, 1, 1)]), Err(Fault::Behind), "it may be the first frame");
}

#[test]
fn streams_of_this_side_are_no_others() {
    let mut wire = Wire::whole();
    wire.goes(&[data(SYN | FIN, 2, 50), frame(WINDOW_UPDATE, SYN, 4, 10)]);
    assert_eq!(wire.comes(&[data(2, 2, 9), data(FIN, 2, 9), data(0, 4, 9)]), Ok(()));
    assert_eq!(wire.0.streams.open.keys().collect::<Vec<_>>(), [&4]);
    assert_eq!(wire.comes(&[data(0, 2, 1)]), Err(Fault::Behind));
    assert_eq!(Wire::whole().comes(&[data(0, 2, 1)]), Err(Fault::Behind), "nobody has opened it");
}

#[test]
fn what_was_sent_before_a_reset_was_heard_of_is_in_order() {
    let mut wire = Wire::whole();
    wire.comes(&[data(SYN, 1, 9)]).unwrap();
    wire.goes(&[data(RST, 1, 0)]);
    assert_eq!(wire.comes(&[data(0, 1, 9), frame(WINDOW_UPDATE, 0, 1, 9), data(FIN, 1, 9)]), Ok(()));
    // That something ends which never was does no harm: a stream may be given up before anything is sent on it.
    assert_eq!(wire.comes(&[data(RST, 5, 0), data(FIN, 7, 0)]), Ok(()));
    for n in 0..10 * RESET as u32 {
        wire.comes(&[data(SYN, 2 * n + 9, 1)]).unwrap();
        wire.goes(&[data(RST, 2 * n + 9, 0)]);
        wire.goes(&[data(RST, 2 * n, 0)]);
    }
    assert_eq!(wire.0.streams.reset.len(), RESET);
}

#[test]
fn streams_that_do_not_end_are_bounded_whoever_opened_them() {
    let opened = |count: u32| -> Vec<_> { (0..count).map(|n| data(SYN, 2 * n + 1, 1)).collect() };
    let mut wire = Wire::whole();
    assert_eq!(wire.comes(&opened(OPEN as u32)), Ok(()));
    wire.goes(&[data(SYN, 2, 1)]);
    assert_eq!(wire.comes(&[]), Err(Fault::TooMany));
    assert_eq!(Wire::whole().comes(&opened(OPEN as u32 + 1)), Err(Fault::TooMany));
    let mut wire = Wire::whole();
    for n in 0..10 * OPEN as u32 {
        wire.comes(&[data(SYN, 2 * n + 1, 1)]).unwrap();
        wire.goes(&[data(FIN, 2 * n + 1, 1)]);
        wire.comes(&[data(FIN, 2 * n + 1, 1)]).unwrap();
    }
    assert!(wire.0.streams.open.is_empty());
}

#[test]
fn a_stream_is_not_brought_in_crumbs() {
    let crumbs = |count: u32| -> Vec<_> { (0..count).map(|_| data(0, 1, 1)).collect() };
    let mut wire = Wire::whole();
    wire.comes(&[data(SYN, 1, 0)]).unwrap();
    wire.comes(&crumbs(PIECES)).unwrap();
    wire.goes(&[frame(WINDOW_UPDATE, 0, 1, 100)]);
    assert_eq!(wire.comes(&crumbs(PIECES)), Ok(()), "what was read counts no more");
    assert_eq!(wire.comes(&crumbs(1)), Err(Fault::Crumbs));
}

#[test]
fn no_frame_is_longer_than_a_window() {
    let mut wire = Wire::whole();
    assert_eq!(wire.comes(&[data(SYN, 1, WINDOW)]), Ok(()));
    assert_eq!(wire.comes(&[frame(DATA, SYN, 3, WINDOW + 1)]), Err(Fault::TooLong));
}

#[test]
fn what_yamux_objects_to_ends_the_connection() {
    let mut wire = Wire::whole();
    wire.goes(&[frame(GO_AWAY, 0, 0, 0)]);
    assert_eq!(wire.comes(&[data(SYN, 1, 1)]), Ok(()), "this side goes in good order");
    wire.goes(&[frame(GO_AWAY, 0, 0, 1)]);
    assert_eq!((wire.comes(&[data(0, 1, 1)]), wire.counted()), (Err(Fault::Unruly), 1));
}
