//! Two recordings of one freeze, put together without a gap and without an event twice.
//!
//! ```text
//! flight recorder  ...======================|   deaf while it writes its ring out
//! second recorder                        |==========================|
//!                                        ^ cut, when all its events were on
//! joined           ...===================|==========================|
//! ```
//!
//! perf pauses the rings while it copies them out (`PERF_EVENT_IOC_PAUSE_OUTPUT`, `tools/perf/builtin-record.c`, 6.1),
//! for 0.07 s where the machine is quiet, but for 1.2 s in the middle of a freeze in which memory was hard to get: that is why
//! a second dump of the flight recorder would have a hole, and why the second recorder is there.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::layout::{Event, HEADER, Record, Recording, SECTION, u64_at};

/// `perf_event_sample_format`, in the order in which fields stand (`include/uapi/linux/perf_event.h`).
mod field {
    pub const IP: u64 = 1 << 0;
    pub const TID: u64 = 1 << 1;
    pub const TIME: u64 = 1 << 2;
    pub const ID: u64 = 1 << 6;
    pub const CPU: u64 = 1 << 7;
    pub const STREAM_ID: u64 = 1 << 9;
    pub const IDENTIFIER: u64 = 1 << 16;
}

/// `PERF_RECORD_*`.
mod kind {
    pub const MMAP: u32 = 1;
    pub const COMM: u32 = 3;
    pub const FORK: u32 = 7;
    pub const SAMPLE: u32 = 9;
    pub const MMAP2: u32 = 10;
    /// From here on records are perf's own and carry no time.
    pub const USER: u32 = 64;
    pub const FINISHED_ROUND: u32 = 68;
}

/// Sections that hold ids or times of one recording, and would be wrong for both: `HEADER_EVENT_DESC` and
/// `HEADER_SAMPLE_TIME` (`tools/perf/util/header.h`).
const OF_ONE_RECORDING: [u32; 2] = [12, 21];

/// The recordings of one freeze; each may be missing.
#[derive(Default)]
pub struct Recordings {
    /// What the flight recorder had when the alarm came.
    pub flight: Option<Recording>,
    /// What was recorded from the alarm on.
    pub follow: Option<Recording>,
    /// Names and mappings of all processes, taken afterwards.
    pub names: Option<Recording>,
}

/// What was joined.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The first event's time, CLOCK_MONOTONIC in nanoseconds.
    pub first_ns: Option<u64>,
    /// The last event's.
    pub last_ns: Option<u64>,
    /// Samples in the result.
    pub samples: u64,
}

impl Recordings {
    /// Writes one perf.data: the flight recorder's events from `from` to `cut`, the second recorder's from `cut` on. Where
    /// one of the two is missing, all of the other.
    pub fn join(mut self, path: &Path, from: u64, cut: u64) -> io::Result<Joined> {
        let (before, after) = match (&self.flight, &self.follow) {
            (Some(_), Some(_)) => (cut, cut),
            _ => (u64::MAX, 0),
        };
        let parts = [&self.flight, &self.follow, &self.names];
        let events = merged(parts.into_iter().flatten());
        let main = self.flight.as_ref().or(self.follow.as_ref());
        let features = main.map_or_else(Vec::new, |main| kept(&main.features));
        let Some(layout) = events.first().map(Layout::of) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "perf recorded nothing"));
        };
        let mut out = Output::begin(path, &events)?;
        let mut joined = Joined::default();
        if let Some(names) = self.names.as_mut().filter(|names| layout.fits(names)) {
            names.records(|record| match layout.time(&record) {
                // What came and went while they were taken down has a time, later than all else.
                Some(0) if is_name(&record) => out.put(&record),
                _ => Ok(()),
            })?;
        }
        if let Some(flight) = &mut self.flight {
            flight.records(|record| match layout.time(&record) {
                Some(time) if record.kind < kind::USER && (from..before).contains(&time) => {
                    joined.note(&record, time);
                    out.put(&record)
                }
                _ => Ok(()),
            })?;
        }
        if let Some(follow) = &mut self.follow {
            follow.records(|record| match layout.time(&record) {
                Some(time) if record.kind < kind::USER && time >= after => {
                    joined.note(&record, time);
                    out.put(&record)
                }
                _ if record.kind == kind::FINISHED_ROUND => out.put(&record),
                _ => Ok(()),
            })?;
        }
        out.finish(&features)?;
        Ok(joined)
    }
}

