//! What SECURITY.md claims is held by tests, and each that it names is there.

use std::{collections::BTreeSet, fs, path::PathBuf};

use distchat_tests::binary::workspace;

/// Where tests are that SECURITY.md names by a path instead of a module of these.
fn source(test: &str) -> (PathBuf, &str) {
    match test.split_once("::") {
        Some((path, name)) if path.contains('/') => (workspace().join(path), name),
        Some((module, name)) => (workspace().join(format!("tests/tests/{module}.rs")), name),
        None => panic!("{test} names no test"),
    }
}

#[test]
fn every_claim_names_a_test_that_exists() {
    let text = fs::read_to_string(workspace().join("SECURITY.md")).unwrap();
    let (_, table) = text.split_once("| Claim | Held by |").expect("it has a table of claims");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut claims = BTreeSet::new();
    for row in rows {
        let [_, claim, tests, _] = row.split(" | ").flat_map(|part| part.split('|')).collect::<Vec<_>>()[..] else {
            panic!("not a claim and its tests: {row}")
        };
        assert!(claims.insert(claim.trim().to_owned()), "claimed twice: {claim}");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "nothing holds this: {row}");
        for test in named {
            let (path, name) = source(test);
            let source = fs::read_to_string(&path).unwrap_or_default();
            let is_test = source
                .split_once(&format!("fn {name}("))
                .is_some_and(|(before, _)| before.contains("#[test]") || before.contains("#[tokio::test"));
            assert!(is_test, "{claim}: there is no test {test} in {}", path.display());
        }
    }
    assert!(claims.len() > 30, "{}", claims.len());
}
