//! The questions of one who is attached that have no answer yet.
//!
//! Each goes on in a task of its own. One that waits for its turn holds a place that the other programs wait for, too, so it
//! must come on however slowly its own program reads; and what was begun is done, whoever leaves. One that crashes, at whatever
//! point, is answered so, and nobody else notices.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::task::{Id, JoinSet};

use super::perform::{Seat, perform};
use super::problem::Problem;
use super::wire::{Answer, Asked};

/// What came of the question of that number.
pub(super) type Answered = (u64, Result<Answer, Problem>);

/// How much of what a crash says is passed on, in characters.
const LONGEST: usize = 300;

type Doing = JoinSet<Result<Answer, Problem>>;

/// The questions under way. Whoever takes them up bounds how many there are.
#[derive(Debug)]
pub(super) struct Questions {
    seat: Arc<Seat>,
    /// Those that change something.
    changing: Doing,
    /// Those of which nothing but the answer comes.
    looking: Doing,
    /// Their numbers.
    numbers: HashMap<Id, u64>,
}

impl Questions {
    pub(super) fn new(seat: Seat) -> Self {
        Self { seat: Arc::new(seat), changing: JoinSet::new(), looking: JoinSet::new(), numbers: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Begins, after those that were taken up before; what is answered at once is answered here.
    pub(super) fn take_up(&mut self, Asked { id, request }: Asked) -> Option<Answered> {
        let doing = if request.only_looks() { &mut self.looking } else { &mut self.changing };
        let seat = Arc::clone(&self.seat);
        let performing = async move { perform(&seat, request).await };
        // What it shares with the others outlasts the crash of any task.
        let performing = AssertUnwindSafe(performing).catch_unwind();
        let mut performing = performing.map(|done| done.unwrap_or_else(|panic| Err(crashed(text_of(&*panic))))).boxed();
        // Polled here, for that is what gives it its place among the others. Out of tokio's co-operative budget, which may turn
        // a first poll away before the room has seen it, and so let the next one pass.
        if let Some(result) = tokio::task::unconstrained(&mut performing).now_or_never() {
            return Some((id, result));
        }
        self.numbers.insert(doing.spawn(performing).id(), id);
        None
    }

    /// The next one that is answered; waits for ever if there is none. Can be dropped while it waits.
    pub(super) async fn next(&mut self) -> Answered {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.changing.join_next_with_id() => ended,
                Some(ended) = self.looking.join_next_with_id() => ended,
                else => std::future::pending().await,
            };
            let (task, result) = match ended {
                Ok((task, result)) => (task, result),
                Err(error) => (error.id(), Err(crashed(&error.to_string()))),
            };
            if let Some(id) = self.numbers.remove(&task) {
                return (id, result);
            }
        }
    }

    /// Nobody waits for the answers any more: does what there is to do, and looks no further.
    pub(super) async fn finish(mut self) {
        self.looking.abort_all();
        while let Some(ended) = self.changing.join_next().await {
            if let Err(error) = ended {
                crashed(&error.to_string());
            }
        }
    }
}

/// A question at which the node itself failed.
fn crashed(what: &str) -> Problem {
    tracing::error!(what, "a question of somebody who is attached crashed");
    let what: String = what.chars().take(LONGEST).collect();
    Problem::new("crashed", format!("the node crashed over this ({what}), which is a fault of ours: its log says more"))
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it does not say why")
}