impl Joined {
    fn note(&mut self, record: &Record<'_>, time: u64) {
        if record.kind == kind::SAMPLE {
            self.first_ns = Some(self.first_ns.map_or(time, |first| first.min(time)));
            self.last_ns = Some(self.last_ns.map_or(time, |last| last.max(time)));
            self.samples += 1;
        }
    }
}

/// Events of all recordings; the same event has its ids of all.
fn merged<'a>(recordings: impl Iterator<Item = &'a Recording>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for event in recordings.flat_map(|recording| &recording.events) {
        match events.iter_mut().find(|known| known.key() == event.key()) {
            Some(known) => known.ids.extend(&event.ids),
            None => events.push(event.clone()),
        }
    }
    events
}

fn kept(features: &[(u32, Vec<u8>)]) -> Vec<(u32, Vec<u8>)> {
    features.iter().filter(|(number, _)| !OF_ONE_RECORDING.contains(number)).cloned().collect()
}

/// Names and mappings as perf makes them up for what was there already: at time 0.
fn is_name(record: &Record<'_>) -> bool {
    [kind::MMAP, kind::MMAP2, kind::COMM, kind::FORK].contains(&record.kind)
}

/// Where a record's time stands; the same for all events of one perf command.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Layout {
    sample_time: Option<usize>,
    trailer: usize,
    trailer_time: Option<usize>,
}

impl Layout {
    fn of(event: &Event) -> Self {
        let fields = event.sample_type();
        let has = |field: u64| usize::from(fields & field != 0) * 8;
        let before = 8 + has(field::IDENTIFIER) + has(field::IP) + has(field::TID);
        let ids = [field::ID, field::STREAM_ID, field::CPU, field::IDENTIFIER];
        let trailer: usize = [field::TID, field::TIME].into_iter().chain(ids).map(has).sum();
        let timed = fields & field::TIME != 0;
        Self {
            sample_time: timed.then_some(before),
            trailer,
            trailer_time: timed.then_some(has(field::TID)),
        }
    }

    fn fits(self, recording: &Recording) -> bool {
        recording.events.iter().all(|event| Self::of(event) == self)
    }

    fn time(self, record: &Record<'_>) -> Option<u64> {
        if record.kind == kind::SAMPLE {
            return u64_at(record.bytes, self.sample_time?);
        }
        u64_at(record.bytes, record.bytes.len().checked_sub(self.trailer)? + self.trailer_time?)
    }
}

/// The file that is written.
struct Output {
    file: BufWriter<File>,
    attrs: (u64, u64),
    entry: u64,
    data: u64,
    length: u64,
}

