//! Recordings with wrong bytes in them: whatever they say, reading ends, and in a capture or an error.

use coldcase_ingest::symbols::SymbolSources;
use coldcase_ingest::{ReadOptions, read_bytes};

use crate::random::Random;
use crate::{data, unpacked};

#[test]
fn wrong_bytes_anywhere_do_no_harm() {
    const ROUNDS: usize = 150;
    let sources = SymbolSources { symfs: vec![data("symfs")], ..SymbolSources::default() };
    let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for name in ["dwarf", "big-endian", "layouts", "inject", "compressed", "pipe"] {
        let whole = unpacked(&format!("{name}.data.zst"));
        let mut read = 0;
        for round in 0..ROUNDS {
            let mut bytes = whole.clone();
            for _ in 0..1 + round % 20 {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
            if round % 3 == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            read += usize::from(read_bytes(&bytes, options, &mut |_, _| {}).is_ok());
        }
        assert!(read > ROUNDS / 4, "{name}: {read} of {ROUNDS} could be read in part");
    }
}
