//! Terminal and Markdown: names cannot act, and what matters is said.

mod sample;

use coldcase_ingest::capture::{Gauge, Reading};
use coldcase_report::{markdown, terminal};

#[test]
fn a_terminal_gets_no_control_characters_but_our_own_colours() {
    for findings in sample::all() {
        let plain = terminal(&findings, false);
        let odd = plain.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(odd, None);
        let colored = terminal(&findings, true);
        assert_ne!(plain, colored);
        // Taking our colours out again leaves the plain page, so nothing else is in there.
        let mut stripped = colored;
        for code in ["1", "2", "1;32", "1;36", "1;33", "1;35", "0"] {
            stripped = stripped.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(stripped, plain);
    }
}

#[test]
fn wait_sites_stand_in_groups() {
    let page = markdown(&sample::quiet::findings());
    assert!(page.contains("\n| **Held up** | mmap_lock (write) in munmap |"), "{page}");
}

#[test]
fn what_was_counted_and_logged_around_a_freeze_is_told_where_it_is_much() {
    let told = |findings: &_| {
        let page = terminal(findings, false);
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut findings = sample::incident::findings();
    let incident = findings.capture.incident.as_mut().unwrap();
    for (millis, waited, reclaims) in [(1_000, 2_000_000, 40), (3_000, 3_200_000, 385)] {
        let reading = |gauge, pid, value| Reading { time: sample::at(millis), gauge, pid, value };
        incident.readings.extend([
            reading(Gauge::MemoryPressure, None, waited),
            reading(Gauge::IoPressure, None, 7_000),
            reading(Gauge::CpuPressure, None, 7_000),
            reading(Gauge::DirectReclaims, None, reclaims),
            reading(Gauge::LimitHits, Some(sample::incident::PID), 5),
        ]);
    }
    incident.kernel_log = vec![
        (sample::at(10), "long before".to_owned()),
        (sample::at(1_700), "vaultdb: page allocation stalls for 10000ms".to_owned()),
    ];
    let page = told(&findings);
    let around = "In the 2.00 s around it, tasks waited 1.20 s for memory (pressure); a task had to reclaim memory itself \
        345 times. Meanwhile the kernel logged: vaultdb: page allocation stalls for 10000ms.";
    assert!(page.contains(around), "{page}");
    let incident = findings.capture.incident.as_mut().unwrap();
    incident.readings.retain(|reading| reading.gauge != Gauge::DirectReclaims);
    incident.readings.iter_mut().for_each(|reading| reading.value = 5);
    incident.kernel_log.clear();
    let page = told(&findings);
    assert!(page.contains("around it nobody waited long for memory, a disk or a CPU"), "{page}");
    assert!(!page.contains("the kernel logged"), "{page}");
}

#[test]
fn the_terminal_page_answers_the_questions() {
    let page = terminal(&sample::incident::findings(), false);
    for text in [
        "vaultdb froze for 1.18 s  [Strong evidence]",
        "58,720,257",
        "The alarm came 500 ms after the freeze began (8643.608000 s): no answer for 500ms.",
        "woken by ingest-0 (tid 4719), which released mmap_lock in __mm_populate",
        "3.41 s  mmap_lock (write) in munmap  (3 threads, longest 1.18 s)",
        "Ruled out",
        "This capture cannot tell",
        "1. Reserve the map's capacity at start",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    assert!(page.lines().count() <= 57, "{} lines do not fit a screen", page.lines().count());
}

#[test]
fn freezes_that_need_something_else_have_remedies_of_their_own() {
    let mut findings = sample::incident::findings();
    let other = "4. Against the freeze 796 ms earlier (mmap_lock): Give memory back in steps";
    let page = markdown(&findings);
    assert!(page.contains(other), "{page}");
    findings.windows[0].remedies = vec![findings.windows[1].remedies[0].clone()];
    assert!(!markdown(&findings).contains("Against the freeze"));
}

#[test]
fn why_says_what_took_the_culprits_time() {
    let mut findings = sample::incident::findings();
    let mut with = |what: &str| {
        let culprit = findings.windows[1].culprit.as_mut().unwrap();
        culprit.activity[0].what = what.to_owned();
        markdown(&findings)
    };
    let page = with("on a CPU: zeroing pages");
    assert!(page.contains("ingest-0 spent 1.16 s zeroing pages."), "{page}");
    assert!(!with("on a CPU: other work of the kernel").contains("ingest-0 spent"));
}

#[test]
fn causes_that_one_figure_rules_out_share_a_line() {
    let mut findings = sample::quiet::findings();
    let mut other = findings.verdict.ruled_out[0].clone();
    other.cause = coldcase_analyze::findings::Cause::Swap;
    findings.verdict.ruled_out.push(other);
    let page = terminal(&findings, false);
    assert!(page.contains("  - mmap_lock, swap: the longest wait"), "{page}");
}

#[test]
fn a_long_chain_is_cut_in_its_middle() {
    let mut findings = sample::incident::findings();
    let link = findings.windows[1].chain[1].clone();
    findings.windows[1].chain.splice(1..1, std::iter::repeat_n(link, 30));
    let page = terminal(&findings, false);
    assert!(page.contains("... 29 more") && page.contains("in mmap 3.36 GB VM_LOCKED"), "{page}");
    assert!(markdown(&findings).contains("17 steps in the middle are not shown."));
}

#[test]
fn markdown_has_no_markup_from_names() {
    let page = markdown(&sample::hostile::findings());
    let own = ["<details><summary><b>", "</b></summary>", "</details>"];
    let bare = own.iter().fold(page.replace("\\]", ""), |page, tag| page.replace(tag, ""));
    assert!(!bare.contains('<') && !bare.contains("](") && !bare.contains("://"));
    assert!(!page.contains("@everyone"), "nobody is notified");
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert!([4, 5, 7, 8, 9].contains(&bars), "a name broke the table: {row}");
    }
}

#[test]
fn the_blame_table_adds_up() {
    let page = markdown(&sample::incident::findings());
    assert!(
        page.contains("| ingest-0 (tid 4719) | held mmap_lock in mmap, on CPU | 6.88 s | 98 % |")
    );
    assert!(page.contains("| **Sum** | | **7.02 s** | **100 %** |"));
}
