//! Reports as JSON, one object a line, for programs.

use distchat_node::{Counters, Event, Form, Imported, Message, RoomInfo, RoomName};
use serde::Serialize;

use super::command::HELP;
use super::report::{self, Line, Report, state};
use super::{clock, escape};
use crate::attach::{Judged, Wrong};

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Object<'a> {
    Ready {
        author: String,
        peer_id: String,
        name: &'a str,
        listen: Vec<String>,
    },
    Room {
        room: &'a str,
        messages: u64,
        fingerprint: String,
        state: &'static str,
    },
    Message(MessageObject<'a>),
    Peer {
        peer_id: String,
        author: Option<String>,
        state: &'static str,
        address: String,
    },
    Synced {
        room: &'a str,
        peer_id: String,
        received: u64,
        sent: u64,
        fingerprint: String,
    },
    Receipt {
        room: &'a str,
        author: String,
        /// The id of the last message that they have of what was said here.
        through: String,
    },
    Said(MessageObject<'a>),
    OnDisks {
        room: &'a str,
        id: String,
        /// The authors whose disks it is on, besides the own.
        on: Vec<String>,
        /// How many it could be on.
        of: usize,
    },
    Exported {
        room: &'a str,
        messages: u64,
        file: Option<&'a str>,
    },
    Imported {
        file: &'a str,
        /// How many were read, which is what the numbers of the rooms add up to.
        messages: u64,
        /// How many places of the file cannot be read.
        damaged: u64,
        /// Whether all is there that was written.
        whole: bool,
        rooms: Vec<ImportedObject<'a>>,
    },
    Store {
        problems: &'a [Wrong],
    },
    Verified(&'a Judged),
    Id {
        author: String,
        profile: &'a str,
        directory: Option<String>,
        /// That runs the node, if it is another one.
        process: Option<u32>,
    },
    History {
        room: &'a str,
        messages: Vec<MessageObject<'a>>,
    },
    Fingerprint {
        room: &'a str,
        messages: u64,
        fingerprint: String,
        missing: u64,
    },
    Peers {
        peers: Vec<PeerObject<'a>>,
    },
    Counters(&'a Counters),
    Found {
        messages: Vec<MessageObject<'a>>,
        /// How many messages of how many are indexed so far, if not all are.
        #[serde(skip_serializing_if = "Option::is_none")]
        indexed: Option<[u64; 2]>,
    },
    Members {
        room: &'a str,
        members: Vec<MemberObject<'a>>,
    },
    Rooms {
        rooms: Vec<RoomObject<'a>>,
    },
    /// The node that another process runs.
    Node {
        state: &'static str,
    },
    Error {
        code: &'a str,
        message: &'a str,
    },
}

#[derive(Serialize)]
struct MessageObject<'a> {
    room: &'a str,
    id: String,
    author: String,
    nick: &'a str,
    seq: u64,
    time: String,
    text: &'a str,
    own: bool,
    late: bool,
    future: bool,
    /// Of what is no plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<String>,
    /// How much later than it was written it came, if newer ones had been shown by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
}

#[derive(Serialize)]
struct PeerObject<'a> {
    peer_id: String,
    author: Option<String>,
    address: String,
    rooms: Vec<&'a str>,
    clock_offset_ms: Option<i64>,
}

#[derive(Serialize)]
struct MemberObject<'a> {
    author: String,
    nick: &'a str,
    online: bool,
    own: bool,
    forked: bool,
    messages: u64,
    missing: u64,
}

#[derive(Serialize)]
struct ImportedObject<'a> {
    room: &'a str,
    #[serde(flatten)]
    imported: &'a Imported,
}

#[derive(Serialize)]
struct RoomObject<'a> {
    /// None of one that this profile does not know.
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    messages: u64,
    peers: usize,
    state: &'static str,
}