impl Output {
    /// Leaves room for the header, and writes the events.
    fn begin(path: &Path, events: &[Event]) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&[0; HEADER as usize])?;
        let mut place = HEADER;
        let mut table = Vec::new();
        for event in events {
            let ids: Vec<u8> = event.ids.iter().flat_map(|id| id.to_ne_bytes()).collect();
            file.write_all(&ids)?;
            table.extend_from_slice(&event.attr);
            table.extend_from_slice(&place.to_ne_bytes());
            table.extend_from_slice(&(ids.len() as u64).to_ne_bytes());
            place += ids.len() as u64;
        }
        file.write_all(&table)?;
        let size = table.len() as u64;
        let entry = size / events.len().max(1) as u64;
        Ok(Self { file, attrs: (place, size), entry, data: place + size, length: 0 })
    }

    fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.length += record.bytes.len() as u64;
        self.file.write_all(record.bytes)
    }

    /// Writes the index, and the header last: a file without it is not taken for whole.
    fn finish(mut self, features: &[(u32, Vec<u8>)]) -> io::Result<()> {
        let mut place = self.data + self.length + features.len() as u64 * SECTION;
        let mut bits = [0_u8; 32];
        for (number, bytes) in features {
            bits[*number as usize / 8] |= 1 << (number % 8);
            self.file.write_all(&place.to_ne_bytes())?;
            self.file.write_all(&(bytes.len() as u64).to_ne_bytes())?;
            place += bytes.len() as u64;
        }
        for (_, bytes) in features {
            self.file.write_all(bytes)?;
        }
        let words = [HEADER, self.entry, self.attrs.0, self.attrs.1, self.data, self.length, 0, 0];
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(b"PERFILE2")?;
        for word in words {
            self.file.write_all(&word.to_ne_bytes())?;
        }
        self.file.write_all(&bits)?;
        self.file.flush()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SAMPLE_TYPE: u64 = field::IDENTIFIER | field::IP | field::TID | field::TIME | field::CPU;

    /// A recording of one event with these ids, a sample at each time, and a name at time 0.
    pub(crate) fn recording(ids: &[u64], times: &[u64]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made");
        let mut attr = vec![0; 128];
        attr[0] = 2;
        attr[24..32].copy_from_slice(&SAMPLE_TYPE.to_ne_bytes());
        let mut out = Output::begin(&path, &[Event { attr, ids: ids.to_vec() }]).unwrap();
        let mut put = |kind: u32, words: &[u64]| {
            let mut bytes = kind.to_ne_bytes().to_vec();
            let size = u16::try_from(8 + words.len() * 8).unwrap();
            bytes.extend([0, 0]);
            bytes.extend(size.to_ne_bytes());
            bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
            out.put(&Record { kind, bytes: &bytes }).unwrap();
        };
        // pid and tid, a name of eight bytes, and the trailer: tid, time, cpu, id.
        put(kind::COMM, &[7, 0x6262, 0, 0, 0, 0]);
        for time in times {
            put(kind::SAMPLE, &[ids[0], 0, 7, *time, 0]);
        }
        put(kind::FINISHED_ROUND, &[]);
        out.finish(&[(3, b"host".to_vec()), (12, b"ids".to_vec())]).unwrap();
        std::fs::read(path).unwrap()
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn put(&self, name: &str, bytes: &[u8]) -> Option<Recording> {
            let path = self.0.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Some(Recording::open(&path).unwrap())
        }

        /// Times of the samples in the result, and its events.
        fn join(
            &self,
            recordings: Recordings,
            from: u64,
            cut: u64,
        ) -> (Joined, Vec<u64>, Recording) {
            let path = self.0.path().join("joined");
            let joined = recordings.join(&path, from, cut).unwrap();
            let mut result = Recording::open(&path).unwrap();
            let layout = Layout::of(&result.events[0]);
            let mut times = Vec::new();
            let read = result.records(|record| {
                if record.kind == kind::SAMPLE {
                    times.extend(layout.time(&record));
                }
                Ok(())
            });
            read.unwrap();
            (joined, times, result)
        }
    }

    fn folder() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    #[test]
    fn every_event_is_there_once() {
        let folder = folder();
        let recordings = Recordings {
            flight: folder.put("flight", &recording(&[1], &[5, 20, 30, 40])),
            follow: folder.put("follow", &recording(&[2], &[30, 40, 50])),
            names: folder.put("names", &recording(&[3], &[60])),
        };
        let (joined, times, result) = folder.join(recordings, 10, 35);
        assert_eq!(times, [20, 30, 40, 50]);
        let expected = Joined { first_ns: Some(20), last_ns: Some(50), samples: 4 };
        assert_eq!(joined, expected);
        assert_eq!(result.events.len(), 1);
        assert_eq!(result.events[0].ids, [1, 2, 3]);
        // The section with the ids of one recording is gone.
        assert_eq!(result.features, [(3, b"host".to_vec())]);
    }

    #[test]
    fn one_recording_alone_is_whole() {
        let folder = folder();
        let bytes = recording(&[1], &[5, 20]);
        let flight = || Recordings { flight: folder.put("a", &bytes), ..Recordings::default() };
        assert_eq!(folder.join(flight(), 0, 10).1, [5, 20]);
        let follow = Recordings { follow: folder.put("b", &bytes), ..Recordings::default() };
        assert_eq!(folder.join(follow, 0, 10).1, [5, 20]);
        let path = folder.0.path().join("none");
        assert!(Recordings::default().join(&path, 0, 10).is_err());
    }

    #[test]
    fn a_recording_that_was_killed_gives_what_it_has() {
        let folder = folder();
        let mut bytes = recording(&[1], &[5, 20, 30]);
        // perf writes the length of the records last.
        bytes[48..56].fill(0);
        bytes.truncate(bytes.len() - 60);
        let killed = Recordings { follow: folder.put("a", &bytes), ..Recordings::default() };
        let (joined, times, _) = folder.join(killed, 0, 0);
        assert_eq!(times[..2], [5, 20]);
        assert!(joined.samples >= 2);
        assert!(Recording::open(&folder.0.path().join("nowhere")).is_err());
        std::fs::write(folder.0.path().join("text"), "no perf.data at all").unwrap();
        assert!(Recording::open(&folder.0.path().join("text")).is_err());
    }
}
