//! Leaves the nodes up, and says what can be tried with them.

use std::time::Duration;

use super::stage::Stage;

/// Between two looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(100);

/// Prints what to type next; returns after Ctrl-C.
pub(super) fn until_interrupted(stage: &Stage) {
    println!(
        "\nThe nodes stay up, and so do the relays between them, until Ctrl-C here. In another"
    );
    println!("terminal:\n");
    println!("  PATH=$PATH:{}", stage.programs().display());
    println!("  cd {}", stage.folder().display());
    for line in [
        "edge-host ls --data attic/data",
        "edge-host ls pins --data cellar/data",
        "edge-host send thermostat '{\"Dial\": 5}' --data shed/data",
        "edge-host ls pins --data attic/data",
        "edge-host send thermostat '\"Show\"' --data cellar/data",
        "edge-host send crdt '{\"Add\": {\"key\": \"guests\", \"item\": \"you\"}}' --data \
        shed/data",
        "edge-host send crdt '{\"Get\": {\"key\": \"guests\"}}' --data attic/data",
        "edge-host send sensor '\"Last\"' --data attic/data",
        "edge-host log thermostat --follow --data cellar/data",
        "edge-host stop thermostat --data cellar/data",
        "edge-host ls pins --data cellar/data",
    ] {
        println!("  {line}");
    }
    while !stage.interrupt.came() {
        std::thread::sleep(LOOK);
    }
}