fn message<'a>(room: &'a RoomName, message: &'a Message) -> MessageObject<'a> {
    MessageObject {
        room: room.as_str(),
        id: message.id.to_string(),
        author: message.author.to_string(),
        nick: &message.nick,
        seq: message.seq,
        time: clock::rfc3339(message.time.millis()),
        text: &message.text,
        own: message.own,
        late: message.late,
        future: message.future,
        form: match message.form {
            Form::Text => None,
            Form::Action => Some("action"),
            Form::Reply(_) => Some("reply"),
        },
        reply_to: if let Form::Reply(to) = message.form { Some(to.id.to_string()) } else { None },
        delay_ms: message.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn room(info: &RoomInfo) -> Object<'_> {
    Object::Room {
        room: info.name.as_str(),
        messages: info.messages,
        fingerprint: info.fingerprint.to_string(),
        state: state(&info.state),
    }
}

fn line(object: &Object<'_>) -> Line {
    let text = serde_json::to_string(object).map(escape::json);
    // There is nothing in these objects that could not be written.
    Line::Data(text.unwrap_or_else(|_| r#"{"event":"error","code":"json","message":"not representable"}"#.to_owned()))
}

/// Puts a report into JSON, on stdout; what is for people only goes to stderr.
pub(crate) fn render(report: &Report) -> Vec<Line> {
    let object = match report {
        Report::Ready { author, peer_id, name, listen } => Object::Ready {
            author: author.to_string(),
            peer_id: peer_id.clone(),
            name,
            listen: listen.iter().map(ToString::to_string).collect(),
        },
        Report::Event(event) => return of_event(event).into_iter().collect(),
        Report::Missing { .. } => return Vec::new(),
        Report::Gone => Object::Node { state: "gone" },
        Report::Back => Object::Node { state: "back" },
        Report::Message { room, message: one } => Object::Message(message(room, one)),
        Report::Said { room, message: one } => Object::Said(message(room, one)),
        Report::OnDisks { room, message, receipt } => Object::OnDisks {
            room: room.as_str(),
            id: message.to_string(),
            on: receipt.on.iter().map(ToString::to_string).collect(),
            of: receipt.of,
        },
        Report::Id { author, profile, directory, process } => Object::Id {
            author: author.to_string(),
            profile,
            directory: directory.as_ref().map(|directory| directory.display().to_string()),
            process: *process,
        },
        Report::Catalogue { rooms } => Object::Rooms {
            rooms: rooms
                .iter()
                .map(|row| RoomObject {
                    room: row.name.as_ref().map(RoomName::as_str),
                    topic: row.topic.as_deref(),
                    messages: row.messages,
                    peers: row.peers,
                    state: row.state.as_ref().map_or("closed", state),
                })
                .collect(),
        },
        Report::Imported { file, tally, rooms } => Object::Imported {
            file,
            messages: tally.messages,
            damaged: tally.damaged,
            whole: tally.is_whole(),
            rooms: rooms.iter().map(|(room, imported)| ImportedObject { room: room.as_str(), imported }).collect(),
        },
        Report::Exported { room, messages, file } => {
            Object::Exported { room: room.as_str(), messages: *messages, file: file.as_deref() }
        }
        Report::Damaged { problems } => Object::Store { problems },
        Report::Judged(judged) => Object::Verified(judged),
        Report::History { room, messages } => {
            Object::History { room: room.as_str(), messages: messages.iter().map(|each| message(room, each)).collect() }
        }
        Report::Fingerprint { room, info } => Object::Fingerprint {
            room: room.as_str(),
            messages: info.messages,
            fingerprint: info.fingerprint.to_string(),
            missing: info.missing,
        },
        Report::Peers { peers, .. } => Object::Peers {
            peers: peers
                .iter()
                .map(|peer| PeerObject {
                    peer_id: peer.peer_id.to_string(),
                    author: peer.author.map(|author| author.to_string()),
                    address: peer.address.to_string(),
                    rooms: peer.rooms.iter().map(RoomName::as_str).collect(),
                    clock_offset_ms: peer.clock_offset_ms,
                })
                .collect(),
        },
        Report::Counters(counters) => Object::Counters(counters),
        Report::Found(found) => Object::Found {
            messages: found.hits.iter().map(|hit| message(&hit.room, &hit.message)).collect(),
            indexed: found.indexing.map(|indexing| [indexing.done, indexing.of]),
        },
        Report::Members { room, members } => Object::Members {
            room: room.as_str(),
            members: members
                .iter()
                .map(|member| MemberObject {
                    author: member.author.to_string(),
                    nick: &member.nick,
                    online: member.online,
                    own: member.own,
                    forked: member.forked,
                    messages: member.messages,
                    missing: member.missing,
                })
                .collect(),
        },
        Report::Rooms { rooms, .. } => Object::Rooms {
            rooms: rooms
                .iter()
                .map(|room| RoomObject {
                    room: Some(room.name.as_str()),
                    topic: None,
                    messages: room.messages,
                    peers: room.peers,
                    state: state(&room.state),
                })
                .collect(),
        },
        Report::Switched(info) => room(info),
        Report::Help => {
            return HELP.iter().map(|(usage, what)| Line::Notice(format!("* {usage:16} {what}"))).collect();
        }
        Report::Notice(text) => return vec![Line::Notice(format!("* {}", escape::visible(text)))],
        Report::Error { code, message } => Object::Error { code, message },
    };
    vec![line(&object)]
}

/// `None` for what the objects that follow say anyway.
fn of_event(event: &Event) -> Option<Line> {
    let error = |code, message: &str| line(&Object::Error { code, message });
    Some(match event {
        // Programs that want more than texts are not there yet.
        Event::Named { .. } | Event::Reacted { .. } | Event::Topic { .. } => return None,
        Event::Room { room, messages, fingerprint, state: now } => line(&Object::Room {
            room: room.as_str(),
            messages: *messages,
            fingerprint: fingerprint.to_string(),
            state: state(now),
        }),
        Event::Receipt { room, author, through } => {
            line(&Object::Receipt { room: room.as_str(), author: author.to_string(), through: through.id.to_string() })
        }
        Event::Message { room, message: one } => line(&Object::Message(message(room, one))),
        Event::Peer { peer_id, author, connected, address } => line(&Object::Peer {
            peer_id: peer_id.to_string(),
            author: author.map(|author| author.to_string()),
            state: if *connected { "connected" } else { "disconnected" },
            address: address.to_string(),
        }),
        Event::Synced { room, peer_id, received, sent, fingerprint } => line(&Object::Synced {
            room: room.as_str(),
            peer_id: peer_id.to_string(),
            received: *received,
            sent: *sent,
            fingerprint: fingerprint.to_string(),
        }),
        Event::ClockOff { offset_ms } => error("clock-off", &report::clock_off(*offset_ms)),
        Event::Forked { room, author } => error("forked", &report::forked(room, &author.to_string())),
        Event::Lagged { missed } => error("lagged", &report::lagged(*missed)),
        Event::Warning { code, message } => error(code, message),
    })
}

#[cfg(test)]
mod tests {
    use distchat_node::RoomState;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::testing::{self, author, fingerprint, peer_id, room_name};

    /// What a report gives, as text, and as the value it means.
    #[track_caller]
    fn check(given: Report, expect: Value) {
        let lines = render(&given);
        let [Line::Data(text)] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(!text.contains('\n'));
        assert!(text.starts_with(&format!("{{\"event\":{}", expect["event"])), "{text}");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expect);
    }

    fn message_value() -> Value {
        json!({
            "room": "general", "id": "05".repeat(32), "author": "07".repeat(32), "nick": "ann", "seq": 5,
            "time": "2023-11-14T22:13:20.005Z", "text": "hello", "own": false, "late": false, "future": false
        })
    }

    #[test]
    fn events_have_the_documented_fields() {
        let room = room_name("general");
        let address: distchat_node::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let hex = "03".repeat(32);
        let mut expect = message_value();
        expect["event"] = json!("message");
        let message = testing::message(5, "ann", "hello");
        check(Report::Event(Event::Message { room: room.clone(), message: message.into() }), expect);
        let through = testing::message(5, "ann", "hello").key;
        check(
            Report::Event(Event::Receipt { room: room.clone(), author: author(7), through }),
            json!({"event": "receipt", "room": "general", "author": author(7).to_string(),
                   "through": through.id.to_string()}),
        );
        let (messages, fingerprint) = (9, fingerprint(3));
        for (state, word) in [
            (RoomState::Open, "open"),
            (RoomState::Restarted, "restarted"),
            (RoomState::Paused, "paused"),
            (RoomState::Failed, "failed"),
            (RoomState::Left, "left"),
        ] {
            check(
                Report::Event(Event::Room { room: room.clone(), messages, fingerprint, state }),
                json!({"event": "room", "room": "general", "messages": 9, "fingerprint": hex, "state": word}),
            );
        }
        let peer_id = peer_id(1);
        for (author, connected, word) in [(None, true, "connected"), (Some(author(7)), false, "disconnected")] {
            check(
                Report::Event(Event::Peer { peer_id, author, connected, address: address.clone() }),
                json!({"event": "peer", "peer_id": peer_id.to_string(), "author": author.map(|a| a.to_string()),
                       "state": word, "address": "/ip4/127.0.0.1/tcp/1"}),
            );
        }
        check(
            Report::Event(Event::Synced { room: room.clone(), peer_id, received: 2, sent: 1, fingerprint }),
            json!({"event": "synced", "room": "general", "peer_id": peer_id.to_string(), "received": 2, "sent": 1,
                   "fingerprint": hex}),
        );
        check(
            Report::Event(Event::Warning { code: "mdns".into(), message: "off".to_owned() }),
            json!({"event": "error", "code": "mdns", "message": "off"}),
        );
        for (event, code) in [
            (Event::ClockOff { offset_ms: -40_000 }, "clock-off"),
            (Event::Forked { room, author: author(7) }, "forked"),
            (Event::Lagged { missed: 7 }, "lagged"),
        ] {
            let Some(Line::Data(text)) = of_event(&event) else { panic!("{event:?}") };
            assert!(text.starts_with(&format!("{{\"event\":\"error\",\"code\":\"{code}\",\"message\":\"")), "{text}");
        }
    }

    #[test]
    fn answers_have_the_documented_fields() {
        let room = room_name("general");
        let address: distchat_node::Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let peer_id = peer_id(1);
        check(
            Report::Ready {
                author: author(7),
                peer_id: peer_id.to_string(),
                name: "n1".to_owned(),
                listen: vec![address.clone()],
            },
            json!({"event": "ready", "author": "07".repeat(32), "peer_id": peer_id.to_string(), "name": "n1",
                   "listen": ["/ip4/127.0.0.1/tcp/1"]}),
        );
        let messages = vec![testing::message(5, "ann", "hello")];
        check(
            Report::History { room: room.clone(), messages },
            json!({"event": "history", "room": "general", "messages": [message_value()]}),
        );
        check(
            Report::Fingerprint { room: room.clone(), info: testing::fingerprint_info(9, 3, 2) },
            json!({"event": "fingerprint", "room": "general", "messages": 9, "fingerprint": "03".repeat(32), "missing": 2}),
        );
        check(
            Report::Peers {
                peers: vec![testing::peer_info(1, None, Some(-5)), testing::peer_info(2, Some(7), None)],
                listen: vec![address],
            },
            json!({"event": "peers", "peers": [
                {"peer_id": peer_id.to_string(), "author": null, "address": "/ip4/127.0.0.1/tcp/1",
                 "rooms": ["general"], "clock_offset_ms": -5},
                {"peer_id": testing::peer_id(2).to_string(), "author": "07".repeat(32),
                 "address": "/ip4/127.0.0.1/tcp/2", "rooms": ["general"], "clock_offset_ms": null}]}),
        );
        check(
            Report::Rooms { rooms: vec![testing::room_info("general", RoomState::Failed)], current: None },
            json!({"event": "rooms", "rooms": [{"room": "general", "messages": 9, "peers": 2, "state": "failed"}]}),
        );
        let counters = render(&Report::Counters(Counters::default()));
        let [Line::Data(text)] = counters.as_slice() else { panic!("{counters:?}") };
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&value["event"], &value["gossip_received"]), (&json!("counters"), &json!(0)));
        check(
            Report::Switched(testing::room_info("general", RoomState::Open)),
            json!({"event": "room", "room": "general", "messages": 9, "fingerprint": "03".repeat(32), "state": "open"}),
        );
        check(
            Report::Error { code: "too-long".into(), message: "cut \"it\"".to_owned() },
            json!({"event": "error", "code": "too-long", "message": "cut \"it\""}),
        );
    }

    #[test]
    fn a_terminal_that_shows_it_is_safe() {
        let nasty = "\u{1b}[2J\r\n\u{9b}\u{202e}\u{200b}\u{2028}";
        let message = testing::message(1, nasty, nasty);
        let lines = render(&Report::Event(Event::Message { room: room_name("general"), message: message.into() }));
        let [Line::Data(text)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(*escape::visible(text), **text);
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&value["text"], &value["nick"]), (&json!(nasty), &json!(nasty)));
    }

    #[test]
    fn what_is_for_people_stays_off_stdout() {
        for given in [Report::Help, Report::Notice("\u{7}waiting".to_owned())] {
            let lines = render(&given);
            assert!(!lines.is_empty() && lines.iter().all(|line| matches!(line, Line::Notice(_))), "{lines:?}");
        }
    }
}
