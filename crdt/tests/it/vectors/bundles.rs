//! Rooms in files.

use distchat_crdt::{
    RoomName,
    bundle::{Part, Reader, Writer},
};

use super::{
    Vector,
    messages::{first, nick, second},
    rules,
};

pub fn all() -> Vec<Vector> {
    vec![bundle()]
}

fn bundle() -> Vector {
    let room = RoomName::parse("general").unwrap();
    let messages = [second(), nick(), first()];
    let mut writer = Writer::new(Vec::new(), room.clone());
    messages.iter().for_each(|message| writer.push(message.bytes()).unwrap());
    let file = writer.finish().unwrap();

    let content: Vec<u8> = messages
        .iter()
        .flat_map(|message| [&(message.bytes().len() as u16).to_be_bytes(), message.bytes()].concat())
        .collect();
    let by_the_words =
        [rules::bundle_frame(1, "general", &content), rules::bundle_frame(2, "general", &[0, 0, 0, 0, 0, 0, 0, 3])];
    assert_eq!(file, by_the_words.concat());
    let mut reader = Reader::new(&file[..]);
    let bytes = messages.iter().map(|message| message.bytes().to_vec()).collect();
    assert_eq!(reader.next_part().unwrap(), Some(Part::Messages { room: room.clone(), messages: bytes }));
    assert_eq!(reader.next_part().unwrap(), Some(Part::End { room, messages: 3 }));
    assert_eq!(reader.next_part().unwrap(), None);
    assert!(reader.tally().is_whole());

    let (first, end) = file.split_at(by_the_words[0].len());
    Vector::new("bundle")
        .note("the frame of message-3, message-2, message-1, and the end")
        .hex("messages", first)
        .hex("end", end)
}
