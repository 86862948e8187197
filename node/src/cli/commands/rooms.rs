//! `distchat rooms`: the rooms there are.

use clap::Args;

use super::Desk;
use crate::cli::Failure;
use crate::cli::report::Report;

/// List the rooms.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rooms {}

impl Rooms {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let rooms = desk.client.rooms();
        desk.say(&Report::Rooms { rooms, current: None }).await
    }
}
