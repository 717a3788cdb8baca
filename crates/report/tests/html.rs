//! The page: well-formed, loads nothing, lets no name become markup, and stays small.

mod sample;

use coldcase_analyze::findings::*;
use coldcase_ingest::capture::Span;
use coldcase_report::HtmlContext;

fn page(findings: &Findings) -> String {
    let context = HtmlContext {
        title: sample::hostile::SCRIPT.to_owned(),
        inputs: vec![coldcase_report::Input {
            name: sample::hostile::LINK.to_owned(),
            bytes: Some(4_096),
            sha256: Some("ab".repeat(32)),
            hashed: 4_096,
        }],
        command: ["coldcase", "report", sample::hostile::LINK].map(str::to_owned).to_vec(),
        version: "0.1.0".to_owned(),
    };
    coldcase_report::html(findings, &context).expect("the template renders")
}

/// Opening and closing tags as `(name, attributes)`; what stands in `<script>` and `<style>` is skipped.
fn tags(page: &str) -> Vec<(&str, &str)> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag that never ends");
        let tag = rest[start + 1..end].trim_end_matches('/');
        let (name, attributes) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
        tags.push((name, attributes));
        rest = &rest[end + 1..];
        if matches!(name, "script" | "style") {
            rest = &rest[rest.find(&format!("</{name}>")).expect("an element that ends")..];
        }
    }
    tags
}

#[test]
fn a_policy_forbids_everything_that_is_not_in_the_page() {
    let page = page(&sample::incident::findings());
    let policy = "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
                  style-src 'unsafe-inline'; script-src 'sha256-";
    let at = page.find(policy).expect("the policy");
    assert!(at < page.find("<style>").unwrap(), "the policy stands before what it is about");
}

/// Attributes as `(name, value)`.
fn attributes(text: &str) -> Vec<(&str, &str)> {
    let mut parts = text.split('"');
    let mut found = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        // Attributes without a value stand before the name.
        found.extend(name.split_whitespace().map(|name| (name.trim_end_matches('='), value)));
    }
    found
}

#[test]
fn no_element_loads_anything_or_listens() {
    const LOADING: [&str; 10] =
        ["img", "iframe", "object", "embed", "audio", "video", "source", "image", "use", "base"];
    for findings in sample::all() {
        let page = page(&findings);
        for (element, text) in tags(&page) {
            assert!(!LOADING.contains(&element), "<{element} {text}>");
            for (name, value) in attributes(text) {
                assert!(!matches!(name, "src" | "srcset" | "action" | "formaction"), "{text}");
                assert!(!name.starts_with("on"), "{text}");
                let inside = value.starts_with('#') || value.starts_with("data:,");
                assert!(name != "href" || inside, "{text}");
            }
        }
        let data = page.matches("<script type=\"application/json\"").count();
        let scripts = page.matches("<script").count() - data;
        assert_eq!(scripts, 1, "only the page's own script");
        let style = &page[page.find("<style>").unwrap()..page.find("</style>").unwrap()];
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}

#[test]
fn the_page_is_well_formed() {
    const VOID: [&str; 4] = ["!DOCTYPE", "meta", "link", "input"];
    const EMPTY_IN_SVG: [&str; 2] = ["path", "rect"];
    for findings in sample::all() {
        let page = page(&findings);
        let mut open: Vec<&str> = Vec::new();
        for (name, attributes) in tags(&page) {
            assert_eq!(attributes.matches('"').count() % 2, 0, "<{name} {attributes}>");
            if let Some(closed) = name.strip_prefix('/') {
                while open.last().is_some_and(|last| EMPTY_IN_SVG.contains(last) && *last != closed)
                {
                    open.pop();
                }
                assert_eq!(open.pop(), Some(closed));
            } else if !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let page = page(&sample::hostile::findings());
    assert!(!page.contains("<script>alert") && !page.contains("<img"));
    assert!(page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)"));
    let unfit = |character: char| {
        (character.is_control() && character != '\n')
            || ('\u{202a}'..='\u{202e}').contains(&character)
    };
    assert_eq!(page.chars().find(|&character| unfit(character)), None);
    assert!(page.len() < 300_000, "{}: ten kilobytes of a name are not repeated", page.len());
}

#[test]
fn the_first_screen_has_the_verdict() {
    let page = page(&sample::incident::findings());
    let header = &page[page.find("<header").unwrap()..page.find("</header>").unwrap()];
    for text in
        ["vaultdb froze for 1.18", "Strong evidence", "ingest-0", "3.36 GB", "7.02 s in total"]
    {
        assert!(header.contains(text), "{text}");
    }
}

#[test]
fn figures_lead_to_their_events() {
    let page = page(&sample::incident::findings());
    let links = page.match_indices("href=\"#").map(|(at, _)| &page[at + 7..]);
    let ids: Vec<&str> = links.map(|rest| &rest[..rest.find('"').unwrap()]).collect();
    for id in &ids {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id} leads nowhere");
    }
    assert!(ids.contains(&"events-freeze") && ids.contains(&"events-call"), "{ids:?}");
    assert!(page.contains("8643.108000000") && page.contains("sched:sched_switch"));
    assert!(page.contains(&"ab".repeat(32)));
}

#[test]
fn sections_without_content_are_left_out() {
    let page = page(&sample::quiet::findings());
    for id in ["timeline", "why", "chain", "blame", "remedies", "memory", "flame", "windows"] {
        assert!(!page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("<section id=\"sites\"") && page.contains("<section id=\"about\""));
}

#[test]
fn the_timeline_says_what_it_does_not_show() {
    let page = page(&sample::unexplained::findings());
    assert!(page.contains(">frozen for at least 740 ms</text>"));
    assert!(page.contains(">Stood still (64)</text>"));
    assert!(page.contains("Not drawn: 24 threads that stood still and 6 other threads."));
}

#[test]
fn the_legend_has_what_the_picture_shows_and_keeps_the_rest_for_the_script() {
    let mut findings = sample::incident::findings();
    let timeline = findings.timeline.as_mut().unwrap();
    timeline.lanes[1].segments.push(Segment {
        span: Span::new(timeline.span.end, timeline.whole.end),
        state: SegmentState::Blocked(Cause::Stopped),
        site: None,
    });
    let page = page(&findings);
    let entry = |class: &str, hidden: &str| {
        page.contains(&format!(
            "<li{hidden}><svg viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"{class}\""
        ))
    };
    assert!(entry("k-mmap", "") && entry("k-stop", " hidden"));
}

#[test]
fn where_nothing_froze_what_held_threads_up_comes_before_all_of_the_waiting() {
    let mut findings = sample::quiet::findings();
    findings.details.off_cpu_all = sample::incident::off_cpu();
    let labels = |findings: &Findings| {
        let page = page(findings);
        ["Held up", "Whole capture"]
            .map(|label| page.contains(&format!("by call stack: {label}\"")))
    };
    assert_eq!(labels(&findings), [false, true]);
    findings.off_cpu = sample::incident::off_cpu().split_off(4);
    assert_eq!(labels(&findings), [true, true]);
}

#[test]
fn a_busy_capture_still_gives_a_small_page() {
    let page = page(&sample::large::findings());
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert!(page.contains("Not drawn: 140 threads that stood still and 20 other threads."));
}
