//! How long the way from tables to findings takes: `cargo bench -p coldcase-analyze`.

use std::path::Path;

use coldcase_analyze::{Options, analyze};
use coldcase_ingest::symbols::{self, SymbolSources};
use coldcase_ingest::{ReadOptions, read};
use divan::Bencher;

fn main() {
    divan::main();
}

/// A freeze with a culprit, and a busy machine without one.
#[divan::bench(args = ["hashmap-resize", "busy-no-freeze"])]
fn findings(bencher: Bencher<'_, '_>, fixture: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let kallsyms = fixtures.join("kallsyms.zst");
    let sources = SymbolSources { kallsyms: Some(kallsyms), ..SymbolSources::default() };
    let path = fixtures.join(fixture).join("capture.data.zst");
    let mut capture =
        read(&path, ReadOptions::default(), &mut |_, _| {}).expect("the fixture is there");
    symbols::resolve(&mut capture, &sources);
    let options = Options::default();
    bencher.bench(|| analyze(&capture, &options));
}
