//! The incident with names that somebody chose to do harm.

use coldcase_analyze::findings::{Findings, FoldedStack};
use coldcase_ingest::capture::Nanos;

pub const SCRIPT: &str = "<script>alert(1)</script>";
pub const ESCAPE: &str = "\u{1b}[2J\u{7}evil";
pub const BIDI: &str = "safe\u{202e}cod.exe";
pub const LINK: &str = "[x](http://evil.example) @everyone | `a` \"><img src=x onerror=alert(1)>";

pub fn findings() -> Findings {
    let mut findings = super::incident::findings();
    let huge = "A<b>&".repeat(2_000);
    for window in &mut findings.windows {
        window.freeze.comm = SCRIPT.to_owned();
        window.evidence.push(format!("{SCRIPT} {ESCAPE} {BIDI} {LINK}").into());
        for link in &mut window.chain {
            link.waiter.comm = LINK.to_owned();
            link.how = format!("released {SCRIPT}");
            link.site = BIDI.to_owned();
        }
        for row in &mut window.blame {
            row.doing = LINK.to_owned();
        }
        if let Some(culprit) = &mut window.culprit {
            culprit.thread.comm = ESCAPE.to_owned();
            culprit.flags = vec![SCRIPT.to_owned()];
            culprit.kernel_stack[0].function = Some(huge.clone());
            culprit.user_stack[1].function = Some(LINK.to_owned());
            culprit.user_stack[1].file = Some(SCRIPT.to_owned());
        }
    }
    findings.wait_sites[0].site = huge.clone();
    findings.wait_sites[1].site = LINK.to_owned();
    findings.memory_events[0].thread.comm = SCRIPT.to_owned();
    findings.memory_events[1].thread.comm = BIDI.to_owned();
    findings.capture.hostname = Some(LINK.to_owned());
    findings.capture.command = vec![SCRIPT.to_owned(), ESCAPE.to_owned(), huge.clone()];
    findings.capture.warnings = vec![format!("{LINK} {SCRIPT}").into()];
    findings.capture.events.push((SCRIPT.to_owned(), 1));
    findings.verdict.ruled_out[0].finding = LINK.to_owned();
    findings.windows[1].remedies[0].action = SCRIPT.into();
    findings.verdict.cannot_tell[0].missing = LINK.into();
    if let Some(timeline) = &mut findings.timeline {
        timeline.lanes[0].thread.comm = SCRIPT.to_owned();
        timeline.lanes[1].thread.comm = huge.clone();
        timeline.lanes[2].segments[0].site = Some(LINK.into());
    }
    let details = &mut findings.details;
    details.waits[0].site = huge.as_str().into();
    details.waits[0].how = format!("</script>{SCRIPT}{BIDI}");
    details.waits[1].waker = Some(super::thread(1, 1, SCRIPT));
    details.stacks[0].user[0].function = Some(SCRIPT.to_owned());
    details.stacks[0].user[0].file = Some(huge.clone());
    findings.off_cpu.push(FoldedStack {
        process: None,
        frames: vec![SCRIPT.into(), huge.into(), LINK.into(), ESCAPE.into()],
        time: Nanos(2_000_000_000),
    });
    findings
}
