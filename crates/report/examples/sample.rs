//! Writes the sample reports into a folder, to be looked at: `cargo run --example sample -- FOLDER`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::path::Path;
use std::{env, fs, io};

use coldcase_analyze::findings::Findings;
use coldcase_report::HtmlContext;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).unwrap_or_else(|| "sample-report".to_owned());
    let samples = [
        ("incident", sample::incident::findings()),
        ("quiet", sample::quiet::findings()),
        ("folded", sample::folded::findings()),
        ("unexplained", sample::unexplained::findings()),
        ("hostile", sample::hostile::findings()),
        ("large", sample::large::findings()),
    ];
    for (name, findings) in samples {
        write(&Path::new(&folder).join(name), &findings)?;
    }
    Ok(())
}

fn write(folder: &Path, findings: &Findings) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("findings.json"), coldcase_report::json(findings))?;
    fs::write(folder.join("terminal.txt"), coldcase_report::terminal(findings, false))?;
    fs::write(folder.join("report.md"), coldcase_report::markdown(findings))?;
    let context = HtmlContext {
        title: "Write stall of 14 March".to_owned(),
        inputs: vec![coldcase_report::Input {
            name: "freeze-2026-03-14.perf.data".to_owned(),
            bytes: Some(18_201_944),
            sha256: None,
            hashed: 0,
        }],
        command: ["coldcase", "report", "freeze-2026-03-14.perf.data"].map(str::to_owned).to_vec(),
        version: "0.1.0".to_owned(),
    };
    let page = coldcase_report::html(findings, &context).map_err(io::Error::other)?;
    fs::write(folder.join("report.html"), page)?;
    for (name, bytes) in coldcase_report::pictures(findings, 1.0).map_err(io::Error::other)? {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
