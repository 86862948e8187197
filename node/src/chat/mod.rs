//! The chat on a terminal, full screen: which knows the library by what [`crate::attach`] makes of it alone: a node, rooms and events.
//!
//! [`app`] is what the chat is: a state machine that takes what happens ([`events`], [`keys`], [`typed`]) and says what is to
//! be done ([`effects`], and what comes of them, [`done`]). [`transcript`] is the part of the history that is at hand,
//! [`page`] what of it is on the screen, [`lines`] how a message looks, [`mod@draw`] where everything is. [`screen`] and
//! [`keyboard`] are the terminal, [`backend`] how it is written to; [`driver`] is the loop that joins them all.

mod app;
mod backend;
mod completion;
mod disks;
mod done;
mod draw;
mod driver;
mod editor;
mod effects;
mod events;
mod gate;
mod history;
mod keyboard;
mod keys;
mod lines;
mod log;
mod memory;
mod names;
mod notices;
pub(crate) mod notify;
mod page;
mod popup;
mod room;
mod rooms;
pub(crate) mod screen;
mod status;
#[cfg(test)]
mod tests;
pub(crate) mod theme;
mod transcript;
mod typed;
mod wrap;

use std::path::Path;

use tokio::sync::mpsc;

use self::app::App;
use self::driver::Chat;
use self::keyboard::Keyboard;
use self::log::LogFile;
use self::memory::Memory;
use self::screen::Screen;
use self::theme::{Ground, Theme};
use crate::attach::Client;
use crate::cli::Failure;
use crate::cli::args::Args;
use crate::cli::clock::Clock;
use crate::cli::session;
use crate::cli::signals::Signals;

/// Runs the chat until its user leaves.
pub(crate) async fn run(
    node: Client,
    args: &Args,
    signals: Signals,
    logs: Option<mpsc::Receiver<String>>,
) -> Result<(), Failure> {
    let failed =
        |error| Failure::unexpected(format!("the terminal cannot be used: {error}; without one, `| cat` helps"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let ground = if plain { Ground::None } else { args.theme };
    let mut app = App::new(node.author(), Theme::new(ground), Clock::local());
    if let Some(text) = session::guest(&node, args) {
        app.notice(&text, false);
    }
    let (memory, log) = remembered(&node, &mut app).await;
    let terminal = Screen::open(!args.no_mouse).and_then(|screen| Ok((screen, Keyboard::open()?)));
    let terminal = match terminal {
        Ok(terminal) => terminal,
        Err(error) => {
            node.shutdown().await;
            return Err(failed(error));
        }
    };
    let mut chat = Chat::new(node, app, terminal, signals, memory, args).await;
    chat.log(logs, log);
    chat.run(args.rooms.clone()).await.map_err(failed)
}

/// What a former run remembered, which the chat goes on from, and the log's file. What is wrong with either is told.
async fn remembered(node: &Client, app: &mut App) -> (Memory, Option<LogFile>) {
    let Some(directory) = node.directory().map(Path::to_owned) else { return (Memory::default(), None) };
    let opened = tokio::task::spawn_blocking(move || (Memory::read(&directory), LogFile::open(&directory))).await;
    let Ok((memory, log)) = opened else { return (Memory::default(), None) };
    let memory = memory.unwrap_or_else(|problem| {
        app.notice(&problem, true);
        Memory::default()
    });
    app.remember(memory.clone());
    let log = log.map_err(|error| app.notice(&format!("there is no log: its file cannot be written ({error})"), true));
    (memory, log.ok())
}
