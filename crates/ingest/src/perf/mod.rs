//! perf.data, written to a file or to a pipe, into a [`Capture`].
//!
//! ```text
//! bytes --records--> one record --decode--> Event --order--> in order of time --build--> Capture
//! ```
//!
//! `stages` runs the first two in two threads, which take blocks of the file in turns, and the last two in a third.
//!
//! One pass over the file: a record is decoded where it lies into a few words, its callchain is interned,
//! and only these words are sorted (see `order`). Which thread a number means, and which file an
//! address lies in, depends on the moment, and is looked up afterwards, in order of time.

mod attr;
mod attrs;
mod blocks;
mod broken_off;
mod build;
mod bytes;
mod chains;
mod chapters;
mod clock;
mod cpu_map;
mod decode;
mod dump;
mod emptied;
mod event;
mod event_name;
mod expression;
mod features;
mod format;
mod header;
mod in_order;
mod off_cpu;
mod order;
mod pipe;
mod records;
mod sample;
mod shape;
mod side_sink;
mod sides;
mod source;
mod space;
mod spins;
mod stages;
mod tracepoint;
mod tracing_data;
mod turns;
mod unwind;

use std::ops::Range;

use linux_perf_data::Feature;

use crate::ReadOptions;
use crate::capture::{
    BuildId, Capture, Clock, EventCount, Format, Loss, LossKind, Meaning, Origin, Sentence,
    Timestamp,
};
use crate::error::Problem;
use crate::symbols::Programs;
use attrs::EventPlans;
use build::{Builder, Seen};
pub use chapters::Chapters;
use decode::Decode;
use header::{Features, Header};
pub(crate) use header::{KIND_LENGTH, MAGIC_LENGTH, is_perf_data, is_pipe};
use in_order::InOrder;
use records::Damage;
use shape::Shapes;
use sides::Lane;
pub(crate) use source::Source;
use space::Spaces;
use spins::Spins;
use stages::Read;
use tracing_data::TracingData;
use unwind::Unwinder;

