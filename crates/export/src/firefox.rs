//! Firefox Profiler's processed profile format, by the crate that samply writes it with.
//!
//! A thread's time off its CPU is sampled on a grid of one millisecond, as a profiler would that could see it; the innermost
//! frame of a sample is what the thread waited for, and its category whether that does harm. The activity graph is of time on
//! a CPU and stays empty. Each wait that is no rest, each hold, each memory call and each freeze is a marker with its exact times,
//! and markers are what the tracks show.

mod markers;

use std::collections::BTreeMap;
use std::io::Write;

use coldcase_analyze::records::{Records, State, StateRow};
use coldcase_ingest::capture::{Mode, ProcessId, Span, ThreadId};
use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CpuDelta, Frame, FrameFlags, FrameInfo, ProcessHandle, Profile,
    ReferenceTimestamp, SamplingInterval, StackHandle, ThreadHandle, Timestamp,
};

use crate::Source;
use crate::error::ExportError;
use crate::labels;

/// A sample each millisecond.
const INTERVAL_NS: u64 = 1_000_000;
/// So many threads are shown at first.
const VISIBLE: usize = 16;

/// Writes a profile that profiler.firefox.com opens. Threads of the kernel are left out, unless they held a lock.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_firefox(source: Source<'_>, mut out: impl Write) -> Result<(), ExportError> {
    let mut writer = Writer::new(source);
    match source.records.span {
        Some(whole) => writer.add_events(whole),
        None => writer.add_sums(),
    }
    writer.show_first();
    serde_json::to_writer(&mut out, &writer.profile)?;
    writeln!(out)?;
    Ok(())
}

struct Writer<'a> {
    source: Source<'a>,
    profile: Profile,
    colors: Colors,
    labels: Vec<String>,
    processes: BTreeMap<ProcessId, ProcessHandle>,
    threads: BTreeMap<ThreadId, ThreadHandle>,
    /// The stacks that were added, by thread, stack and what is innermost.
    stacks: BTreeMap<(ThreadId, Option<u32>, String), StackHandle>,
}

/// What the categories tell by colour.
#[derive(Clone, Copy)]
struct Colors {
    harm: CategoryHandle,
    other: CategoryHandle,
    rest: CategoryHandle,
    runnable: CategoryHandle,
    kernel: CategoryHandle,
    user: CategoryHandle,
}

impl<'a> Writer<'a> {
    fn new(source: Source<'a>) -> Self {
        // The capture's clock has no known place in the wall's.
        let reference = ReferenceTimestamp::from_millis_since_unix_epoch(0.0);
        let interval = SamplingInterval::from_nanos(INTERVAL_NS);
        let mut profile = Profile::new("off-CPU time by coldcase", reference, interval);
        if let Some(kernel) = &source.findings.capture.kernel {
            profile.set_os_name(&format!("Linux {kernel}"));
        }
        profile.set_symbolicated(true);
        let colors = Colors {
            harm: profile.add_category("Blocked", CategoryColor::Red),
            other: profile.add_category("Off its CPU", CategoryColor::Orange),
            rest: profile.add_category("Rest", CategoryColor::Gray),
            runnable: profile.add_category("Waiting for a CPU", CategoryColor::Blue),
            kernel: profile.add_category("Kernel", CategoryColor::Brown),
            user: profile.add_category("User", CategoryColor::Yellow),
        };
        let labels = source.records.frames.iter().map(labels::frame).collect();
        let (processes, threads, stacks) = Default::default();
        Self { source, profile, colors, labels, processes, threads, stacks }
    }

