//! Perfetto's trace format: tracks and events as protocol buffers, for ui.perfetto.dev and its trace processor.
//!
//! ```text
//! freezes            |------ freeze of db ------|        one slice a freeze
//! culprits           |--- mmap by db ---------|          the call at its root
//! process db
//!   thread db        running | blocked: mmap_lock | ...  what the thread did; wakings are arrows
//!     memory calls   | mmap |                            below the thread, with sizes and flags
//!     holds          |---- holds mmap_lock ----|
//! ```

mod fields;
mod proto;
mod trace;

use std::collections::BTreeMap;
use std::io::Write;

use coldcase_analyze::findings::{Cause, LockMode, Operation, Window};
use coldcase_analyze::records::{HoldRow, MemoryCallRow, Records, State, StateRow, WaitRow};
use coldcase_ingest::capture::{ProcessId, Span, ThreadId};

use crate::Source;
use crate::error::ExportError;
use crate::labels;
use trace::{Event, Note, Trace, Track};

/// Writes a trace. A profile without times has no events, and its trace none but the names of its threads.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_perfetto(source: Source<'_>, out: impl Write) -> Result<(), ExportError> {
    let mut trace = Trace::new(out);
    write_freezes(source, &mut trace)?;
    let mut writer = Writer::new(source.records, trace);
    let lives = source.records.states.chunk_by(|a, b| a.thread == b.thread);
    for life in lives {
        writer.write_life(life)?;
    }
    writer.write_wakings()?;
    writer.write_memory_calls()?;
    writer.write_holds()?;
    writer.trace.finish()
}

fn write_freezes<W: Write>(source: Source<'_>, trace: &mut Trace<W>) -> Result<(), ExportError> {
    for window in &source.findings.windows {
        let Some(span) = window.freeze.span else { continue };
        // Freezes of two processes can overlap, so each has a track of its own; those of a name are drawn as one.
        let track = trace.track("freezes", None)?;
        let name = format!("freeze of {}", window.freeze.comm);
        let event = Event {
            category: "freeze",
            name: &name,
            notes: freeze_notes(window),
            ..Event::default()
        };
        slice(trace, track, span, &event)?;
        write_culprit(window, trace)?;
    }
    Ok(())
}

fn freeze_notes(window: &Window) -> Vec<Note<'_>> {
    vec![
        Note::Text("cause", window.cause.map_or("unknown", Cause::word)),
        Note::Text("grade", window.grade.word()),
        Note::Number("threads_blocked", window.freeze.threads_blocked.into()),
        Note::Number("blocked_ns", window.freeze.blocked.0),
    ]
}

/// The call at the root of a freeze, if the capture shows when it began and how long it took.
fn write_culprit<W: Write>(window: &Window, trace: &mut Trace<W>) -> Result<(), ExportError> {
    let Some(culprit) = &window.culprit else { return Ok(()) };
    let (Some(start), Some(duration)) = (culprit.start, culprit.duration) else { return Ok(()) };
    let track = trace.track("culprits", None)?;
    let operation = culprit.operation.map_or("a call", Operation::word);
    let name = format!("{operation} by {}", culprit.thread.comm);
    let flags = culprit.flags.join("|");
    let mut notes = vec![Note::Text("flags", &flags)];
    notes
        .extend(culprit.thread.tid.and_then(|tid| Some(Note::Number("tid", tid.try_into().ok()?))));
    notes.extend(culprit.bytes.map(|bytes| Note::Number("size_bytes", bytes)));
    notes.extend(culprit.held.map(|held| Note::Number("held_ns", held.0)));
    let event = Event { category: "culprit", name: &name, notes, ..Event::default() };
    slice(trace, track, Span::new(start, start.plus(duration)), &event)
}

fn slice<W: Write>(
    trace: &mut Trace<W>,
    track: Track,
    span: Span,
    event: &Event<'_>,
) -> Result<(), ExportError> {
    trace.begin(track, span.start.0, event)?;
    trace.end(track, span.end.0)
}

struct Writer<'a, W> {
    records: &'a Records,
    trace: Trace<W>,
    processes: BTreeMap<ProcessId, Track>,
    threads: BTreeMap<ThreadId, Track>,
    labels: Vec<String>,
    /// Waits whose waking is drawn as an arrow.
    arrows: Vec<usize>,
}

impl<'a, W: Write> Writer<'a, W> {
    fn new(records: &'a Records, trace: Trace<W>) -> Self {
        let labels = records.frames.iter().map(labels::frame).collect();
        let (processes, threads, arrows) = Default::default();
        Self { records, trace, processes, threads, labels, arrows }
    }

    /// What a thread did, from begin to end.
    fn write_life(&mut self, life: &[StateRow]) -> Result<(), ExportError> {
        let track = self.thread(life[0].thread)?;
        let mut woken = None;
        for row in life {
            let (begin, end) = (row.span.start.0, row.span.end.0);
            let flow_to = woken.take();
            match row.state {
                State::Running | State::Runnable => {
                    let name = if row.state == State::Running { "running" } else { "runnable" };
                    let event = Event { category: "state", name, flow_to, ..Event::default() };
                    self.trace.begin(track, begin, &event)?;
                }
                State::Blocked(wait) => {
                    let row = &self.records.waits[wait];
                    self.begin_wait(track, begin, row)?;
                    if row.cause.is_some() && row.waker.is_some() {
                        woken = Some(flow(wait));
                        self.arrows.push(wait);
                    }
                }
            }
            self.trace.end(track, end)?;
        }
        Ok(())
    }

