//! What a pipe sends ahead of its events, which a file has in its header and its index.

use std::borrow::Cow;

use super::bytes::Bytes;
use super::header::{Attribute, Header, MOST_EVENTS};
use super::records::walk;
use super::source::Source;
use crate::error::Problem;

/// `PERF_RECORD_*` of perf's own (`tools/lib/perf/include/perf/event.h`, Linux 6.1).
pub(super) const HEADER_ATTR: u32 = 64;
const HEADER_TRACING_DATA: u32 = 66;
const HEADER_FEATURE: u32 = 80;

/// Reads what a pipe sends ahead of its events: attributes, features, and the tracepoints' descriptions,
/// which stand behind their record.
pub(super) fn read_front<'a>(
    file: Source<'a>,
    header: &mut Header<'a>,
) -> Result<Option<Cow<'a, [u8]>>, Problem> {
    let mut tracing = None;
    let (mut attributes, mut features) = (Vec::new(), Vec::new());
    let big_endian = header.big_endian;
    walk(file, header.data.clone(), big_endian, |record| match record.kind {
        HEADER_ATTR if attributes.len() < MOST_EVENTS => {
            attributes.extend(pipe_attribute(record.body, big_endian));
        }
        HEADER_FEATURE => {
            let mut bytes = Bytes::new(record.body, big_endian);
            if let Some(number) = bytes.u64() {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                features.push((number, bytes.rest().to_vec()));
            }
        }
        HEADER_TRACING_DATA => {
            let size = Bytes::new(record.body, big_endian).u32().unwrap_or(0) as usize;
            let start = record.offset + 8 + record.body.len();
            let behind = start..start.saturating_add(size);
            tracing = tracing.take().or((behind.end <= file.len()).then_some(behind));
        }
        _ => {}
    })?;
    for (number, bytes) in features {
        header.features.push(number, Cow::Owned(bytes));
    }
    header.attributes = attributes;
    header.features.name_events(&mut header.attributes);
    tracing.map_or(Ok(None), |behind| file.get(behind))
}

/// An attribute, whose own size stands in its second word, and its ids.
fn pipe_attribute(body: &[u8], big_endian: bool) -> Option<Attribute> {
    let mut head = Bytes::new(body, big_endian);
    head.u32()?;
    let size = head.u32()? as usize;
    let (attr, ids) = body.split_at_checked(size)?;
    let mut ids = Bytes::new(ids, big_endian);
    Attribute::parse(attr, std::iter::from_fn(|| ids.u64()).collect(), big_endian)
}
