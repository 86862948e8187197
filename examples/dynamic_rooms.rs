//! Rooms are opened and left at any time, each runs by itself, and what is said in one is not heard in another.
//!
//! In the Elixir original: `DistributedChat.start_chat_room("general")`, a `DynamicSupervisor` and a `Registry`.
//!
//! Run with `cargo run --example dynamic_rooms`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Result, ensure};
use distchat_examples::start;
use distchat_node::RoomName;

#[tokio::main]
async fn main() -> Result<()> {
    let alice = start("alice").await?;
    let names: Vec<RoomName> =
        ["general", "rust", "cooking"].iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    for name in &names {
        let room = alice.open_room(name).await?;
        room.broadcast(&format!("this is {name}")).await?;
    }

    println!("open rooms:");
    for info in alice.rooms() {
        println!(
            "  {:10} {} messages, fingerprint {}",
            info.name.to_string(),
            info.messages,
            info.fingerprint.grouped()
        );
    }
    ensure!(alice.rooms().len() == 3, "three rooms are open");

    // The registry finds a room by its name, however it is typed.
    let rust = alice.open_room(&" RUST ".parse()?).await?;
    ensure!(rust.name().as_str() == "rust" && alice.rooms().len() == 3, "one room has one name");

    for name in &names {
        let room = alice.open_room(name).await?;
        let texts: Vec<String> = room.messages(50).await?.into_iter().map(|message| message.text).collect();
        println!("{name}: {texts:?}");
        ensure!(texts == [format!("this is {name}")], "a room holds its own messages and no others");
    }

    alice.leave_room(&names[2]).await?;
    ensure!(alice.rooms().len() == 2, "a room was left");
    let again = alice.open_room(&names[2]).await?;
    println!("left and opened again, `{}` still holds {} message", again.name(), again.messages(50).await?.len());
    ensure!(again.messages(50).await?.len() == 1, "its history stayed");
    alice.shutdown().await;
    Ok(())
}
