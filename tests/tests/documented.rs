//! What the libraries offer, as rustdoc sees it: each public item with an example that runs, and no foreign type by accident.

use std::{collections::BTreeSet, process::Command};

use distchat_tests::binary::workspace;
use serde_json::Value;

/// Foreign types that are meant to be part of the interface: addresses and identities of the network, which the library
/// exports again, and what belongs to the runtime that whoever embeds it has anyway.
const MEANT: [&str; 4] = [
    "multiaddr::Multiaddr",
    "libp2p_identity::peer_id::PeerId",
    "tokio::time::instant::Instant",
    "tokio::net::udp::UdpSocket",
];

/// What rustdoc writes of a library for other programs.
fn interface(library: &str) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo)
        .args(["doc", "--quiet", "--locked", "--no-deps", "--lib", "-p", "distchat-crdt", "-p", "distchat-node"])
        .args(["--target-dir".as_ref(), target().as_os_str()])
        .env("RUSTDOC", workspace().join(".ci/rustdoc-json"))
        .env("RUSTDOCFLAGS", "--cap-lints allow")
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = target().join(format!("doc/distchat_{library}.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The directory that this test was built in.
fn target() -> std::path::PathBuf {
    // target/debug/deps/main-…
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// The library's own items: what is private is not among them.
fn items(interface: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let items = interface["index"].as_object().unwrap().values().filter(|item| item["crate_id"] == 0);
    items.map(|item| (item["inner"].as_object().unwrap().keys().next().unwrap().as_str(), item))
}

fn place(item: &Value) -> String {
    let name = item["name"].as_str().unwrap_or_default();
    format!("{}:{} {name}", item["span"]["filename"].as_str().unwrap(), item["span"]["begin"][0])
}

/// Whether one of the blocks of code is compiled and run.
fn has_example(docs: &str) -> bool {
    let opening = docs.lines().filter_map(|line| line.trim_start().strip_prefix("```")).step_by(2);
    opening.into_iter().any(|flags| flags.split(',').all(|flag| ["", "rust", "should_panic"].contains(&flag)))
}

/// The paths of types in a signature or a field that other crates define, those of the standard library left out.
fn foreign<'a>(part: &'a Value, interface: &'a Value, found: &mut BTreeSet<String>) {
    if let Some(id) = part["resolved_path"]["id"].as_u64() {
        let summary = &interface["paths"][id.to_string()];
        let of_crate = &interface["external_crates"][summary["crate_id"].to_string()]["name"];
        let own = ["std", "core", "alloc", "distchat_crdt"];
        if of_crate.as_str().is_some_and(|name| !own.contains(&name)) {
            let path = summary["path"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            found.insert(path.collect::<Vec<_>>().join("::"));
        }
    }
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| foreign(part, interface, found)),
        Value::Object(parts) => parts.values().for_each(|part| foreign(part, interface, found)),
        _ => {}
    }
}

/// The lines of the first example behind `start` that are shown.
fn shown(text: &str, start: &str, prefix: &str) -> Vec<String> {
    let lines = text.split_once(start).unwrap().1.lines();
    let lines =
        lines.map(|line| line.strip_prefix(prefix).unwrap_or(line)).map(|line| line.strip_prefix(' ').unwrap_or(line));
    let example = lines.skip_while(|line| !line.starts_with("```")).skip(1).take_while(|line| !line.starts_with("```"));
    example.filter(|line| !line.trim_start().starts_with("# ")).map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_the_program_of_the_front_page() {
    let read = |file| std::fs::read_to_string(workspace().join(file)).unwrap();
    let front = shown(&read("node/src/lib.rs"), "//!", "//!");
    assert!(front.len() > 10, "{front:?}");
    let readme = read("README.md");
    let (_, section) = readme.split_once("## The library").unwrap();
    let block = section.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(front, block.lines().collect::<Vec<_>>());
}

#[test]
#[ignore = "builds the documentation; what decides whether a change lands runs it"]
fn what_the_libraries_offer_is_shown_by_examples_and_is_their_own() {
    let (mut bare, mut not_meant) = (Vec::new(), Vec::new());
    for library in ["crdt", "node"] {
        let interface = interface(library);
        let mut shown = 0;
        for (kind, item) in items(&interface) {
            let public = item["visibility"] == "public";
            if public && ["module", "struct", "enum", "trait", "function", "macro"].contains(&kind) {
                shown += 1;
                if !has_example(item["docs"].as_str().unwrap_or_default()) {
                    bare.push(place(item));
                }
            }
            if kind == "struct_field" || kind == "function" && public {
                let mut found = BTreeSet::new();
                foreign(&item["inner"], &interface, &mut found);
                let strange = found.into_iter().filter(|path| !MEANT.contains(&path.as_str()));
                not_meant.extend(strange.map(|path| format!("{}: {path}", place(item))));
            }
        }
        assert!(shown > 100, "{library}: only {shown} items");
    }
    assert!(not_meant.is_empty(), "types of others in the interface:\n{}", not_meant.join("\n"));
    bare.sort();
    assert!(bare.is_empty(), "without an example that runs:\n{}", bare.join("\n"));
}
