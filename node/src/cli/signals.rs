//! Being asked to end from outside.

#[cfg(not(unix))]
pub(crate) use other::Signals;
#[cfg(unix)]
pub(crate) use unix::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// The signals that end the program.
    pub(crate) struct Signals {
        interrupt: Signal,
        terminate: Signal,
        hangup: Option<Signal>,
        quit: Option<Signal>,
    }

    impl Signals {
        /// Takes them over from the system's default. The loss of the terminal counts only for a chat in one: a
        /// program started with `nohup` is meant to survive it.
        pub(crate) fn listen(terminal: bool) -> std::io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: if terminal { Some(signal(SignalKind::hangup())?) } else { None },
                // Its default would leave the terminal as it is.
                quit: if terminal { Some(signal(SignalKind::quit())?) } else { None },
            })
        }

        /// Waits for the next.
        pub(crate) async fn recv(&mut self) {
            async fn perhaps(signal: &mut Option<Signal>) -> Option<()> {
                match signal {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            }
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = perhaps(&mut self.hangup) => {}
                _ = perhaps(&mut self.quit) => {}
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    /// What ends the program.
    pub(crate) struct Signals;

    impl Signals {
        /// There is nothing to set up.
        pub(crate) fn listen(_terminal: bool) -> std::io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next.
        pub(crate) async fn recv(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
