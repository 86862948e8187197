//! Where a command works: the node, and the way to its user.

use std::time::Duration;

use distchat_node::RoomName;

use crate::attach::{Client, Room};
use crate::cli::Failure;
use crate::cli::args::Args;
use crate::cli::front::Front;
use crate::cli::output::Closed;
use crate::cli::report::Report;
use crate::cli::session;

/// A command's place.
pub(crate) struct Desk {
    pub(crate) client: Client,
    pub(crate) args: Args,
    pub(super) front: Front,
}

impl Desk {
    pub(crate) fn new(client: Client, args: Args, front: Front) -> Self {
        Self { client, args, front }
    }

    /// Tells the user something, and waits until it is on its way: what is read at the pace of a reader is made at that pace.
    pub(super) async fn say(&mut self, report: &Report) -> Result<(), Failure> {
        self.tell(report).await.map_err(ended_by)
    }

    /// The same, for a command that does more than to be read: it goes on though nobody reads.
    pub(super) async fn mention(&mut self, report: &Report) -> Result<(), Failure> {
        match self.tell(report).await {
            Err(Closed::ByReader) => {
                // There may be much more of it to come.
                self.front.stdout.forget();
                Ok(())
            }
            told => told.map_err(ended_by),
        }
    }

    async fn tell(&mut self, report: &Report) -> Result<(), Closed> {
        self.front.say(report);
        while self.front.stdout.is_pending() {
            self.front.stdout.send().await?;
        }
        Ok(())
    }

    /// Tells what a person should know about the profile. Whoever has started its node was told.
    pub(crate) async fn warn(&mut self) -> Result<(), Failure> {
        if self.client.attached_to().is_none() {
            for message in self.client.warnings() {
                self.mention(&Report::Error { code: "profile".into(), message }).await?;
            }
        }
        Ok(())
    }

    /// Opens a room, and has the user go by the name that was asked for.
    pub(super) async fn open(&mut self, name: &RoomName) -> Result<Room, Failure> {
        let room = self.client.open_room(name).await?;
        // A node that was started for this knows the name already.
        if let Some(nick) = self.args.nick.clone()
            && self.client.attached_to().is_some()
        {
            room.set_nick(&nick).await?;
        }
        Ok(room)
    }

    /// Opens a room that there is something of already: asked for another one, there is nothing to read.
    pub(super) async fn open_stored(&mut self, name: &RoomName) -> Result<Room, Failure> {
        let stored = self.client.stored_rooms().await?;
        if !stored.iter().any(|room| room.name == *name) {
            let message =
                format!("there is nothing here of a room {name}: `distchat rooms` lists those that there are");
            self.say(&Report::Error { code: "no-such-room".into(), message }).await?;
            return Err(Failure::nothing());
        }
        self.open(name).await
    }

    /// Gives others the time to take what was said, if the node ends with this command.
    pub(super) async fn linger(&self) {
        if self.client.attached_to().is_none() {
            // Either way it is on the disk, and goes out when this profile runs again.
            let _ = tokio::time::timeout(self.args.linger, session::delivered(self.client.clone())).await;
        }
    }

    /// Gives a node that was started for this the time to find others, unless it has found some.
    pub(super) async fn look_around(&self) {
        const LOOK: Duration = Duration::from_millis(50);
        if self.client.attached_to().is_none() {
            let found = async {
                while self.client.peers().is_empty() {
                    tokio::time::sleep(LOOK).await;
                }
                // The others answer at about the same time.
                tokio::time::sleep(self.args.linger.min(Duration::from_secs(1))).await;
            };
            let _ = tokio::time::timeout(self.args.linger, found).await;
        }
    }

    /// Ends: the node stops if it is this process's own, and all that was said is written.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        self.client.shutdown().await;
        self.front.stdout.finish().await.map_err(ended_by)
    }
}

/// What it means for a command that nobody can be written to.
fn ended_by(closed: Closed) -> Failure {
    match closed {
        Closed::ByReader => Failure::unread(),
        Closed::Failed(error) => Failure::unexpected(format!("stdout cannot be written to: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::{ErrorKind, Write};

    use distchat_node::Config;

    use super::*;
    use crate::attach::Face;
    use crate::cli::UNCONFIRMED;
    use crate::cli::args;
    use crate::cli::diagnostics::Diagnostics;
    use crate::cli::front::View;
    use crate::cli::output::Output;
    use crate::cli::testing::room_name;

    /// A pipe whose reader has gone.
    struct Unread;

    impl Write for Unread {
        fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A command, and where it works: nobody reads what it says.
    async fn unread(line: &str) -> (Desk, crate::cli::commands::Verb) {
        let line = line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let args = args::of(&args::parse(&line).unwrap()).unwrap();
        let verb = args.verb.clone().unwrap();
        let config = Config { memory: true, offline: true, ..Config::default() };
        let client = Client::start(config, Face::Command).await.unwrap();
        let mut front = Front::to(Output::to(Unread), View::Json, Diagnostics::kept(1).0);
        front.stdout.push("somebody reads this, and goes");
        front.stdout.finish().await.unwrap_err();
        front.stdout.forget();
        (Desk::new(client, args, front), verb)
    }

    #[tokio::test]
    async fn what_is_said_is_waited_for_though_nobody_reads_about_it() {
        let (mut desk, verb) = unread("distchat --json send general --wait 1 --timeout 0.01 hello").await;
        let failure = verb.run(&mut desk).await.unwrap_err();
        assert_eq!(failure.code, UNCONFIRMED, "{failure:?}");
        let room = desk.client.open_room(&room_name("general")).await.unwrap();
        assert_eq!(room.messages(10).await.unwrap().len(), 1);
        assert!(!desk.front.stdout.is_pending());
        assert_eq!(desk.close().await.unwrap_err().code, 0);
    }

    #[tokio::test]
    async fn a_history_is_judged_to_its_end_though_nobody_reads_about_it() {
        let (mut desk, verb) = unread("distchat --json verify").await;
        desk.client.open_room(&room_name("general")).await.unwrap().broadcast("hello").await.unwrap();
        verb.run(&mut desk).await.unwrap();
        desk.client.shutdown().await;
    }
}
