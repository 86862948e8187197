//! Frames of sync, as they are read from a stream.

use std::sync::LazyLock;

use distchat_crdt::sync::{MAX_FRAME, Request, Response};
use futures::{FutureExt, io::Cursor};
use libp2p::request_response::Codec as _;

use tokio::runtime::{Builder, Runtime};

use crate::codec::{Codec, decode, encode, protocol};

/// Reading has time limits, and these need somebody who keeps time.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing but memory"));

/// What is read is written as something that is read as the same.
pub(super) fn run(bytes: &[u8]) {
    if let Ok(request) = decode::<Request>(bytes) {
        let again = encode(&request).expect("what came in can go out");
        assert!(again.len() <= MAX_FRAME + 4);
        assert_eq!(decode::<Request>(&again[4..]).expect("an own frame"), request);
    }
    if let Ok(response) = decode::<Response>(bytes) {
        let again = encode(&response).expect("what came in can go out");
        assert_eq!(decode::<Response>(&again[4..]).expect("an own frame"), response);
    }
    // With a length in front, which may be a lie.
    let _inside = RUNTIME.enter();
    let mut codec = Codec::default();
    let _ = codec.read_request(&protocol(), &mut Cursor::new(bytes)).now_or_never().expect("it waits for nobody");
    let _ = codec.read_response(&protocol(), &mut Cursor::new(bytes)).now_or_never().expect("it waits for nobody");
}
