//! Which attribute is which event.

use linux_perf_event_reader::{PerfEventType, SamplingPolicy, SoftwareCounterType};
use rustc_hash::FxHashMap;

use super::header::Attribute;
use super::sample::SampleLayout;
use super::tracepoint::Tracepoint;
use super::tracing_data::TracingData;
use crate::capture::{EventCount, Meaning};

/// One event of the recording, ready to decode.
pub(super) struct EventPlan {
    pub layout: SampleLayout,
    pub decoder: Decoder,
    pub count: EventCount,
    /// Records that were shorter than their own description.
    pub unreadable: u64,
}

/// How an event's samples are decoded.
pub(super) enum Decoder {
    Tracepoint(Tracepoint),
    /// A sample of what ran on a CPU.
    OnCpu,
    PageFault,
    /// Counted by name only.
    Unknown,
}

/// All events, found by the id that stands in each record.
pub(super) struct EventPlans {
    pub plans: Vec<EventPlan>,
    by_id: FxHashMap<u64, usize>,
}

impl EventPlans {
    pub fn new(attributes: &[Attribute], tracing: &TracingData, big_endian: bool) -> Self {
        let mut by_id = FxHashMap::default();
        for (index, attribute) in attributes.iter().enumerate() {
            by_id.extend(attribute.ids.iter().map(|&id| (id, index)));
        }
        let plans = attributes
            .iter()
            .map(|attribute| EventPlan::new(attribute, tracing, big_endian))
            .collect();
        Self { plans, by_id }
    }

    /// The event that a sample belongs to. Without an id in the sample it can only be the first: perf
    /// leaves ids out when there is one event.
    pub fn of_sample(&self, body: &[u8]) -> Option<usize> {
        let first = self.plans.first()?;
        match first.layout.id(body) {
            Some(id) => self.by_id.get(&id).copied(),
            None => Some(0),
        }
    }

    /// Layout of the trailer of records that are no samples; perf gives all events the same one.
    pub fn trailer(&self) -> Option<&SampleLayout> {
        self.plans.first().map(|plan| &plan.layout)
    }
}

impl EventPlan {
    fn new(attribute: &Attribute, tracing: &TracingData, big_endian: bool) -> Self {
        let layout = SampleLayout::new(attribute, big_endian);
        let (name, decoder, meaning) = recognise(attribute, tracing, big_endian);
        let every_one = match attribute.attr.sampling_policy {
            SamplingPolicy::Period(period) => period.get() == 1,
            SamplingPolicy::NoSampling => true,
            SamplingPolicy::Frequency(_) => false,
        };
        let sampled = matches!(attribute.attr.type_, PerfEventType::Tracepoint(_)) && !every_one;
        let count = EventCount { name, count: 0, meaning, sampled };
        Self { layout, decoder, count, unreadable: 0 }
    }
}

fn recognise(
    attribute: &Attribute,
    tracing: &TracingData,
    big_endian: bool,
) -> (String, Decoder, Option<Meaning>) {
    let named = |fallback: &str| attribute.name.clone().unwrap_or_else(|| fallback.to_owned());
    let on_cpu = |name: &str| (named(name), Decoder::OnCpu, Some(Meaning::Samples));
    match attribute.attr.type_ {
        PerfEventType::Tracepoint(id) => recognise_tracepoint(attribute, id, tracing, big_endian),
        PerfEventType::Software(SoftwareCounterType::CpuClock) => on_cpu("cpu-clock"),
        PerfEventType::Software(SoftwareCounterType::TaskClock) => on_cpu("task-clock"),
        PerfEventType::Software(
            SoftwareCounterType::PageFaults
            | SoftwareCounterType::PageFaultsMin
            | SoftwareCounterType::PageFaultsMaj,
        ) => (named("page-faults"), Decoder::PageFault, Some(Meaning::PageFaults)),
        PerfEventType::Software(_) => (named("software event"), Decoder::Unknown, None),
        PerfEventType::Hardware(..) => on_cpu("cycles"),
        _ => (named("other event"), Decoder::Unknown, None),
    }
}

fn recognise_tracepoint(
    attribute: &Attribute,
    id: u64,
    tracing: &TracingData,
    big_endian: bool,
) -> (String, Decoder, Option<Meaning>) {
    let Some((system, format)) = tracing.format(id) else {
        let name = attribute.name.clone().unwrap_or_else(|| format!("tracepoint {id}"));
        return (name, Decoder::Unknown, None);
    };
    let name = format!("{system}:{}", format.name);
    match Tracepoint::new(system, format, big_endian) {
        Some((decoder, meaning)) => (name, Decoder::Tracepoint(decoder), Some(meaning)),
        None => (name, Decoder::Unknown, None),
    }
}
