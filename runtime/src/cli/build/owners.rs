//! Whose build of a local package lies in the folder that all builds share.
//!
//! Cargo knows a package of a workspace by its place in it, and a stale build by the times of
//! files. So of two clones the one with older files would be given the other's code. Here stands
//! which folder a package was last built from; a build from another folder begins anew.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::TARGET;

/// Packages that are remembered. Past it all builds are thrown away: most are of folders long gone.
const MOST: usize = 512;

/// A package that is compiled from a folder of this machine.
pub(super) struct Local {
    pub name: String,
    /// Its place as cargo knows it: from the workspace's root if it is in there.
    pub place: String,
    pub folder: String,
}

/// Makes the shared folder forget what it has of these packages from other folders. The caller
/// holds the folder's lock.
pub(super) fn claim(shared: &Path, locals: &[Local]) -> io::Result<()> {
    let file = shared.join("owners.json");
    // Without a list that can be read nothing is known, so all local packages are built anew.
    let owners = std::fs::read(&file).ok();
    let owners = owners.and_then(|owners| serde_json::from_slice(&owners).ok());
    let mut owners: BTreeMap<String, String> = owners.unwrap_or_default();
    let key = |local: &Local| format!("{} {}", local.name, local.place);
    let others = locals.iter().filter(|local| owners.get(&key(local)) != Some(&local.folder));
    let others: Vec<&Local> = others.collect();
    if others.is_empty() {
        return Ok(());
    }
    if owners.len() + others.len() > MOST {
        owners.clear();
        gone(std::fs::remove_dir_all(shared.join(TARGET)))?;
    }
    for local in others {
        forget(&shared.join(TARGET).join("release/.fingerprint"), &local.name)?;
        owners.insert(key(local), local.folder.clone());
    }
    std::fs::write(&file, serde_json::to_vec(&owners)?)
}

/// Without its fingerprint a package is compiled again.
fn forget(fingerprints: &Path, name: &str) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(fingerprints) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let entry_name = entry.file_name();
        let hash =
            entry_name.to_str().and_then(|entry| entry.strip_prefix(name)?.strip_prefix('-'));
        if hash.is_some() {
            gone(std::fs::remove_dir_all(entry.path()))?;
        }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &str) -> Local {
        Local { name: "blink".into(), place: "actors/blink".into(), folder: folder.into() }
    }

    #[test]
    fn a_build_from_another_folder_is_forgotten() {
        let shared = tempfile::tempdir().unwrap();
        let fingerprints = shared.path().join(TARGET).join("release/.fingerprint");
        let [own, other] = ["blink-0123", "serde-0123"].map(|name| fingerprints.join(name));
        let built = |folder| {
            claim(shared.path(), &[local(folder)]).unwrap();
            let fresh = own.exists();
            std::fs::create_dir_all(&own).unwrap();
            fresh
        };
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        assert!(!built("/a"), "nobody knows whose it is");
        assert!(built("/a"));
        assert!(!built("/b"));
        assert!(!built("/a"));
        assert!(other.exists());
    }

    #[test]
    fn folders_that_come_and_go_do_not_fill_the_disk() {
        let shared = tempfile::tempdir().unwrap();
        let component = shared.path().join(TARGET).join("release/blink.wasm");
        std::fs::create_dir_all(component.parent().unwrap()).unwrap();
        std::fs::write(&component, "").unwrap();
        for number in 0..=MOST {
            let place = format!("/tmp/{number}");
            let local = Local { name: "blink".into(), folder: place.clone(), place };
            claim(shared.path(), &[local]).unwrap();
        }
        assert!(!component.exists());
        let owners = std::fs::read_to_string(shared.path().join("owners.json")).unwrap();
        assert_eq!(owners.matches("blink").count(), 1);
    }
}
