//! `distchat rooms`: the rooms there are.

use std::collections::BTreeMap;

use clap::Args;
use distchat_node::{RoomInfo, RoomName};

use super::Desk;
use crate::cli::Failure;
use crate::cli::report::{Report, Row};

/// How many rooms of others are listed at most.
const SEEN: usize = 200;

/// List the rooms of this profile, and those that others on the network are in.
///
/// Where no node runs, one is started for this, which looks around for as long as --linger says. The names of rooms are not
/// told on the network: one that this profile does not know is listed by the first digits of what it is called there.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rooms {}

impl Rooms {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        desk.look_around().await;
        let open = desk.client.rooms();
        let open: BTreeMap<&RoomName, &RoomInfo> = open.iter().map(|info| (&info.name, info)).collect();
        let mut rows: Vec<Row> = desk
            .client
            .stored_rooms()
            .await?
            .into_iter()
            .map(|stored| Row {
                messages: open.get(&stored.name).map_or(stored.messages, |info| info.messages),
                state: open.get(&stored.name).map(|info| info.state),
                name: Some(stored.name),
                topic: None,
                peers: 0,
            })
            .collect();
        for seen in desk.client.seen_rooms(SEEN).await? {
            match rows.iter_mut().find(|row| row.name.is_some() && row.name == seen.name) {
                Some(row) => row.peers = seen.peers,
                None => rows.push(Row {
                    name: seen.name,
                    topic: Some(seen.topic),
                    messages: 0,
                    peers: seen.peers,
                    state: None,
                }),
            }
        }
        desk.say(&Report::Catalogue { rooms: rows }).await
    }
}
