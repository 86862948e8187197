//! `distchat peers`: the nodes that are connected.

use clap::Args;

use super::Desk;
use crate::cli::Failure;
use crate::cli::report::Report;
use crate::cli::session;

/// List the nodes that are connected.
///
/// Where no node runs, one is started for this, which looks around for as long as --linger says. Who somebody is, is known
/// where both are in a room.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peers {}

impl Peers {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        if desk.client.attached_to().is_none() {
            session::open(desk.client.clone(), desk.args.rooms.clone()).await;
        }
        desk.look_around().await;
        let (peers, listen) = (desk.client.peers(), desk.client.listeners());
        desk.say(&Report::Peers { peers, listen }).await
    }
}
