//! What the program does besides chatting: one command a file.
//!
//! Each is told where it is (a [`Desk`]) and talks through it; what it ends with becomes the exit code.

mod completions;
mod daemon;
mod desk;
mod doctor;
mod export;
mod history;
mod id;
mod import;
mod peers;
mod progress;
mod rooms;
mod search;
mod send;
mod span;
mod tail;
mod verify;

use clap::Subcommand;

pub(crate) use self::desk::Desk;
use super::Failure;
use crate::attach::Face;

/// What to do instead of chatting.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Verb {
    Send(send::Send),
    Tail(tail::Tail),
    History(history::History),
    Search(search::Search),
    Export(export::Export),
    Import(import::Import),
    /// Judge every byte of the histories anew
    Verify,
    Rooms(rooms::Rooms),
    Peers(peers::Peers),
    /// Print who you are, and where that is kept
    Id,
    /// Run a node without a face, for chats and commands to use
    Daemon,
    Doctor(doctor::Doctor),
    /// Print the options in force, and where they come from, as a file
    Config,
    Completions(completions::Completions),
    Man(completions::Man),
}

impl Verb {
    /// What needs no node: its answer.
    pub(super) fn answer(&self) -> Option<String> {
        match self {
            Self::Completions(completions) => Some(completions.text()),
            Self::Man(man) => Some(man.text()),
            _ => None,
        }
    }

    /// What the node that it starts is for.
    pub(super) fn face(&self) -> Face {
        if *self == Self::Daemon { Face::Daemon } else { Face::Command }
    }

    /// What it means that a signal has ended it.
    pub(super) fn interrupted(&self) -> Result<(), Failure> {
        match self {
            // These go on until they are ended.
            Self::Daemon | Self::Tail(_) => Ok(()),
            _ => Err(Failure::unexpected("it was interrupted before it was done".to_owned())),
        }
    }

    /// Does it.
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        match self {
            Self::Send(send) => send.run(desk).await,
            Self::Tail(tail) => tail.run(desk).await,
            Self::History(history) => history.run(desk).await,
            Self::Search(search) => search.run(desk).await,
            Self::Export(export) => export.run(desk).await,
            Self::Import(import) => import.run(desk).await,
            Self::Verify => verify::run(desk).await,
            Self::Rooms(rooms) => rooms.run(desk).await,
            Self::Peers(peers) => peers.run(desk).await,
            Self::Id => id::run(desk).await,
            Self::Daemon => daemon::run(desk).await,
            Self::Config | Self::Completions(_) | Self::Doctor(_) | Self::Man(_) => Ok(()),
        }
    }
}
