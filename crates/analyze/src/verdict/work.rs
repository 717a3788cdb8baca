//! What a thread did on its CPU, by the kernel functions that samples met it in.

use coldcase_ingest::capture::{Capture, Meaning, Nanos, Span, StackId, ThreadId};

use crate::model::Model;
use crate::names;
use crate::tally::Tally;

/// What is said of a thread that ran; and of one that is taken to have run because its comings to a CPU were not recorded,
/// nor how long it was away.
pub(crate) const ON_CPU: &str = "on a CPU";
pub(crate) const NOT_BLOCKED: &str =
    "not recorded: on a CPU, or away for longer than this recording shows";

/// Fewer samples than this say nothing about shares.
const ENOUGH: u64 = 3;

/// Divides the time that a thread ran in a span by what samples met it in; all of it is `on a CPU` if there
/// are too few. The parts add up to `ran`.
pub(crate) fn on_cpu(model: &Model<'_>, thread: ThreadId, span: Span, ran: Nanos) -> Tally<String> {
    let samples = &model.capture.samples;
    let from = samples.partition_point(|sample| sample.time < span.start);
    let inside = samples[from..].iter().take_while(|sample| sample.time <= span.end);
    let stacks: Vec<Option<StackId>> =
        inside.filter(|sample| sample.thread == thread).map(|sample| sample.stack).collect();
    let count = stacks.len() as u64;
    if count < ENOUGH {
        let what = if model.states.comings_recorded { ON_CPU } else { NOT_BLOCKED };
        return [(what.to_owned(), ran)].into_iter().collect();
    }
    // Where its comings were not recorded, it ran for as long as a clock of its own time counted.
    let clock = (!model.states.comings_recorded).then(|| sampled_every(model.capture)).flatten();
    let each = clock.map_or(ran.0 / count, |every| every.0.min(ran.0 / count));
    let rest = ran.0 - each * count;
    let what_else = if clock.is_some() { Some(NOT_BLOCKED) } else { None };
    let seen = stacks.into_iter().enumerate().map(|(index, stack)| {
        // What does not divide evenly goes to the first.
        let rest = if index == 0 && what_else.is_none() { rest } else { 0 };
        let what = stack.map_or("no callchain", |stack| kind(model.capture, stack));
        (format!("on a CPU: {what}"), Nanos(each + rest))
    });
    seen.chain(what_else.map(|what| (what.to_owned(), Nanos(rest)))).collect()
}

/// For how long a thread runs from one of its samples to the next, if one clock took them all.
pub(crate) fn sampled_every(capture: &Capture) -> Option<Nanos> {
    let mut clocks = capture.events.iter().filter(|event| event.meaning == Some(Meaning::Samples));
    let clock = clocks.next()?;
    clock.every.filter(|_| clocks.next().is_none())
}

/// The work that a stack stands in: what its innermost function with a name in the table serves.
fn kind(capture: &Capture, stack: StackId) -> &'static str {
    let mut kernel = names::kernel(capture, stack).peekable();
    if kernel.peek().is_none() {
        return "the program's own code";
    }
    kernel.find_map(of_function).unwrap_or("other work of the kernel")
}

/// Kernel functions that serve one kind of work (Linux 4.14 to 6.18: mm/memory.c, mm/swap.c, mm/page_alloc.c,
/// mm/vmscan.c, mm/compaction.c, mm/mremap.c, mm/mprotect.c, fs/proc/task_mmu.c, kernel/locking/).
fn of_function(name: &str) -> Option<&'static str> {
    KINDS.iter().find_map(|&(kind, functions)| {
        let named = |known: &&str| match known.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *known,
        };
        functions.iter().any(named).then_some(kind)
    })
}

