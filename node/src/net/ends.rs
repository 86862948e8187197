//! Ends of TCP connections that lead nowhere any more, where this node knows it before the system does.
//!
//! A system keeps a connection whose own address has gone, and one to an address where nobody is any more, until its
//! timeouts are over. Closing it in good order takes as long, for what is left to send waits, too. So its stream is told,
//! and fails.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// All the connections. There are no more than admission allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends(Arc<Mutex<Vec<End>>>);

#[derive(Debug)]
struct End {
    local: IpAddr,
    remote: SocketAddr,
    lifeline: Weak<CancellationToken>,
}

/// What a stream hangs on.
#[derive(Debug)]
pub(super) struct Lifeline {
    _token: Arc<CancellationToken>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Ends {
    /// Takes note of a stream between these.
    pub(super) fn note(&self, local: IpAddr, remote: SocketAddr) -> Lifeline {
        let token = Arc::new(CancellationToken::new());
        let cut = Box::pin((*token).clone().cancelled_owned());
        // Nothing panics under the lock, and a list of ends is whole in any case.
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|end| end.lifeline.strong_count() > 0);
        ends.push(End { local, remote, lifeline: Arc::downgrade(&token) });
        Lifeline { _token: token, cut }
    }

    /// This machine no longer has that address.
    pub(super) fn cut_from(&self, local: IpAddr) {
        self.cut(|end| end.local == local);
    }

    /// Whoever was at that address is elsewhere now.
    pub(super) fn cut_to(&self, remote: SocketAddr) {
        self.cut(|end| end.remote == remote);
    }

    fn cut(&self, which: impl Fn(&End) -> bool) {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = ends.iter().filter(|end| which(end)).filter_map(|end| end.lifeline.upgrade());
        cut.for_each(|token| token.cancel());
    }
}

impl Lifeline {
    /// Ready once the stream is to fail.
    pub(super) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.cut.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::poll_fn};

    use super::*;

    #[tokio::test]
    async fn those_that_lead_nowhere_are_cut_and_no_others() {
        let ends = Ends::default();
        let ip = |n| IpAddr::from([10, 0, 0, n]);
        let mut lifelines: Vec<_> =
            [(1, 2, 1), (1, 3, 1), (9, 2, 2)].map(|(l, r, port)| ends.note(ip(l), (ip(r), port).into())).into();
        let mut cut = || -> Vec<bool> {
            lifelines.iter_mut().map(|line| poll_fn(|cx| line.poll_cut(cx)).now_or_never().is_some()).collect()
        };
        ends.cut_to((ip(2), 7).into());
        assert_eq!(cut(), [false, false, false]);
        ends.cut_to((ip(2), 2).into());
        assert_eq!(cut(), [false, false, true]);
        ends.cut_from(ip(1));
        assert_eq!(cut(), [true, true, true]);
        drop(lifelines);
        let _last = ends.note(ip(1), (ip(2), 1).into());
        assert_eq!(ends.0.lock().unwrap().len(), 1);
    }
}
