//! `distchat send`: saying something from a script.

use std::time::Duration;

use clap::Args;
use distchat_node::{MAX_BODY, Message, RoomName};

use super::Desk;
use crate::attach::Room;
use crate::cli::input::{Input, Stdin};
use crate::cli::report::Report;
use crate::cli::{Failure, args};

/// Say something in a room.
///
/// Once this has ended with 0 it is on this machine's disk, and with --wait N on those of N others, by their own word.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Send {
    /// Where to say it
    #[arg(value_name = "ROOM", value_parser = RoomName::parse)]
    target: RoomName,

    /// What to say, behind `--` if it begins with a dash; without it, what comes on stdin is one message
    #[arg(value_name = "TEXT")]
    text: Vec<String>,

    /// Each line of stdin is a message
    #[arg(long, conflicts_with = "text")]
    lines: bool,

    /// Wait until so many other nodes have it on disk
    #[arg(long, value_name = "N", default_value_t = 0)]
    wait: usize,

    /// Give up waiting after so long, and end with 7
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = args::seconds)]
    timeout: Duration,
}

impl Send {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let room = desk.open(&self.target).await?;
        let mut said = Vec::new();
        if !self.text.is_empty() {
            said.push(self.say(desk, &room, &self.text.join(" ")).await?);
        } else {
            self.say_stdin(desk, &room, &mut said).await?;
        }
        if self.wait > 0 {
            return self.wait(desk, &room, &said).await;
        }
        desk.linger().await;
        Ok(())
    }

    async fn say(&self, desk: &mut Desk, room: &Room, text: &str) -> Result<Message, Failure> {
        let message = room.broadcast(text).await?;
        desk.mention(&Report::Said { room: self.target.clone(), message: message.clone() }).await?;
        Ok(message)
    }

    /// Says what comes on stdin, as far as it can be said.
    async fn say_stdin(&self, desk: &mut Desk, room: &Room, said: &mut Vec<Message>) -> Result<(), Failure> {
        let mut stdin =
            Stdin::start().map_err(|error| Failure::unexpected(format!("stdin cannot be read: {error}")))?;
        let mut text = String::new();
        while let Some(input) = stdin.next().await {
            let line = match input {
                Input::Line(line) => line,
                Input::Replaced => {
                    let message = "the input is not UTF-8: what could not be read was replaced by \u{fffd}".to_owned();
                    desk.mention(&Report::Error { code: "not-utf8".into(), message }).await?;
                    continue;
                }
                Input::TooLong(length) => return Err(too_long(length)),
                Input::Broken(message) => return Err(Failure::unexpected(message)),
            };
            if self.lines {
                if !line.is_empty() {
                    // Of all that was said an author's last one stands for those before.
                    said.clear();
                    said.push(self.say(desk, room, &line).await?);
                }
                continue;
            }
            if text.len() + line.len() > MAX_BODY {
                return Err(too_long(text.len() + line.len()));
            }
            text.push_str(&line);
            text.push('\n');
        }
        let text = text.trim_end_matches('\n');
        if !self.lines {
            said.push(self.say(desk, room, text).await?);
        }
        Ok(())
    }

    async fn wait(&self, desk: &mut Desk, room: &Room, said: &[Message]) -> Result<(), Failure> {
        let Some(last) = said.last() else { return Ok(()) };
        match tokio::time::timeout(self.timeout, room.on_disks(last.key, self.wait)).await {
            Ok(Ok(receipt)) => {
                let room = self.target.clone();
                desk.mention(&Report::OnDisks { room, message: last.id, receipt }).await
            }
            // The node has ended meanwhile, and there is no other.
            Ok(Err(problem)) => {
                Err(Failure::unconfirmed(format!("it is on this disk, and who else has it is not known: {problem}")))
            }
            Err(_) => {
                let receipts = room.receipts(&[last.key]).await?;
                let on = receipts.into_iter().flatten().next().map_or(0, |receipt| receipt.on.len());
                let (waited, wanted) = (self.timeout.as_secs_f64(), self.wait);
                Err(Failure::unconfirmed(format!(
                    "after {waited} s it is on {on} other disks and not on {wanted}; it is on this one, and goes to the \
                     others when they meet this profile"
                )))
            }
        }
    }
}

fn too_long(length: usize) -> Failure {
    Failure::usage(format!(
        "the text has {length} bytes or more and can have {MAX_BODY} at most: send it in parts, such as with --lines"
    ))
}
