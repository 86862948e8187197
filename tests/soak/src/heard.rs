//! One line of what the program says with `--json`, as far as it matters here.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;

use crate::ledger::Id;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<'a> {
    Ready {
        address: Option<SocketAddr>,
    },
    Room {
        room: &'a str,
        state: &'a str,
    },
    Message {
        room: &'a str,
        id: Id,
        own: bool,
        text: Cow<'a, str>,
    },
    /// The open rooms with how many messages they hold.
    Rooms(Vec<(String, u64)>),
    Counters(BTreeMap<String, u64>),
    Fingerprint {
        room: String,
        messages: u64,
        fingerprint: String,
    },
    Error {
        code: String,
        message: String,
    },
    Other,
    /// It is no event.
    Broken,
}

/// What all of them have, with the fields that lines of the frequent kinds have. Names of rooms here need no escapes.
#[derive(Deserialize)]
struct Event<'a> {
    event: &'a str,
    #[serde(default)]
    room: Option<&'a str>,
    #[serde(default)]
    id: Option<&'a str>,
    #[serde(default)]
    own: bool,
    #[serde(default, borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    state: Option<&'a str>,
}

#[derive(Deserialize)]
struct Ready {
    listen: Vec<String>,
}

#[derive(Deserialize)]
struct Rooms {
    rooms: Vec<RoomRow>,
}

#[derive(Deserialize)]
struct RoomRow {
    room: String,
    messages: u64,
}

#[derive(Deserialize)]
struct Fingerprint {
    room: String,
    messages: u64,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
}

/// Reads a line.
pub(crate) fn read(line: &[u8]) -> Line<'_> {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else { return Line::Broken };
    match event.event {
        "message" => message(&event).unwrap_or(Line::Broken),
        "room" => match (event.room, event.state) {
            (Some(room), Some(state)) => Line::Room { room, state },
            _ => Line::Broken,
        },
        "ready" => parsed(line, |ready: Ready| Line::Ready { address: tcp(&ready.listen) }),
        "rooms" => parsed(line, |Rooms { rooms }| {
            Line::Rooms(rooms.into_iter().map(|RoomRow { room, messages }| (room, messages)).collect())
        }),
        "counters" => parsed(line, |mut all: BTreeMap<String, serde_json::Value>| {
            all.remove("event");
            Line::Counters(all.into_iter().filter_map(|(name, count)| Some((name, count.as_u64()?))).collect())
        }),
        "fingerprint" => parsed(line, |Fingerprint { room, messages, fingerprint }| Line::Fingerprint {
            room,
            messages,
            fingerprint,
        }),
        "error" => parsed(line, |Error { code, message }| Line::Error { code, message }),
        _ => Line::Other,
    }
}

fn parsed<'a, T: for<'b> Deserialize<'b>>(line: &[u8], make: impl FnOnce(T) -> Line<'a>) -> Line<'a> {
    serde_json::from_slice(line).map_or(Line::Broken, make)
}

fn message<'a>(event: &Event<'a>) -> Option<Line<'a>> {
    let id = HEXLOWER_PERMISSIVE.decode(event.id?.as_bytes()).ok()?.try_into().ok()?;
    Some(Line::Message { room: event.room?, id, own: event.own, text: event.text.clone()? })
}

/// Where others reach it by TCP.
fn tcp(listen: &[String]) -> Option<SocketAddr> {
    let address = |address: &String| {
        let mut parts = address.split('/').skip(1);
        let (family, ip, protocol, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let address: SocketAddr = format!("{ip}:{port}").parse().ok()?;
        (family == "ip4" && protocol == "tcp" && !address.ip().is_loopback()).then_some(address)
    };
    listen.iter().find_map(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let id = "0a".repeat(32);
        let message = format!(
            r#"{{"event":"message","room":"r","id":"{id}","author":"07","seq":1,"text":"a \"b\"","own":true,"late":false}}"#
        );
        assert_eq!(
            read(message.as_bytes()),
            Line::Message { room: "r", id: [10; 32], own: true, text: "a \"b\"".into() }
        );
        let ready =
            br#"{"event":"ready","author":"07","listen":["/ip4/127.0.0.1/tcp/1/p2p/x","/ip4/10.77.0.1/udp/2/quic-v1",
            "/ip4/10.77.0.1/tcp/3/p2p/x"]}"#;
        assert_eq!(read(ready), Line::Ready { address: "10.77.0.1:3".parse().ok() });
        assert_eq!(
            read(br#"{"event":"room","room":"r","messages":1,"fingerprint":"00","state":"open"}"#),
            Line::Room { room: "r", state: "open" }
        );
        assert_eq!(
            read(br#"{"event":"rooms","rooms":[{"room":"r","messages":9,"peers":2,"state":"open"}]}"#),
            Line::Rooms(vec![("r".to_owned(), 9)])
        );
        assert_eq!(
            read(br#"{"event":"counters","gossip_received":5,"busy":0}"#),
            Line::Counters(BTreeMap::from([("busy".to_owned(), 0), ("gossip_received".to_owned(), 5)]))
        );
        assert_eq!(read(br#"{"event":"peer","peer_id":"x","state":"connected"}"#), Line::Other);
        assert_eq!(read(b"thread 'main' panicked"), Line::Broken);
        assert_eq!(read(br#"{"event":"message","room":"r"}"#), Line::Broken);
    }
}
