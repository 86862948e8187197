//! Dependencies point one way: crdt <- node <- tests <- examples; and crdt <- bench.

use std::{collections::BTreeMap, process::Command};

use distchat_tests::binary::workspace;
use serde_json::Value;

#[test]
fn dependencies_point_one_way() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();

    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("distchat-crdt", &[][..]),
        ("distchat-node", &["distchat-crdt"]),
        ("distchat-simulator", &["distchat-crdt", "distchat-node"]),
        ("distchat-crdt-planted", &[]),
        ("distchat-planted", &["distchat-crdt-planted", "distchat-node"]),
        ("distchat-examples", &["distchat-crdt", "distchat-node", "distchat-simulator", "distchat-tests"]),
        ("distchat-hostile", &["distchat-crdt"]),
        ("distchat-tests", &["distchat-crdt", "distchat-hostile", "distchat-node"]),
        ("distchat-soak", &["distchat-crdt", "distchat-hostile", "distchat-tests"]),
        ("distchat-bench", &["distchat-crdt"]),
        ("distchat-fuzz", &["distchat-crdt", "distchat-node"]),
    ]);
    assert_eq!(
        packages.iter().map(name).find(|name| !allowed.contains_key(name.as_str())),
        None,
        "a member without a place"
    );
    for package in packages {
        let package_name = name(package);
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = name(dependency);
            let ours = allowed.contains_key(dependency.as_str());
            let may = allowed[package_name.as_str()].contains(&dependency.as_str());
            assert!(!ours || may, "{package_name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_crdt_does_no_input_or_output() {
    let manifest = std::fs::read_to_string(workspace().join("crdt/Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("the crdt has dependencies");
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    for outside in ["tokio", "libp2p", "rusqlite", "async-", "futures", "mio"] {
        let named = dependencies.lines().any(|line| line.starts_with(outside));
        assert!(!named, "the room as a data structure needs no {outside}");
    }
}

#[test]
fn whoever_embeds_the_library_pays_for_no_terminal() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let tree = |features: &[&str]| {
        let output = Command::new(&cargo)
            .args([
                "tree",
                "--offline",
                "--locked",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                "distchat-node",
            ])
            .args(features)
            .current_dir(workspace())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (whole, embedded) = (tree(&[]), tree(&["--no-default-features"]));
    for package in ["clap v", "crossterm v", "ratatui v", "indicatif v", "tracing-subscriber v", "toml v"] {
        let has = |tree: &str| tree.lines().any(|line| line.starts_with(package));
        assert!(has(&whole) && !has(&embedded), "{package}");
    }
}