/// A name may end in `*`.
const KINDS: &[(&str, &[&str])] = &[
    (
        "zeroing pages",
        &[
            "clear_page*",
            "clear_huge_page",
            "clear_subpage",
            "clear_gigantic_page",
            "folio_zero_user",
        ],
    ),
    (
        "spinning for a lock",
        &[
            "native_queued_spin_lock_slowpath",
            "queued_spin_lock_slowpath",
            "osq_lock",
            "rwsem_optimistic_spin",
            "rwsem_spin_on_owner",
            "mutex_spin_on_owner",
            "mutex_optimistic_spin",
        ],
    ),
    (
        "copying page tables",
        &[
            "copy_page_range",
            "copy_p4d_range",
            "copy_pmd_range",
            "copy_pte_range",
            "copy_present_pte*",
        ],
    ),
    (
        "copying pages",
        &["copy_user_highpage*", "copy_mc_*", "wp_page_copy", "copy_user_large_folio"],
    ),
    (
        "reclaiming memory",
        &[
            "shrink_node*",
            "shrink_lruvec*",
            "try_to_free_pages",
            "try_to_free_mem_cgroup_pages",
            "shrink_slab*",
        ],
    ),
    ("compacting memory", &["compact_zone*", "isolate_migratepages*", "migrate_pages*"]),
    (
        "unmapping and freeing pages",
        &[
            "unmap_page_range",
            "unmap_vmas",
            "zap_p*",
            "free_pages_and_swap_cache",
            "release_pages",
            "folios_put_refs",
            "free_pgtables",
            "free_pgd_range",
            "tlb_finish_mmu",
            "tlb_flush_mmu*",
        ],
    ),
    (
        "walking page tables",
        &["walk_page_range*", "walk_page_vma", "walk_p*_range", "__walk_page_range", "smaps_*"],
    ),
    ("moving page tables", &["move_page_tables", "move_ptes"]),
    ("changing protections", &["change_protection*", "mprotect_fixup"]),
    (
        "charging a memory cgroup",
        &["charge_memcg", "__mem_cgroup_charge", "mem_cgroup_charge", "try_charge*"],
    ),
    (
        "allocating pages",
        &["get_page_from_freelist", "__alloc_pages*", "__alloc_frozen_pages*", "alloc_pages*"],
    ),
    (
        "filling in pages",
        &["do_anonymous_page", "handle_mm_fault", "__handle_mm_fault", "faultin_page", "do_fault"],
    ),
    (
        "reading a file",
        &["filemap_read", "generic_file_read_iter", "ext4_file_read_iter", "xfs_file_read_iter"],
    ),
    (
        "writing a file",
        &["generic_perform_write", "iomap_file_buffered_write", "ext4_buffered_write_iter"],
    ),
];

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Timestamp;

    use super::*;
    use crate::script;

    #[test]
    fn a_recording_of_one_process_does_not_say_that_a_thread_ran() {
        let mut capture = Capture::default();
        let thread = script::thread(&mut capture, "a");
        let mut capture = script::record(capture, "1ms a>- D schedule,90ms a>- D schedule");
        let span = Span::new(Timestamp(0), Timestamp(90_000_000));
        let told = |capture: &Capture| {
            on_cpu(&script::model(capture), thread, span, Nanos(1)).largest().unwrap().0
        };
        assert_eq!(told(&capture), ON_CPU);
        capture.origin.command = ["perf", "record", "-p", "97"].map(str::to_owned).to_vec();
        assert_eq!(told(&capture), NOT_BLOCKED);
    }

    #[test]
    fn functions_of_several_eras_serve_the_same_work() {
        for (name, kind) in [
            ("clear_page_erms", "zeroing pages"),
            ("clear_page_rep", "zeroing pages"),
            ("zap_pte_range", "unmapping and freeing pages"),
            ("release_pages", "unmapping and freeing pages"),
            ("copy_present_ptes", "copying page tables"),
            ("smaps_account", "walking page tables"),
            ("__alloc_frozen_pages_noprof", "allocating pages"),
        ] {
            assert_eq!(of_function(name), Some(kind), "{name}");
        }
        assert_eq!(of_function("do_syscall_64"), None);
    }
}
