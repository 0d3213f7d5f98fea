//! Thermal zones of the kernel, under `/sys/class/thermal`, in °C.

use std::path::Path;

use super::backend::listed;
use super::hwmon::{Number, there_are};

/// The zone of this type, under `root`, `/` but in tests.
pub(super) fn open(root: &Path, zone: &str) -> Result<Number, String> {
    let folder = root.join("sys/class/thermal");
    let mut zones = listed(&folder, "type");
    // Cooling devices stand in the same folder, and have a type too.
    zones.retain(|(folder, _)| folder.join("temp").exists());
    match zones.iter().find(|(_, kind)| kind == zone) {
        Some((folder, _)) => Ok(Number::new(folder.join("temp"), 1e3)),
        None => Err(format!("there is no thermal zone {zone}: {}", there_are(&zones, &folder))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::backend::Probe;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_zone_is_found_by_its_type() {
        let root = tempfile::tempdir().unwrap();
        let zone = root.path().join("sys/class/thermal/thermal_zone0");
        let fan = root.path().join("sys/class/thermal/cooling_device0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::create_dir_all(&fan).unwrap();
        std::fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
        std::fs::write(zone.join("temp"), "51000\n").unwrap();
        std::fs::write(fan.join("type"), "pwm-fan\n").unwrap();
        let mut zone = open(root.path(), "cpu-thermal").unwrap();
        assert_eq!(zone.read(Duration::ZERO), Ok(Some(51.0)));
        let why = open(root.path(), "pwm-fan").err().unwrap();
        assert!(why.contains("there are cpu-thermal"), "{why}");
    }
}
