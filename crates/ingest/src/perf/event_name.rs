//! perf's names of events that the file does not name itself: a pipe without `EVENT_DESC`, old versions.
//! (`tools/perf/util/evsel.c` and `include/uapi/linux/perf_event.h`, Linux 6.18.)

use super::attr::EventAttr;

/// `PERF_TYPE_*`.
pub(super) const HARDWARE: u32 = 0;
pub(super) const SOFTWARE: u32 = 1;
pub(super) const TRACEPOINT: u32 = 2;
pub(super) const HARDWARE_CACHE: u32 = 3;
pub(super) const RAW: u32 = 4;
const BREAKPOINT: u32 = 5;

/// `PERF_COUNT_SW_*` by number.
const SOFTWARE_NAMES: [&str; 12] = [
    "cpu-clock",
    "task-clock",
    "page-faults",
    "context-switches",
    "cpu-migrations",
    "minor-faults",
    "major-faults",
    "alignment-faults",
    "emulation-faults",
    "dummy",
    "bpf-output",
    "cgroup-switches",
];

/// `PERF_COUNT_HW_*` by number.
const HARDWARE_NAMES: [&str; 10] = [
    "cycles",
    "instructions",
    "cache-references",
    "cache-misses",
    "branches",
    "branch-misses",
    "bus-cycles",
    "stalled-cycles-frontend",
    "stalled-cycles-backend",
    "ref-cycles",
];

/// The name of an event by its type and number.
pub(super) fn event_name(attr: &EventAttr) -> String {
    let config = attr.config;
    match attr.kind {
        // Above the lower half stands which of several PMUs was asked (Linux 5.13).
        HARDWARE => known(&HARDWARE_NAMES, config & 0xffff_ffff, "hardware event"),
        SOFTWARE => known(&SOFTWARE_NAMES, config, "software event"),
        TRACEPOINT => format!("tracepoint {config}"),
        HARDWARE_CACHE => cache_name(config),
        RAW => format!("raw {config:#x}"),
        BREAKPOINT => "breakpoint".to_owned(),
        pmu => format!("PMU {pmu} event {config:#x}"),
    }
}

fn known(names: &[&str], number: u64, kind: &str) -> String {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    name.map_or_else(|| format!("{kind} {number}"), |name| (*name).to_owned())
}

/// `LLC-load-misses`: cache, operation and result, a byte each.
fn cache_name(config: u64) -> String {
    let part = |names: &[&'static str], shift: u32| {
        let number = usize::try_from(config >> shift & 0xff).ok()?;
        names.get(number).copied()
    };
    let cache = part(&["L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node"], 0);
    let (operation, result) =
        (part(&["load", "store", "prefetch"], 8), part(&["s", "-misses"], 16));
    match (cache, operation, result) {
        (Some(cache), Some("prefetch"), Some("s")) => format!("{cache}-prefetches"),
        (Some(cache), Some(operation), Some(result)) => format!("{cache}-{operation}{result}"),
        _ => format!("cache event {config:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfs_own_names_are_used() {
        let name = |kind: u32, config: u64| {
            let mut bytes = vec![0; 64];
            bytes[..4].copy_from_slice(&kind.to_le_bytes());
            bytes[8..16].copy_from_slice(&config.to_le_bytes());
            event_name(&EventAttr::parse(&bytes, false).unwrap())
        };
        assert_eq!(name(HARDWARE, 0xa_0000_0001), "instructions", "of one of two PMUs");
        assert_eq!(name(SOFTWARE, 10), "bpf-output");
        assert_eq!(name(SOFTWARE, 99), "software event 99");
        assert_eq!(name(HARDWARE_CACHE, 0x1_0002), "LLC-load-misses");
        assert_eq!(name(HARDWARE_CACHE, 0x202), "LLC-prefetches");
        assert_eq!(name(HARDWARE_CACHE, 0x99), "cache event 0x99");
    }
}
