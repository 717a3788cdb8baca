//! Whether coldcase and perf see the same in a capture, where they mean the same.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use coldcase_ingest::ReadOptions;
use coldcase_ingest::capture::{Capture, ContentionPhase, EventCount, ThreadId, Timestamp};
use std::collections::BTreeMap;

/// Compares, and says what is the same; fails at a difference.
pub fn check(capture: &Path) -> Result<Vec<String>> {
    let read = coldcase_ingest::read(
        capture,
        ReadOptions { spins: true, ..ReadOptions::default() },
        &mut |_, _| {},
    )
    .with_context(|| format!("cannot read {}", capture.display()))?;
    let name = capture.file_stem().unwrap_or_default().display();
    let counts = records(capture, &read)?;
    let (times, waited) = contention(capture, &read)?;
    Ok(vec![
        format!("{name}: {counts} samples of each event as `perf report --stats` counts them"),
        format!(
            "{name}: {times} contentions of {waited:.0} ms, as `perf lock contention` sums them up"
        ),
    ])
}

/// The number of samples by event.
fn records(capture: &Path, read: &Capture) -> Result<u64> {
    let text = perf(&["report", "--stats"], capture)?;
    let mut name = None;
    let mut all = 0;
    for line in text.lines() {
        if let Some(event) = line.strip_suffix(" stats:") {
            // The sums of all come first, under a name that is no event's.
            name = event.contains(':').then_some(event);
        } else if let (Some(event), Some(count)) =
            (name, line.trim().strip_prefix("SAMPLE events:"))
        {
            let theirs: u64 = count.trim().parse().context("perf report --stats has changed")?;
            let ours =
                read.events.iter().find(|known| known.name == event).map(|known| known.count);
            ensure!(ours == Some(theirs), "{event}: perf counts {theirs}, coldcase {ours:?}");
            all += theirs;
        }
    }
    Ok(all)
}

/// How often, and for how many ms, threads waited for locks: a begin and the next end of one thread for one lock, as
/// `report_lock_contention_end_event` (`tools/perf/builtin-lock.c`, Linux 6.1) pairs them.
fn contention(capture: &Path, read: &Capture) -> Result<(u64, f64)> {
    let mut begun: BTreeMap<(ThreadId, u64), Timestamp> = BTreeMap::new();
    let is_begin = |event: &&EventCount| event.name == "lock:contention_begin";
    let begins = read.events.iter().find(is_begin).context("contention was not recorded")?;
    let (mut rows, mut times, mut waited) = (0, 0, 0.0);
    for row in &read.contention {
        match row.phase {
            ContentionPhase::Begin(_) => {
                rows += 1;
                begun.entry((row.thread, row.lock)).or_insert(row.time);
            }
            ContentionPhase::End { .. } => {
                if let Some(begin) = begun.remove(&(row.thread, row.lock)) {
                    times += 1;
                    waited += row.time.since(begin).as_millis_f64();
                }
            }
        }
    }
    let text = perf(&["lock", "contention"], capture)?;
    let (mut theirs, mut their_wait) = (0, 0.0);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [count, total, unit, ..] = words[..] else { continue };
        let (Ok(count), Ok(total)) = (count.parse::<u64>(), total.parse::<f64>()) else { continue };
        let unit = match unit {
            "s" => 1e3,
            "ms" => 1.0,
            "us" => 1e-3,
            "ns" => 1e-6,
            _ => continue,
        };
        theirs += count;
        their_wait += total * unit;
    }
    // perf takes all threads past their ends for one, whose number is -1; coldcase knows of none of them who it was.
    let of_ended = begins.count - rows;
    ensure!(
        (times..=times + of_ended).contains(&theirs),
        "perf counts {theirs} contentions, coldcase {times} and at most {of_ended} of threads past their ends"
    );
    // perf prints two decimals of each sum.
    let off = (waited - their_wait).abs();
    ensure!(
        off <= waited * 0.01,
        "perf sums contention up to {their_wait} ms, coldcase to {waited}"
    );
    Ok((times, waited))
}

fn perf(task: &[&str], capture: &Path) -> Result<String> {
    let output = Command::new("perf").args(task).arg("-i").arg(capture).output();
    let output = output.context("cannot run perf")?;
    ensure!(output.status.success(), "perf {} failed", task.join(" "));
    // perf lock prints its table on standard error.
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}
