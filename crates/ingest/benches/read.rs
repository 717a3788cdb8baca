//! How fast captures become tables: `cargo bench -p coldcase-ingest`.

use std::fs;
use std::path::Path;

use coldcase_ingest::{ReadOptions, read_bytes};
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let bytes = fs::read(path).expect("the fixture is there");
    zstd::decode_all(&bytes[..]).unwrap_or(bytes)
}

fn measure(bencher: Bencher<'_, '_>, bytes: &[u8]) {
    let read = || read_bytes(bytes, ReadOptions::default(), &mut |_, _| {}).expect("it is read");
    bencher.counter(BytesCount::of_slice(bytes)).bench(read);
}

/// Records, decoded and in order of time.
#[divan::bench]
fn perf_data(bencher: Bencher<'_, '_>) {
    measure(bencher, &fixture("hashmap-resize/capture.data.zst"));
}

/// The same lines again and again: what is measured is the way of a line, not the first sight of a stack.
#[divan::bench]
fn folded(bencher: Bencher<'_, '_>) {
    let lines = fixture("folded-offcputime/capture.folded");
    measure(bencher, &lines.repeat((8 << 20) / lines.len() + 1));
}

/// Switches and wakings with callchains, a second apart in each repetition.
#[divan::bench]
fn perf_script(bencher: Bencher<'_, '_>) {
    let mut text = String::new();
    for second in 0..20_000 {
        text.push_str(&format!(
            "serve-1   100 [000] {second}.100000: sched:sched_switch: prev_comm=serve-1 prev_pid=100 prev_prio=120 \
             prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120\n\
             \tffffffff81fd2b10 __schedule+0x3c0 ([kernel.kallsyms])\n\
             \tffffffff81fd2b90 schedule+0x40 ([kernel.kallsyms])\n\
             \tffffffff811b2c40 futex_wait_queue+0x60 ([kernel.kallsyms])\n\
             \t          146f2c pthread_cond_wait+0xdc (/usr/lib/libc.so.6)\n\n\
             serve-2   101 [001] {second}.200000: sched:sched_waking: comm=serve-1 pid=100 prio=120 target_cpu=000\n\
             \tffffffff813aa9c4 try_to_wake_up+0x3a4 ([kernel.kallsyms])\n\
             \tffffffff811b3d10 futex_wake+0x150 ([kernel.kallsyms])\n\n"
        ));
    }
    measure(bencher, text.as_bytes());
}