    fn begin_wait(&mut self, track: Track, begin: u64, wait: &WaitRow) -> Result<(), ExportError> {
        let name = format!("blocked: {}", wait.site);
        let category = match (wait.cause, wait.rest) {
            (Some(cause), _) => cause.word(),
            (None, true) => "rest",
            (None, false) => "off_cpu",
        };
        let stack = self.stack(wait.stack);
        let mut notes = vec![Note::Text("how_it_ended", &wait.how)];
        notes.extend((!stack.is_empty()).then_some(Note::Text("stack", &stack)));
        let event = Event { category, name: &name, notes, ..Event::default() };
        self.trace.begin(track, begin, &event)
    }

    /// A stack in a line, the innermost frame first.
    fn stack(&self, stack: Option<u32>) -> String {
        let frames = stack.map_or(&[][..], |stack| &self.records.stacks[stack as usize]);
        let labels = frames.iter().rev().map(|&frame| self.labels[frame as usize].as_str());
        labels.collect::<Vec<_>>().join(" < ")
    }

    /// Where an arrow begins: a moment on the waker's track.
    fn write_wakings(&mut self) -> Result<(), ExportError> {
        for wait in std::mem::take(&mut self.arrows) {
            let row = &self.records.waits[wait];
            let Some(waker) = row.waker else { continue };
            let track = self.thread(waker)?;
            let name =
                format!("wakes {}", labels::thread(&self.records.threads[row.thread.index()]));
            let flow_from = Some(flow(wait));
            let event = Event { category: "wakeup", name: &name, flow_from, ..Event::default() };
            self.trace.instant(track, row.span.end.0, &event)?;
        }
        Ok(())
    }

    fn write_memory_calls(&mut self) -> Result<(), ExportError> {
        let mut tracks: BTreeMap<ThreadId, Track> = BTreeMap::new();
        let whole = self.records.span;
        for call in &self.records.memory_calls {
            let Some(whole) = whole else { break };
            let track = self.below(&mut tracks, call.thread, call.thread, "memory calls")?;
            let start = call.start.unwrap_or(whole.start.min(call.end.unwrap_or(whole.start)));
            let span = Span::new(start, call.end.unwrap_or(whole.end));
            self.write_memory_call(track, span, call)?;
        }
        Ok(())
    }

    fn write_memory_call(
        &mut self,
        track: Track,
        span: Span,
        call: &MemoryCallRow,
    ) -> Result<(), ExportError> {
        let flags = call.flags.join("|");
        let mut notes = vec![Note::Text("flags", &flags)];
        notes.extend(call.bytes.map(|bytes| Note::Number("size_bytes", bytes)));
        let name = call.operation.word();
        let event = Event { category: "memory", name, notes, ..Event::default() };
        slice(&mut self.trace, track, span, &event)
    }

    /// A thread can hold several locks at once: each lock has a track of its own below it.
    fn write_holds(&mut self) -> Result<(), ExportError> {
        let mut tracks = BTreeMap::new();
        for hold in &self.records.holds {
            let key = (hold.thread, hold.lock, hold.process, hold.address);
            let track = self.below(&mut tracks, key, hold.thread, "holds")?;
            self.write_hold(track, hold)?;
        }
        Ok(())
    }

    fn write_hold(&mut self, track: Track, hold: &HoldRow) -> Result<(), ExportError> {
        let mode = hold.mode.map_or(String::new(), |mode| format!(" ({})", LockMode::word(mode)));
        let name = format!("holds {}{mode}", hold.lock.map_or("a lock", Cause::word));
        let mut notes = vec![Note::Text("evidence", hold.evidence)];
        notes.extend(hold.operation.map(|operation| Note::Text("operation", operation.word())));
        notes.extend(hold.bytes.map(|bytes| Note::Number("size_bytes", bytes)));
        let event = Event { category: "hold", name: &name, notes, ..Event::default() };
        slice(&mut self.trace, track, hold.span, &event)
    }

    /// A track below a thread's, new or known.
    fn below<K: Ord>(
        &mut self,
        tracks: &mut BTreeMap<K, Track>,
        key: K,
        thread: ThreadId,
        name: &str,
    ) -> Result<Track, ExportError> {
        if let Some(&known) = tracks.get(&key) {
            return Ok(known);
        }
        let parent = self.thread(thread)?;
        let track = self.trace.track(name, Some(parent))?;
        tracks.insert(key, track);
        Ok(track)
    }

    /// A thread's track, new or known.
    fn thread(&mut self, id: ThreadId) -> Result<Track, ExportError> {
        if let Some(&known) = self.threads.get(&id) {
            return Ok(known);
        }
        let row = &self.records.threads[id.index()];
        let number =
            |number: Option<i32>| number.and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
        if !self.processes.contains_key(&row.process) {
            let track = self.trace.process(number(row.pid), &row.process_comm)?;
            self.processes.insert(row.process, track);
        }
        let track = self.trace.thread(number(row.pid), number(row.tid), &row.comm)?;
        self.threads.insert(id, track);
        Ok(track)
    }
}

/// An arrow's number, by its wait's; 0 is none.
fn flow(wait: usize) -> u64 {
    wait as u64 + 1
}
