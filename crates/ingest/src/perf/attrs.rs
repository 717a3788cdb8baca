//! Which attribute is which event.

use linux_perf_event_reader::RecordType;

use super::attr::EventAttr;
use super::event_name::{HARDWARE, HARDWARE_CACHE, RAW, SOFTWARE, TRACEPOINT, event_name};
use super::header::Attribute;
use super::off_cpu;
use super::records::Record;
use super::sample::SampleLayout;
use super::tracepoint::Tracepoint;
use super::tracing_data::TracingData;
use crate::capture::{EventCount, Meaning, Nanos, SeededMap};

/// One event of the recording, ready to decode.
pub(super) struct EventPlan {
    pub layout: SampleLayout,
    pub decoder: Decoder,
    pub count: EventCount,
    /// Records that were shorter than their own description.
    pub unreadable: u64,
    /// The id of a tracepoint whose description the file does not have.
    undescribed: Option<u64>,
}

/// How an event's samples are decoded.
pub(super) enum Decoder {
    Tracepoint(Tracepoint),
    /// A sample of what ran on a CPU.
    OnCpu,
    PageFault,
    /// Time that a thread was off its CPU, summed up by perf.
    OffCpu,
    /// Counted by name only.
    Unknown,
}

/// `PERF_COUNT_SW_*`.
const CPU_CLOCK: u64 = 0;
const TASK_CLOCK: u64 = 1;
const PAGE_FAULTS: u64 = 2;
const MINOR_FAULTS: u64 = 5;
const MAJOR_FAULTS: u64 = 6;
const BPF_OUTPUT: u64 = 10;

/// All events, found by the id that stands in each record.
pub(super) struct EventPlans {
    pub plans: Vec<EventPlan>,
    by_id: ById,
}

/// Numbers of events by their ids. The kernel counts ids up, so that a recording's lie close together and a place for
/// each takes little room; it is asked for with every sample.
struct ById {
    first: u64,
    near: Vec<Option<u32>>,
    far: SeededMap<u64, usize>,
}

impl ById {
    /// So many ids get a place of their own: 64 events on 256 CPUs have as many.
    const NEAR: u64 = 1 << 14;

    fn new(attributes: &[Attribute]) -> Self {
        let ids = || attributes.iter().flat_map(|attribute| &attribute.ids).copied();
        let first = ids().min().unwrap_or(0);
        let last = ids().max().unwrap_or(0);
        let places = if last - first < Self::NEAR { last - first + 1 } else { 0 };
        let mut by_id = Self {
            first,
            near: vec![None; usize::try_from(places).unwrap_or(0)],
            far: SeededMap::default(),
        };
        for (index, attribute) in attributes.iter().enumerate() {
            for &id in &attribute.ids {
                match by_id.near.get_mut((id - first) as usize) {
                    Some(place) => *place = u32::try_from(index).ok(),
                    None => {
                        by_id.far.insert(id, index);
                    }
                }
            }
        }
        by_id
    }

    fn get(&self, id: u64) -> Option<usize> {
        if self.far.is_empty() {
            let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
            return self.near.get(place)?.map(|index| index as usize);
        }
        self.far.get(&id).copied()
    }
}

impl EventPlans {
    pub fn new(attributes: &[Attribute], tracing: &TracingData, big_endian: bool) -> Self {
        let plans = attributes
            .iter()
            .map(|attribute| EventPlan::new(attribute, tracing, big_endian))
            .collect();
        Self { plans, by_id: ById::new(attributes) }
    }

    /// The event that a sample belongs to. Where there is one event only, perf may leave ids out, and what
    /// perf made up itself has the id 0: both belong to the first.
    pub fn of_sample(&self, body: &[u8]) -> Option<usize> {
        let first = self.plans.first()?;
        match first.layout.id(body) {
            Some(id) if id != 0 && self.plans.len() > 1 => self.by_id.get(id),
            _ => Some(0),
        }
    }

