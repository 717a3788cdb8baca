//! A capture's bytes: from a file or from standard input, unpacked if the whole file is compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{IngestError, Problem};

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A compressed file is unpacked to at most so many times its size: perf.data shrinks 20 to 100 times.
const MAX_RATIO: u64 = 2000;
/// And to at most so many bytes.
const MAX_BYTES: u64 = 16 << 30;

/// Reads a whole capture; `-` is standard input.
pub(crate) fn load(path: &Path) -> Result<(Vec<u8>, Option<String>), IngestError> {
    let fail = |problem: Problem| IngestError { path: path.to_owned(), problem };
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes).map_err(|error| fail(error.into()))?;
    } else {
        let mut file = File::open(path).map_err(|error| fail(error.into()))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(fail(Problem::Folder));
        }
        file.read_to_end(&mut bytes).map_err(|error| fail(error.into()))?;
    }
    if bytes.is_empty() {
        return Err(fail(Problem::Empty));
    }
    if bytes.starts_with(ZSTD) { unpack(&bytes).map_err(fail) } else { Ok((bytes, None)) }
}

/// Unpacks zstd; what follows damage is missing, and the second value says so.
fn unpack(packed: &[u8]) -> Result<(Vec<u8>, Option<String>), Problem> {
    let limit = (packed.len() as u64).saturating_mul(MAX_RATIO).min(MAX_BYTES);
    let decoder = zstd::stream::read::Decoder::new(packed)?;
    let mut bytes = Vec::new();
    let outcome = decoder.take(limit).read_to_end(&mut bytes);
    if bytes.is_empty() {
        let reason = outcome.err().map_or("nothing is packed in it".to_owned(), |error| error.to_string());
        return Err(Problem::at(0, format!("the file is zstd-compressed and cannot be unpacked: {reason}")));
    }
    let length = bytes.len();
    let damage = match outcome {
        Err(error) => Some(format!("unpacking ended at byte {length} of the content: {error}")),
        Ok(_) if length as u64 == limit => {
            Some(format!("unpacking was stopped at {length} bytes, {MAX_RATIO} times the packed size"))
        }
        Ok(_) => None,
    };
    Ok((bytes, damage))
}
