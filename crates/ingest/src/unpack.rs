//! Files that are compressed as a whole: gzip, xz, zstd, told by their first bytes.
//!
//! A compressed file's own words about its size are never believed: the caller sets a limit.

use std::io::{self, Read};

/// Ways to compress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    /// `gzip`.
    Gzip,
    /// `xz`.
    Xz,
    /// `zstd`.
    Zstd,
}

/// What unpacking gave.
pub(crate) struct Unpacked {
    /// Everything up to damage or the limit.
    pub bytes: Vec<u8>,
    /// Why it ends there, if not at the end.
    pub stop: Option<Stop>,
}

/// Why unpacking stopped early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The packed bytes are damaged or cut.
    Damaged(io::Error),
    /// More was in it than allowed.
    Limit,
}

impl Packing {
    /// How these bytes are packed, if they are.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 3] = [
            (&[0x1f, 0x8b], Self::Gzip),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
        ];
        magics.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|&(_, packing)| packing)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// Unpacks up to `limit` bytes.
    pub fn unpack(self, packed: &[u8], limit: u64) -> Unpacked {
        /// Dictionaries above this, in KiB, are no real file's: `xz -9` takes 64 MiB.
        const LARGEST_DICTIONARY: u32 = 512 << 10;
        match self {
            Self::Gzip => read(flate2::read::MultiGzDecoder::new(packed), limit),
            Self::Xz => {
                read(lzma_rust2::XzReader::new_mem_limit(packed, true, LARGEST_DICTIONARY), limit)
            }
            Self::Zstd => match zstd::stream::read::Decoder::with_buffer(packed) {
                Ok(decoder) => read(decoder, limit),
                Err(error) => Unpacked { bytes: Vec::new(), stop: Some(Stop::Damaged(error)) },
            },
        }
    }
}

fn read(decoder: impl Read, limit: u64) -> Unpacked {
    let mut bytes = Vec::new();
    let outcome = decoder.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let stop = match outcome {
        Err(error) => Some(Stop::Damaged(error)),
        Ok(_) if bytes.len() as u64 > limit => {
            bytes.pop();
            Some(Stop::Limit)
        }
        Ok(_) => None,
    };
    Unpacked { bytes, stop }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seq 1 9 | gzip -n`.
    const GZIP: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x33, 0xe4, 0x32, 0xe2, 0x32, 0xe6, 0x32, 0xe1, 0x32,
        0xe5, 0x32, 0xe3, 0x32, 0xe7, 0xb2, 0xe0, 0xb2, 0xe4, 2, 0, 0x23, 0xd5, 0xef, 0xb9, 0x12,
        0, 0, 0,
    ];

    #[test]
    fn zeros_stop_at_the_limit() {
        let packed = zstd::encode_all(&vec![0; 100_000][..], 3).unwrap();
        let packing = Packing::of(&packed).unwrap();
        let whole = packing.unpack(&packed, 100_000);
        assert!((whole.bytes.len(), whole.stop.is_none()) == (100_000, true));
        let cut = packing.unpack(&packed, 99_999);
        assert!(cut.bytes.len() == 99_999 && matches!(cut.stop, Some(Stop::Limit)));
    }

    #[test]
    fn what_lies_before_damage_is_kept() {
        let packed = GZIP;
        assert_eq!(Packing::of(packed), Some(Packing::Gzip));
        let whole = Packing::Gzip.unpack(packed, 1000);
        assert_eq!(whole.bytes, b"1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        let cut = Packing::Gzip.unpack(&packed[..24], 1000);
        assert!(!cut.bytes.is_empty() && matches!(cut.stop, Some(Stop::Damaged(_))));
    }
}