    /// The id of a sample's tracepoint and its layout, if the tracepoint's description is missing.
    pub fn undescribed(&self, record: &Record<'_>) -> Option<(u64, &SampleLayout)> {
        if RecordType(record.kind) != RecordType::SAMPLE {
            return None;
        }
        let plan = &self.plans[self.of_sample(record.body)?];
        Some((plan.undescribed?, &plan.layout))
    }

    /// Whether the description of any tracepoint is missing.
    pub fn lacks_descriptions(&self) -> bool {
        self.plans.iter().any(|plan| plan.undescribed.is_some())
    }

    /// Layout of the trailer of a record that is no sample. Events whose samples differ have their id at the
    /// very end; otherwise all have the same one.
    pub fn trailer(&self, body: &[u8]) -> Option<&SampleLayout> {
        let first = &self.plans.first()?.layout;
        let plan = first.trailing_id(body).and_then(|id| self.by_id.get(id));
        plan.map_or(Some(first), |plan| Some(&self.plans[plan].layout))
    }
}

impl EventPlan {
    fn new(attribute: &Attribute, tracing: &TracingData, big_endian: bool) -> Self {
        let layout = SampleLayout::new(attribute, big_endian);
        let (name, decoder, meaning) = recognise(attribute, tracing, big_endian);
        let sampled = attribute.attr.kind == TRACEPOINT && !attribute.attr.is_every_one();
        let attr = &attribute.attr;
        let every = clock_period(attr);
        let count = EventCount { name, count: 0, meaning, sampled, every };
        let undescribed = (attr.kind == TRACEPOINT && tracing.format(attr.config).is_none())
            .then_some(attr.config);
        Self { layout, decoder, count, unreadable: 0, undescribed }
    }
}

/// The period of a clock: one that is given as a frequency is fixed when the event is opened (`perf_swevent_init_hrtimer`,
/// `kernel/events/core.c`).
fn clock_period(attr: &EventAttr) -> Option<Nanos> {
    const SECOND: u64 = 1_000_000_000;
    if !matches!((attr.kind, attr.config), (SOFTWARE, CPU_CLOCK | TASK_CLOCK)) {
        return None;
    }
    let period = if attr.is_frequency() { SECOND.checked_div(attr.period)? } else { attr.period };
    Some(Nanos(period)).filter(|&period| period > Nanos::ZERO)
}

fn recognise(
    attribute: &Attribute,
    tracing: &TracingData,
    big_endian: bool,
) -> (String, Decoder, Option<Meaning>) {
    let attr = &attribute.attr;
    let name = || attribute.name.clone().unwrap_or_else(|| event_name(attr));
    match (attr.kind, attr.config) {
        (TRACEPOINT, id) => recognise_tracepoint(attribute, id, tracing, big_endian),
        (SOFTWARE, CPU_CLOCK | TASK_CLOCK) | (HARDWARE | HARDWARE_CACHE | RAW, _) => {
            (name(), Decoder::OnCpu, Some(Meaning::Samples))
        }
        (SOFTWARE, PAGE_FAULTS | MINOR_FAULTS | MAJOR_FAULTS) => {
            (name(), Decoder::PageFault, Some(Meaning::PageFaults))
        }
        (SOFTWARE, BPF_OUTPUT) if attribute.name.as_deref() == Some(off_cpu::NAME) => {
            (name(), Decoder::OffCpu, Some(Meaning::OffCpuProfile))
        }
        _ => (name(), Decoder::Unknown, None),
    }
}

fn recognise_tracepoint(
    attribute: &Attribute,
    id: u64,
    tracing: &TracingData,
    big_endian: bool,
) -> (String, Decoder, Option<Meaning>) {
    let Some((system, format)) = tracing.format(id) else {
        let name = attribute.name.clone().unwrap_or_else(|| event_name(&attribute.attr));
        return (name, Decoder::Unknown, None);
    };
    let name = format!("{system}:{}", format.name);
    match Tracepoint::new(system, format, big_endian) {
        Some((decoder, meaning)) => (name, Decoder::Tracepoint(decoder), Some(meaning)),
        None => (name, Decoder::Unknown, None),
    }
}
