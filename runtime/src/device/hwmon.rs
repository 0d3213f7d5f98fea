//! Hardware monitors of the kernel, under `/sys/class/hwmon` (Documentation/hwmon/sysfs-interface).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backend::{Probe, listed};

/// What an input's number is divided by, by its kind: °C, V, A, W, J, %, rpm.
const SCALES: [(&str, f64); 7] = [
    ("temp", 1e3),
    ("in", 1e3),
    ("curr", 1e3),
    ("power", 1e6),
    ("energy", 1e6),
    ("humidity", 1e3),
    ("fan", 1.0),
];

/// A file of the kernel's that holds one whole number.
pub(super) struct Number {
    file: PathBuf,
    scale: f64,
}

/// An input of a monitor that is named `chip`, under `root`, `/` but in tests.
pub(super) fn open(root: &Path, chip: &str, input: &str) -> Result<Number, String> {
    let monitors = root.join("sys/class/hwmon");
    let found = listed(&monitors, "name");
    let mut named = found.iter().filter(|(_, name)| name == chip).map(|(folder, _)| folder);
    let folder = match (named.next(), named.next()) {
        (Some(folder), None) => folder,
        (Some(_), Some(_)) => {
            return Err(format!("two monitors are named {chip}: use a sensor that has one name"));
        }
        (None, _) => {
            return Err(format!("there is no monitor {chip}: {}", there_are(&found, &monitors)));
        }
    };
    let kind = input.trim_end_matches(|c: char| c.is_ascii_digit());
    let scale = SCALES.iter().find(|(name, _)| *name == kind).map(|(_, scale)| *scale);
    let file = folder.join(format!("{input}_input"));
    match scale {
        Some(scale) if file.exists() => Ok(Number { file, scale }),
        _ => Err(format!("{chip} has no input {input}: it has {}", inputs(folder))),
    }
}

impl Number {
    /// A number of the kernel's, divided by `scale`.
    pub fn new(file: PathBuf, scale: f64) -> Self {
        Self { file, scale }
    }
}

impl Probe for Number {
    fn read(&mut self, _now: Duration) -> Result<Option<f64>, String> {
        let shown = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|why| format!("{shown}: {why}"))?;
        let number = text.trim().parse::<i64>();
        let number =
            number.map_err(|_| format!("{shown} holds no number but {:?}", text.trim()))?;
        Ok(Some(number as f64 / self.scale))
    }
}

/// What is there, for an error.
pub(super) fn there_are(found: &[(PathBuf, String)], folder: &Path) -> String {
    match found {
        [] => format!("this machine has none under {}", folder.display()),
        _ => {
            let names = found.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>();
            format!("there are {}", names.join(", "))
        }
    }
}

fn inputs(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| name.strip_suffix("_input").map(String::from));
    let mut names = names.collect::<Vec<_>>();
    names.sort_unstable();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let monitors = root.path().join("sys/class/hwmon");
        for (folder, name, inputs) in [
            ("hwmon0", "cpu_thermal", &[("temp1", "48312")][..]),
            ("hwmon1", "rpi_volt", &[("in0", "4980"), ("fan1", "1200")][..]),
            ("hwmon2", "nvme", &[][..]),
            ("hwmon3", "nvme", &[][..]),
        ] {
            let folder = monitors.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("name"), format!("{name}\n")).unwrap();
            for (input, value) in inputs {
                std::fs::write(folder.join(format!("{input}_input")), value).unwrap();
            }
        }
        root
    }

    #[test]
    fn a_monitor_is_found_by_its_name_and_read_in_its_unit() {
        let root = tree();
        let read = |chip, input| open(root.path(), chip, input)?.read(Duration::ZERO);
        assert_eq!(read("cpu_thermal", "temp1"), Ok(Some(48.312)));
        assert_eq!(read("rpi_volt", "in0"), Ok(Some(4.98)));
        assert_eq!(read("rpi_volt", "fan1"), Ok(Some(1200.0)));
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let root = tree();
        let why = |chip, input| open(root.path(), chip, input).err().unwrap();
        assert!(why("coretemp", "temp1").contains("cpu_thermal, rpi_volt"));
        assert!(why("rpi_volt", "temp1").contains("it has fan1, in0"));
        assert!(why("nvme", "temp1").contains("two monitors"));
        let bare = tempfile::tempdir().unwrap();
        let why = open(bare.path(), "coretemp", "temp1").err().unwrap();
        assert!(why.contains("this machine has none under"), "{why}");
    }

    #[test]
    fn a_monitor_that_gives_no_number_is_an_error() {
        let root = tree();
        let mut number = open(root.path(), "cpu_thermal", "temp1").unwrap();
        std::fs::write(root.path().join("sys/class/hwmon/hwmon0/temp1_input"), "hot").unwrap();
        assert!(number.read(Duration::ZERO).unwrap_err().contains("\"hot\""));
    }
}