    fn records(&self) -> &'a Records {
        self.source.records
    }

    fn add_events(&mut self, whole: Span) {
        let records = self.records();
        let holders = records.holds.iter().map(|hold| hold.thread);
        let holders: std::collections::BTreeSet<ThreadId> = holders.collect();
        for life in records.states.chunk_by(|a, b| a.thread == b.thread) {
            let id = life[0].thread;
            if !records.threads[id.index()].kernel || holders.contains(&id) {
                self.add_life(id, life, whole);
            }
        }
        self.add_markers();
    }

    fn add_life(&mut self, id: ThreadId, life: &[StateRow], whole: Span) {
        let thread = self.thread(id);
        for row in life {
            let Some(span) = row.span.intersect(whole) else { continue };
            let (stack, innermost, category) = match row.state {
                State::Running => continue,
                State::Runnable => (None, "waiting for a CPU", self.colors.runnable),
                State::Blocked(wait) => {
                    let wait = &self.records().waits[wait];
                    let category = match (wait.cause, wait.rest) {
                        (Some(_), _) => self.colors.harm,
                        (None, true) => self.colors.rest,
                        (None, false) => self.colors.other,
                    };
                    (wait.stack, &*wait.site, category)
                }
            };
            let Some((first, last, count)) = grid(span) else { continue };
            let stack = self.stack(id, stack, Some((innermost, category)));
            self.profile.add_sample(thread, at(first), stack, CpuDelta::ZERO, 1);
            if count > 1 {
                let weight = i32::try_from(count - 1).unwrap_or(i32::MAX);
                self.profile.add_sample(thread, at(last), stack, CpuDelta::ZERO, weight);
            }
        }
    }

    /// The sums of a profile without times, one behind the other on a made-up clock.
    fn add_sums(&mut self) {
        let mut clock: BTreeMap<ThreadId, u64> = BTreeMap::new();
        for row in &self.records().profile {
            let thread = self.thread(row.thread);
            let category = match (row.cause, row.rest) {
                (Some(_), _) => self.colors.harm,
                (None, true) => self.colors.rest,
                (None, false) => self.colors.other,
            };
            let stack = self.stack(row.thread, row.stack, Some((&row.site, category)));
            let now = clock.entry(row.thread).or_default();
            let weight = row.off_cpu.0.saturating_add(INTERVAL_NS / 2) / INTERVAL_NS;
            let weight = i32::try_from(weight).unwrap_or(i32::MAX);
            if weight > 0 {
                self.profile.add_sample(thread, at(*now), stack, CpuDelta::ZERO, weight);
                *now = now.saturating_add(row.off_cpu.0);
            }
        }
    }

    /// A thread's track, new or known.
    fn thread(&mut self, id: ThreadId) -> ThreadHandle {
        if let Some(&known) = self.threads.get(&id) {
            return known;
        }
        let row = &self.records().threads[id.index()];
        let start = at(row.born.map_or(0, |born| born.0));
        let process = *self.processes.entry(row.process).or_insert_with(|| {
            self.profile.add_process(&row.process_comm, labels::pid(row), start)
        });
        let is_main = row.tid == row.pid;
        let thread = self.profile.add_thread(process, labels::tid(row), start, is_main);
        self.profile.set_thread_name(thread, &row.comm);
        self.profile.set_thread_show_markers_in_timeline(thread, true);
        if let Some(ended) = row.ended {
            self.profile.set_thread_end_time(thread, at(ended.0));
        }
        self.threads.insert(id, thread);
        thread
    }

    /// A stack of a thread, with what it waited for as the innermost frame.
    fn stack(
        &mut self,
        id: ThreadId,
        stack: Option<u32>,
        innermost: Option<(&str, CategoryHandle)>,
    ) -> Option<StackHandle> {
        let key = (id, stack, innermost.map_or("", |(name, _)| name).to_owned());
        if let Some(&known) = self.stacks.get(&key) {
            return Some(known);
        }
        let records = self.records();
        let frames = stack.map_or(&[][..], |stack| &records.stacks[stack as usize]);
        let names = frames.iter().map(|&frame| {
            let kernel = records.frames[frame as usize].mode == Mode::Kernel;
            let category = if kernel { self.colors.kernel } else { self.colors.user };
            (self.labels[frame as usize].as_str(), category)
        });
        let infos: Vec<FrameInfo> = names
            .chain(innermost)
            .map(|(name, category)| FrameInfo {
                frame: Frame::Label(self.profile.intern_string(name)),
                category_pair: category.into(),
                flags: FrameFlags::empty(),
            })
            .collect();
        let thread = self.thread(id);
        let handle = self.profile.intern_stack_frames(thread, infos.into_iter())?;
        self.stacks.insert(key, handle);
        Some(handle)
    }

    /// Shows the threads first that stood still longest in the worst freeze.
    fn show_first(&mut self) {
        let Some(worst) = self.source.findings.verdict.window else { return };
        let mut blocked: BTreeMap<ThreadId, u64> = BTreeMap::new();
        for wait in self.records().waits.iter().filter(|wait| wait.window == Some(worst)) {
            *blocked.entry(wait.thread).or_default() += wait.span.duration().0;
        }
        let mut order: Vec<(ThreadId, u64)> = blocked.into_iter().collect();
        order.sort_by_key(|&(thread, time)| (std::cmp::Reverse(time), thread));
        let handles = order.iter().filter_map(|(thread, _)| self.threads.get(thread));
        let handles: Vec<ThreadHandle> = handles.copied().take(VISIBLE).collect();
        if let Some(&first) = handles.first() {
            self.profile.add_initial_selected_thread(first);
        }
        for thread in handles {
            self.profile.add_initial_visible_thread(thread);
        }
    }
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos_since_reference(nanos)
}

/// The first and the last moment of the grid that lie in a span, and how many there are.
fn grid(span: Span) -> Option<(u64, u64, u64)> {
    let first = span.start.0.div_ceil(INTERVAL_NS);
    let behind = span.end.0.div_ceil(INTERVAL_NS);
    let count = behind.checked_sub(first).filter(|&count| count > 0)?;
    Some((first.checked_mul(INTERVAL_NS)?, (behind - 1) * INTERVAL_NS, count))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Timestamp;

    use super::*;

    #[test]
    fn a_span_counts_for_the_moments_of_the_grid_that_it_covers() {
        let of = |start, end| grid(Span::new(Timestamp(start), Timestamp(end)));
        assert_eq!(of(1_000_000, 3_000_000), Some((1_000_000, 2_000_000, 2)));
        assert_eq!(of(1_000_001, 3_000_001), Some((2_000_000, 3_000_000, 2)));
        assert_eq!(of(1_000_001, 2_000_000), None);
        assert_eq!(of(0, 1), Some((0, 0, 1)));
    }
}
