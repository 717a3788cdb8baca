//! Markers: waits, holds, memory calls and freezes, with their exact times.

use coldcase_analyze::findings::{Cause, Culprit, LockMode, Operation, Window};
use coldcase_analyze::records::{HoldRow, MemoryCallRow, WaitRow};
use coldcase_ingest::capture::ThreadId;
use fxprof_processed_profile::{
    CategoryHandle, Marker, MarkerFieldFlags, MarkerFieldFormat, MarkerLocations, MarkerTiming,
    MarkerTypeHandle, Profile, RuntimeSchemaMarkerField, RuntimeSchemaMarkerSchema, StringHandle,
};

use super::{Writer, at};
use crate::labels;

/// A marker of any of the types.
struct Event {
    kind: MarkerTypeHandle,
    name: StringHandle,
    category: CategoryHandle,
    texts: Vec<StringHandle>,
}

impl Marker for Event {
    fn marker_type(&self, _: &mut Profile) -> MarkerTypeHandle {
        self.kind
    }

    fn name(&self, _: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _: &mut Profile) -> CategoryHandle {
        self.category
    }

    fn string_field_value(&self, field: u32) -> StringHandle {
        self.texts[field as usize]
    }

    /// All fields are text: a number could not be unknown.
    fn number_field_value(&self, _: u32) -> f64 {
        f64::NAN
    }
}

/// The types of markers.
struct Kinds {
    wait: MarkerTypeHandle,
    hold: MarkerTypeHandle,
    memory: MarkerTypeHandle,
    freeze: MarkerTypeHandle,
}

impl Kinds {
    fn new(profile: &mut Profile) -> Self {
        let mut kind = |name: &str, fields: &[(&str, &str)]| {
            let fields = fields.iter().map(|(key, label)| RuntimeSchemaMarkerField {
                key: (*key).to_owned(),
                label: (*label).to_owned(),
                format: MarkerFieldFormat::String,
                flags: MarkerFieldFlags::SEARCHABLE,
            });
            profile.register_marker_type(RuntimeSchemaMarkerSchema {
                type_name: name.to_owned(),
                description: None,
                locations: MarkerLocations::MARKER_CHART
                    | MarkerLocations::MARKER_TABLE
                    | MarkerLocations::TIMELINE_OVERVIEW,
                chart_label: Some("{marker.name}".to_owned()),
                tooltip_label: None,
                table_label: Some("{marker.name}".to_owned()),
                fields: fields.collect(),
                graphs: Vec::new(),
            })
        };
        Self {
            wait: kind("Wait", &[("how", "How it ended"), ("waker", "Woken by")]),
            hold: kind("Hold", &[("operation", "In"), ("size", "Size"), ("evidence", "Known by")]),
            memory: kind("MemoryCall", &[("size", "Size"), ("flags", "Flags")]),
            // Not `cause`: of any marker, the Firefox Profiler takes that for the stack it came from, and refuses the
            // whole profile if it is not one.
            freeze: kind(
                "Freeze",
                &[("freeze_cause", "Cause"), ("grade", "Grade"), ("culprit", "Culprit")],
            ),
        }
    }
}

