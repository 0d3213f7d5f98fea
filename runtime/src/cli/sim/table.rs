//! What a run showed, for people.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use serde_json::Value;

/// One run, a line for each step.
pub fn rows(report: &Value) {
    let about = match text(&report["about"]) {
        "" => String::new(),
        about => format!("{about}: "),
    };
    println!("{about}{} nodes, seed {}", report["nodes"], report["seed"]);
    for otherwise in report["otherwise"].as_array().into_iter().flatten() {
        println!("  otherwise than it says: {}", text(otherwise));
    }
    for row in report["rows"].as_array().into_iter().flatten() {
        println!("  {}", line(row));
    }
    if report["trace"].is_string() {
        println!("  trace {}", text(&report["trace"]));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn line(row: &Value) -> String {
    let number = |name: &str| row[name].as_f64().unwrap_or_default();
    let mut parts = Vec::new();
    if row["rmr"].is_number() && row["expected"] == 0 {
        parts.push("no delivery was expected, as nobody was there to have any".into());
    } else if row["rmr"].is_number() {
        parts.push(format!("rmr {:.3}", number("rmr")));
        if row["ldh"].is_number() {
            parts.push(format!("ldh {:.1}", number("ldh")));
        }
        parts.push(format!("ldt {:.0} ms", number("ldt_ms")));
        parts.push(format!("p50 {:.0} ms, p99 {:.0} ms", number("p50_ms"), number("p99_ms")));
        parts.push(format!("delivery {:.5}", number("delivery")));
    }
    if let Some(overlay) = row["overlay"].as_object() {
        parts.push(Value::Object(overlay.clone()).to_string());
    } else if row["messages"].is_number() {
        parts.push(format!("{} messages, {} bytes", row["messages"], row["bytes"]));
        parts.push(format!("{} joins, {} evictions", row["joins"], row["evictions"]));
    }
    if let Some(seconds) = row["healed_s"].as_f64() {
        parts.push(format!("one overlay after {seconds:.1} s"));
    }
    if let Some(apart) = row["apart"].as_u64() {
        parts.push(format!("NOT healed: {apart} overlays after {:.1} s", number("seconds")));
    }
    if let Some(cycles) = row["heal_cycles"].as_u64() {
        parts.push(format!("healed after {cycles} cycles"));
    }
    let told = if parts.is_empty() { "" } else { ": " };
    format!("{}{told}{}", text(&row["step"]), parts.join(", "))
}

/// A file for as long as it is needed.
pub struct Written(PathBuf);

impl Written {
    pub fn new(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let name = format!("edge-host-{}-{number}-{name}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, bytes).with_context(|| format!("can't write {}", file.display()))?;
        Ok(Self(file))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_what_came_of_its_step_and_no_more() {
        assert_eq!(line(&json!({ "step": "wait 5s" })), "wait 5s");
        let sent = json!({
            "step": "heal", "messages": 3, "bytes": 90, "joins": 1, "evictions": 2, "apart": 2,
            "seconds": 60.0,
        });
        let told = "heal: 3 messages, 90 bytes, 1 joins, 2 evictions, \
                    NOT healed: 2 overlays after 60.0 s";
        assert_eq!(line(&sent), told);
        // As real nodes tell it, which count no frames.
        let mut rounds = json!({
            "step": "rounds 5, one sender", "rmr": 0.1, "ldt_ms": 9.0, "p50_ms": 5.0,
            "p99_ms": 9.0, "delivery": 1.0, "expected": 20, "heal_cycles": 1,
        });
        let told = "rounds 5, one sender: rmr 0.100, ldt 9 ms, p50 5 ms, p99 9 ms, \
                    delivery 1.00000, healed after 1 cycles";
        assert_eq!(line(&rounds), told);
        rounds["expected"] = json!(0);
        assert!(line(&rounds).contains("no delivery was expected"), "{}", line(&rounds));
    }
}
