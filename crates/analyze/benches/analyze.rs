//! How long the way from tables to findings takes: `cargo bench -p coldcase-analyze`.

use std::path::Path;

use coldcase_analyze::rules::Rules;
use coldcase_analyze::{Options, analyze};
use coldcase_ingest::capture::Nanos;
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
    let options = Options {
        process: None,
        window: None,
        min_freeze: Nanos::from_millis(50),
        rules: Rules::built_in(),
    };
    bencher.bench(|| analyze(&capture, &options));
}