impl Writer<'_> {
    /// All markers of a capture of events.
    pub(super) fn add_markers(&mut self) {
        let kinds = Kinds::new(&mut self.profile);
        let records = self.records();
        for wait in records.waits.iter().filter(|wait| !wait.rest) {
            self.add_wait(&kinds, wait);
        }
        for hold in &records.holds {
            self.add_hold(&kinds, hold);
        }
        for call in &records.memory_calls {
            self.add_memory_call(&kinds, call);
        }
        for window in &self.source.findings.windows {
            self.add_freeze(&kinds, window);
        }
    }

    fn add_wait(&mut self, kinds: &Kinds, wait: &WaitRow) {
        if !self.threads.contains_key(&wait.thread) {
            return;
        }
        let waker = wait.waker.map(|waker| labels::thread(&self.records().threads[waker.index()]));
        let category = if wait.cause.is_some() { self.colors.harm } else { self.colors.other };
        let texts = [wait.how.as_str(), waker.as_deref().unwrap_or("unknown")];
        let timing = MarkerTiming::Interval(at(wait.span.start.0), at(wait.span.end.0));
        let event = self.event(kinds.wait, &wait.site, category, &texts);
        self.add(wait.thread, timing, event, wait.stack);
    }

    fn add_hold(&mut self, kinds: &Kinds, hold: &HoldRow) {
        if !self.threads.contains_key(&hold.thread) {
            return;
        }
        let mode = hold.mode.map_or(String::new(), |mode| format!(" ({})", LockMode::word(mode)));
        let name = format!("holds {}{mode}", hold.lock.map_or("a lock", Cause::word));
        let operation = hold.operation.map_or("unknown", Operation::word);
        let timing = MarkerTiming::Interval(at(hold.span.start.0), at(hold.span.end.0));
        let size = size(hold.bytes);
        let texts = [operation, &size, hold.evidence];
        let event = self.event(kinds.hold, &name, self.colors.kernel, &texts);
        self.add(hold.thread, timing, event, hold.stack);
    }

    fn add_memory_call(&mut self, kinds: &Kinds, call: &MemoryCallRow) {
        if !self.threads.contains_key(&call.thread) {
            return;
        }
        let timing = match (call.start, call.end) {
            (Some(start), Some(end)) => MarkerTiming::Interval(at(start.0), at(end.0)),
            // Its end may only have been lost.
            (Some(start), None) => MarkerTiming::Instant(at(start.0)),
            (None, Some(end)) => MarkerTiming::IntervalEnd(at(end.0)),
            (None, None) => return,
        };
        let (size, flags) = (size(call.bytes), call.flags.join(" | "));
        let name = call.operation.word();
        let event = self.event(kinds.memory, name, self.colors.user, &[&size, &flags]);
        self.add(call.thread, timing, event, call.stack);
    }

    /// On the main thread of what froze, or on the first of its threads.
    fn add_freeze(&mut self, kinds: &Kinds, window: &Window) {
        let Some(span) = window.freeze.span else { return };
        let rows = &self.records().threads;
        let crew = self.threads.keys().filter(|id| rows[id.index()].pid == window.freeze.pid);
        let crew: Vec<ThreadId> = crew.copied().collect();
        let is_main = |id: &&ThreadId| rows[id.index()].tid == window.freeze.pid;
        let Some(&thread) = crew.iter().find(is_main).or(crew.first()) else { return };
        let culprit = window.culprit.as_ref().map_or("unknown".to_owned(), culprit);
        let cause = window.cause.map_or("unknown", Cause::word);
        let name = format!("freeze of {}", window.freeze.comm);
        let texts = [cause, window.grade.word(), &culprit];
        let timing = MarkerTiming::Interval(at(span.start.0), at(span.end.0));
        let event = self.event(kinds.freeze, &name, self.colors.harm, &texts);
        self.add(thread, timing, event, None);
    }

    fn event(
        &mut self,
        kind: MarkerTypeHandle,
        name: &str,
        category: CategoryHandle,
        texts: &[&str],
    ) -> Event {
        let name = self.profile.intern_string(name);
        let texts = texts.iter().map(|text| self.profile.intern_string(text)).collect();
        Event { kind, name, category, texts }
    }

    fn add(&mut self, id: ThreadId, timing: MarkerTiming, event: Event, stack: Option<u32>) {
        let thread = self.thread(id);
        let marker = self.profile.add_marker(thread, timing, event);
        if stack.is_some() {
            let stack = self.stack(id, stack, None);
            self.profile.set_marker_stack(thread, marker, stack);
        }
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{bytes} bytes"))
}

/// Who did it, and in which call.
fn culprit(culprit: &Culprit) -> String {
    let who = &culprit.thread;
    let tid = who.tid.map_or(String::new(), |tid| format!(" (tid {tid})"));
    let operation = culprit.operation.map_or(String::new(), |call| format!(" in {}", call.word()));
    let bytes = culprit.bytes.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
    format!("{}{tid}{operation}{bytes}", who.comm)
}
