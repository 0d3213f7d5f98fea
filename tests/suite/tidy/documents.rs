//! The documents name what is there.

use super::{none, sources};
use tests::guests::repository;

fn document(name: &str) -> String {
    std::fs::read_to_string(repository().join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_invariant_of_the_architecture_names_a_test_that_exists() {
    let text = document("ARCHITECTURE.md");
    assert!(text.lines().count() <= 150, "ARCHITECTURE.md has over 150 lines");
    let section = text.split("## Invariants").nth(1).expect("a section Invariants");
    let section = section.split("\n## ").next().unwrap_or(section);
    let functions: String = sources().iter().map(|source| source.text.clone()).collect();
    let mut faults = Vec::new();
    let mut invariants = 0;
    for item in section.split("\n- ").skip(1) {
        invariants += 1;
        let mut names = item.split('`').skip(1).step_by(2).filter(|name| name.contains('_'));
        let named = names.any(|name| {
            let name = name.rsplit("::").next().unwrap_or(name);
            functions.contains(&format!("fn {name}("))
        });
        if !named {
            faults.push(item.lines().next().unwrap_or_default().to_string());
        }
    }
    assert!(invariants >= 10, "{invariants} invariants were found");
    none(faults);
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut faults = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = document(name);
        let roots =
            ["runtime/", "guest-sdk/", "actors/", "examples/", "tests/", "wit/", "scripts/"];
        for path in text.split('`').skip(1).step_by(2) {
            let named = roots.iter().any(|root| path.starts_with(root)) && !path.contains(' ');
            if named && !repository().join(path).exists() {
                faults.push(format!("{name} names {path}"));
            }
        }
    }
    none(faults);
}
