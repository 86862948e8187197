//! The library without a chat: a shopping list that a household shares, also while some of them are away.
//!
//! Nothing in a room is about chatting. It is a set of signed messages with one total order, the same for everybody, so
//! whatever is a function of a sequence of changes can be kept in one: here each message is a change, and the list is what
//! comes of them in the room's order. Two who change the same thing at once get the same list, as the order decides who was
//! last. That is state machine replication (Schneider, 1990) over a replicated log that needs no leader.
//!
//! Run with `cargo run --example shopping_list`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use distchat_examples::{connect, start, wait_for_agreement, wait_for_messages};
use distchat_node::{Node, Room};

/// A change of the list: so much of it is wanted, or nothing of it any more.
struct Want<'a>(&'a str, u32);

impl Want<'_> {
    /// As it is written into the room.
    fn to_text(&self) -> String {
        let Self(item, count) = self;
        format!("want {count} {item}")
    }

    /// What is none comes from another version of this program: everybody skips it, so all still have the same list.
    fn parse(text: &str) -> Option<Want<'_>> {
        let (count, item) = text.strip_prefix("want ")?.split_once(' ')?;
        Some(Want(item, count.parse().ok()?))
    }
}

/// The list: what is wanted, and how much of it.
type List = BTreeMap<String, u32>;

/// What comes of all changes, in the room's order. A program that has it for long keeps the list and goes on from
/// [`distchat_node::Event::Message`]; one that comes late (`late`) makes it begin anew from where it belongs.
async fn list(room: &Room) -> Result<List> {
    let mut list = List::new();
    for message in room.messages(10_000).await? {
        match Want::parse(&message.text) {
            Some(Want(item, 0)) => drop(list.remove(item)),
            Some(Want(item, count)) => drop(list.insert(item.to_owned(), count)),
            None => {}
        }
    }
    Ok(list)
}

async fn change(room: &Room, change: Want<'_>) -> Result<()> {
    // It is on this disk when that returns, whether or not anybody is there.
    room.broadcast(&change.to_text()).await?;
    Ok(())
}

async fn open(node: &Node) -> Result<Room> {
    Ok(node.open_room(&"shopping".parse()?).await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let (kitchen, phone) = (start("kitchen").await?, start("phone").await?);
    let (in_kitchen, on_phone) = (open(&kitchen).await?, open(&phone).await?);

    // Both are by themselves.
    change(&in_kitchen, Want("milk", 2)).await?;
    change(&in_kitchen, Want("bread", 1)).await?;
    change(&on_phone, Want("apples", 6)).await?;
    change(&on_phone, Want("milk", 1)).await?;
    println!("in the kitchen: {:?}", list(&in_kitchen).await?);
    println!("on the phone:   {:?}", list(&on_phone).await?);

    // They meet.
    connect(&kitchen, &phone).await?;
    wait_for_messages(&kitchen, &in_kitchen, 4).await?;
    wait_for_agreement([&kitchen, &phone], [&in_kitchen, &on_phone]).await?;
    let shared = list(&in_kitchen).await?;
    println!("on both:        {shared:?}");
    ensure!(shared == list(&on_phone).await?, "the lists differ");
    ensure!(shared.len() == 3, "something is not on the list");

    // Bread was bought.
    change(&on_phone, Want("bread", 0)).await?;
    wait_for_messages(&kitchen, &in_kitchen, 5).await?;
    wait_for_agreement([&kitchen, &phone], [&in_kitchen, &on_phone]).await?;
    let shared = list(&in_kitchen).await?;
    println!("after shopping: {shared:?}");
    ensure!(!shared.contains_key("bread") && shared == list(&on_phone).await?, "the lists differ");

    kitchen.shutdown().await;
    phone.shutdown().await;
    Ok(())
}