/// Reads a whole perf.data. `parts` are the further files of a recording by several threads, records
/// from their first byte on. `progress` is told how many bytes of how many have been read. Without `chapters`, all rows of
/// events are kept.
pub(crate) fn read(
    file: Source<'_>,
    parts: &[Source<'_>],
    options: ReadOptions<'_>,
    chapters: Option<&mut Chapters<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, Problem> {
    let mut header = Header::parse(file)?;
    let mut notes: Vec<Sentence> = header.damage.take().map(Sentence::from).into_iter().collect();
    let of_pipe = if header.pipe { pipe::read_front(file, &mut header)? } else { None };
    let tracing_section = of_pipe.as_deref().or(header.features.get(Feature::TRACING_DATA));
    let mut tracing = tracing_section.map(TracingData::parse).unwrap_or_default();
    notes.extend(tracing.damage.clone().map(Sentence::from));
    if header.attributes.is_empty() {
        return Err(Problem::at(header.data.start, "no event's description can be read"));
    }
    let stretches = stretches(file, &header, parts);
    let mut plans = EventPlans::new(&header.attributes, &tracing, header.big_endian);
    if plans.lacks_descriptions() {
        notes.push(recognise_by_shape(&stretches, &plans, &header, &mut tracing)?.into());
        plans = EventPlans::new(&header.attributes, &tracing, header.big_endian);
    }
    let use_switch_records =
        !plans.plans.iter().any(|plan| plan.count.meaning == Some(Meaning::Switches));
    let mut builder = Builder {
        capture: Capture { origin: origin(&header), ..Capture::default() },
        rows: InOrder::default(),
        spins: (!options.spins).then(Spins::default),
        spaces: spaces(&header.features),
        unwinder: options.programs.map(Programs::open).map(Unwinder::new),
        seen: options.overview.then(Seen::default),
        use_switch_records,
    };
    let bytes: usize = stretches.iter().map(|(_, range)| range.len()).sum();
    builder.reserve(bytes);
    builder.capture.events = plans.plans.iter().map(|plan| plan.count.clone()).collect();
    let decoders = Lane::all().map(|lane| {
        let plans = EventPlans::new(&header.attributes, &tracing, header.big_endian);
        Decode::new(lane, plans, header.big_endian, options.spins)
    });
    let read = stages::read(&stretches, decoders, &mut builder, chapters, progress)?;
    Ok(finished(builder, read, &header, notes))
}

/// The capture, with what a person must know of it.
fn finished(
    mut builder: Builder,
    read: Read,
    header: &Header<'_>,
    mut notes: Vec<Sentence>,
) -> Capture {
    let Read { decode, damage, late, complete } = read;
    notes.extend(builder.unwinder.iter().flat_map(Unwinder::complaints));
    if builder.spaces.orphans > 0 {
        notes.push(format!(
            "{} processes have too many mappings to be given their parents', too: their frames may have no names",
            builder.spaces.orphans
        ).into());
    }

    builder.sort_late();
    let mut capture = builder.capture;
    let is_cut = damage.last().is_some_and(|last| last.reason == records::BREAKS_OFF);
    // A flight recorder's buffers are emptied once, at its end.
    let is_backward = header.attributes.iter().any(|event| event.attr.is_backward());
    let complete = complete.map(|time| if is_backward { Timestamp(0) } else { time });
    if let Some(complete) = complete.filter(|_| is_cut || header.is_unfinished) {
        broken_off::doubt_what_follows(&mut capture, complete, &mut notes);
    }
    report_damage(&damage, &mut capture, &mut notes);
    if late > 0 {
        notes.push(format!("{late} records came out of order").into());
    }
    notes.extend(decode.complaints());
    capture.events = decode.counts();
    warn_of_losses(&capture, &mut notes);
    capture.warnings.extend(notes);
    capture
}

/// Where records are: behind the header, and in further files all over.
fn stretches<'a>(
    file: Source<'a>,
    header: &Header<'_>,
    parts: &[Source<'a>],
) -> Vec<(Source<'a>, Range<usize>)> {
    let parts = parts.iter().map(|&part| (part, 0..part.len()));
    std::iter::once((file, header.data.clone())).chain(parts).collect()
}

/// Adds descriptions of tracepoints that lack one and that their records reveal, and says what was found.
fn recognise_by_shape(
    stretches: &[(Source<'_>, Range<usize>)],
    plans: &EventPlans,
    header: &Header<'_>,
    tracing: &mut TracingData,
) -> Result<String, Problem> {
    let mut shapes = Shapes::default();
    for (source, range) in stretches {
        records::walk(*source, range.clone(), header.big_endian, |record| {
            shapes.look_at(&record, plans, header.big_endian);
        })?;
    }
    let found = shapes.recognised();
    let missing = "the file does not hold the descriptions of its tracepoints";
    if found.is_empty() {
        return Ok(format!("{missing}: none of them can be read"));
    }
    let names: Vec<String> =
        found.iter().map(|(format, records)| format!("{} ({records})", format.name)).collect();
    for (format, _) in found {
        tracing.add("sched", format);
    }
    Ok(format!(
        "{missing}: {} were recognised by the shape of all their records, the others are only counted",
        names.join(", ")
    ))
}

fn origin(header: &Header<'_>) -> Origin {
    let features = &header.features;
    Origin {
        format: if header.pipe { Format::PerfPipe } else { Format::PerfData },
        kernel: features.string(Feature::OSRELEASE),
        arch: features.string(Feature::ARCH),
        hostname: features.string(Feature::HOSTNAME),
        recorder: features.string(Feature::VERSION).map(|version| format!("perf {version}")),
        command: features.command(),
        cpus: features.cpus_online(),
        kernel_reference: None,
        clock: Clock::Own,
        wall_clock: clock::wall_clock(features.get(Feature::CLOCK_DATA), header.big_endian),
    }
}

fn spaces(features: &Features<'_>) -> Spaces {
    let mut spaces = Spaces::default();
    for (_mode, path, id) in features.build_ids() {
        spaces.add_build_id(String::from_utf8_lossy(path).into_owned(), BuildId(id.into()));
    }
    spaces
}

/// Says what could not be read; of many stretches the first, and how much the others are.
fn report_damage(damage: &[Damage], capture: &mut Capture, notes: &mut Vec<Sentence>) {
    const SPELLED_OUT: usize = 10;
    let (first, others) = damage.split_at(damage.len().min(SPELLED_OUT));
    let mut report = |note: String, bytes: usize| {
        notes.push(note.as_str().into());
        let (kind, count) = (LossKind::Damaged, bytes as u64);
        capture.losses.push(Loss { time: None, kind, count, note });
    };
    for Damage { offset, bytes, reason } in first {
        report(format!("at byte {offset}: {reason} ({bytes} bytes)"), *bytes);
    }
    if let [next, ..] = others {
        let (count, bytes) = (others.len(), others.iter().map(|stretch| stretch.bytes).sum());
        let (offset, reason) = (next.offset, next.reason);
        report(
            format!(
                "{count} further stretches could not be read ({bytes} bytes); the first of them at byte {offset}: {reason}"
            ),
            bytes,
        );
    }
}

fn warn_of_losses(capture: &Capture, notes: &mut Vec<Sentence>) {
    if capture.origin.command.iter().any(|word| word.starts_with("-C") || word == "--cpu") {
        notes.push(
            "only some CPUs were recorded (perf record -C): what threads did on the others is missing".into(),
        );
    }
    if !capture.profile.is_empty() {
        notes.push(
            "perf summed up the time off-CPU itself (--off-cpu): with the program's own frames only, and without waits \
             that had not ended. sched:sched_switch and sched:sched_waking tell more"
                .into(),
        );
    }
    let lost = capture.lost_events();
    if lost > 0 {
        notes.push(
            format!("the recording lost {lost} events: waits and wakeups may be missing").into(),
        );
    }
    let sampled: Vec<&str> = capture
        .events
        .iter()
        .filter(|event: &&EventCount| event.sampled && event.meaning.is_some())
        .map(|event| event.name.as_str())
        .collect();
    if !sampled.is_empty() {
        notes.push(format!(
            "{} were sampled, not all recorded (perf's -F or -c): durations from them mean nothing",
            sampled.join(", ")
        ).into());
    }
}
