//! What the Firefox Profiler's page asks of a profile, beyond what its published types say.

use coldcase_export::write_firefox;
use serde_json::Value;

use crate::support::Export;

/// It refuses a profile in which `cause` is a text, as one of our own fields was: `Cannot create property 'stack' on number`.
#[test]
fn what_markers_call_their_cause_is_a_stack() {
    let mut bytes = Vec::new();
    write_firefox(Export::of("hashmap-resize/capture.data.zst").source(), &mut bytes).unwrap();
    let profile: Value = serde_json::from_slice(&bytes).unwrap();
    let threads = profile["threads"].as_array().unwrap();
    let markers = threads.iter().flat_map(|thread| thread["markers"]["data"].as_array().unwrap());
    let (mut causes, mut freezes) = (0, 0);
    for marker in markers {
        freezes += usize::from(marker["type"] == "Freeze");
        if let Some(cause) = marker.get("cause") {
            assert!(cause["stack"].is_u64(), "{marker}");
            causes += 1;
        }
    }
    assert!(causes > 0 && freezes == 1, "{causes} stacks, {freezes} freezes");
}
