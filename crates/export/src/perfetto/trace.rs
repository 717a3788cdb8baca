//! A trace as it is written: packets, one behind the other, in which names are spelled out once.

use std::collections::BTreeMap;
use std::io::Write;

use super::fields::{TRACE_PACKET, event, interned, packet, track};
use super::proto::Message;
use crate::error::ExportError;

/// Any number: there is one writer.
const SEQUENCE: u64 = 1;

/// Writes packets.
pub(super) struct Trace<W> {
    out: W,
    tables: [Names; 4],
    /// Names that the next packet has to spell out.
    new: Message,
    begun: bool,
    tracks: u64,
}

/// A table of names, by the field that spells them out.
#[derive(Default)]
struct Names(BTreeMap<String, u64>);

/// Which table.
#[derive(Clone, Copy)]
enum Of {
    Category,
    Event,
    Annotation,
    Text,
}

/// A track's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Track(u64);

/// Something that is told of an event.
pub(super) enum Note<'a> {
    Text(&'a str, &'a str),
    Number(&'a str, u64),
}

/// What begins, or happens, on a track.
#[derive(Default)]
pub(super) struct Event<'a> {
    pub category: &'a str,
    pub name: &'a str,
    pub notes: Vec<Note<'a>>,
    /// An arrow that begins here.
    pub flow_from: Option<u64>,
    /// An arrow that ends here.
    pub flow_to: Option<u64>,
}

impl<W: Write> Trace<W> {
    pub fn new(out: W) -> Self {
        let (tables, new) = Default::default();
        Self { out, tables, new, begun: false, tracks: 0 }
    }

    /// A process's track.
    pub fn process(&mut self, pid: u64, name: &str) -> Result<Track, ExportError> {
        let process =
            Message::default().number(track::PROCESS_PID, pid).text(track::PROCESS_NAME, name);
        self.describe(|message| message.message(track::PROCESS, process))
    }

    /// A thread's track.
    pub fn thread(&mut self, pid: u64, tid: u64, name: &str) -> Result<Track, ExportError> {
        let thread = Message::default().number(track::THREAD_PID, pid);
        let thread = thread.number(track::THREAD_TID, tid).text(track::THREAD_NAME, name);
        self.describe(|message| message.message(track::THREAD, thread))
    }

    /// A track with a name, below another one or on its own.
    pub fn track(&mut self, name: &str, parent: Option<Track>) -> Result<Track, ExportError> {
        self.describe(|message| {
            let message = message.text(track::NAME, name);
            match parent {
                Some(parent) => message.number(track::PARENT_UUID, parent.0),
                None => message,
            }
        })
    }

    /// Something begins. What began last on a track ends first.
    pub fn begin(&mut self, track: Track, time: u64, what: &Event<'_>) -> Result<(), ExportError> {
        let message = self.event(what);
        self.event_packet(track, time, event::SLICE_BEGIN, message)
    }

    /// What began last on a track ends.
    pub fn end(&mut self, track: Track, time: u64) -> Result<(), ExportError> {
        self.event_packet(track, time, event::SLICE_END, Message::default())
    }

    /// Something happens.
    pub fn instant(
        &mut self,
        track: Track,
        time: u64,
        what: &Event<'_>,
    ) -> Result<(), ExportError> {
        let message = self.event(what);
        self.event_packet(track, time, event::INSTANT, message)
    }

    /// Hands over what is still held back.
    pub fn finish(mut self) -> Result<(), ExportError> {
        Ok(self.out.flush()?)
    }

    fn event(&mut self, what: &Event<'_>) -> Message {
        let mut message = Message::default()
            .number(event::CATEGORY_IIDS, self.name(Of::Category, what.category))
            .number(event::NAME_IID, self.name(Of::Event, what.name));
        for note in &what.notes {
            let note = match note {
                Note::Text(name, text) => Message::default()
                    .number(event::ANNOTATION_NAME_IID, self.name(Of::Annotation, name))
                    .number(event::ANNOTATION_STRING_IID, self.name(Of::Text, text)),
                Note::Number(name, number) => Message::default()
                    .number(event::ANNOTATION_NAME_IID, self.name(Of::Annotation, name))
                    .number(event::ANNOTATION_UINT, *number),
            };
            message = message.message(event::DEBUG_ANNOTATIONS, note);
        }
        if let Some(flow) = what.flow_from {
            message = message.fixed(event::FLOW_IDS, flow);
        }
        if let Some(flow) = what.flow_to {
            message = message.fixed(event::TERMINATING_FLOW_IDS, flow);
        }
        message
    }

    /// A name's number; 0 is none.
    fn name(&mut self, of: Of, name: &str) -> u64 {
        let field = match of {
            Of::Category => interned::EVENT_CATEGORIES,
            Of::Event => interned::EVENT_NAMES,
            Of::Annotation => interned::ANNOTATION_NAMES,
            Of::Text => interned::ANNOTATION_STRINGS,
        };
        let names = &mut self.tables[of as usize].0;
        if let Some(&known) = names.get(name) {
            return known;
        }
        let number = names.len() as u64 + 1;
        names.insert(name.to_owned(), number);
        let entry = Message::default().number(interned::IID, number).text(interned::TEXT, name);
        self.new = std::mem::take(&mut self.new).message(field, entry);
        number
    }

    fn event_packet(
        &mut self,
        track: Track,
        time: u64,
        kind: u64,
        message: Message,
    ) -> Result<(), ExportError> {
        let message = message.number(event::TYPE, kind).number(event::TRACK_UUID, track.0);
        let mut packet = Message::default().number(packet::TIMESTAMP, time);
        let new = std::mem::take(&mut self.new);
        if !new.as_bytes().is_empty() {
            packet = packet.message(packet::INTERNED_DATA, new);
        }
        self.packet(packet.message(packet::TRACK_EVENT, message))
    }

    fn describe(&mut self, what: impl FnOnce(Message) -> Message) -> Result<Track, ExportError> {
        self.tracks += 1;
        let track = Track(self.tracks);
        let message = what(Message::default().number(track::UUID, track.0));
        self.packet(Message::default().message(packet::TRACK_DESCRIPTOR, message))?;
        Ok(track)
    }

    fn packet(&mut self, message: Message) -> Result<(), ExportError> {
        let flags = if self.begun { packet::NEEDS_STATE } else { packet::STATE_CLEARED };
        self.begun = true;
        let message = message
            .number(packet::TRUSTED_PACKET_SEQUENCE_ID, SEQUENCE)
            .number(packet::SEQUENCE_FLAGS, flags);
        let framed = Message::default().message(TRACE_PACKET, message);
        Ok(self.out.write_all(framed.as_bytes())?)
    }
}
