//! What cannot be read at all: exit code 3, and a message that names the file, the byte and the reason.

use std::fs;

use crate::support::{code, coldcase, folder, stderr};

/// A file of these bytes is refused, and the message has this in it.
fn refused(bytes: &[u8], message: &str) {
    let folder = folder();
    fs::write(folder.path().join("capture"), bytes).unwrap();
    for command in ["report", "inspect"] {
        let output = coldcase(folder.path()).args([command, "capture"]).output().unwrap();
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        let start = "error: cannot read capture: ";
        let said = stderr(&output).strip_prefix(start).unwrap_or_else(|| {
            panic!("{:?} should begin with {start:?}", stderr(&output));
        });
        assert!(said.contains(message), "{said:?} should say {message:?}");
        assert!(output.stdout.is_empty());
    }
    assert!(!folder.path().join("report.html").exists(), "nothing is written");
}

#[test]
fn an_empty_file() {
    refused(b"", "at byte 0: the file is empty");
}

#[test]
fn a_text_that_is_no_profile() {
    refused(
        b"12:04:01 health check failed\n12:04:09 health check passed\n",
        "at byte 0: it is neither a perf.data (which begins with PERFILE2) nor folded stacks",
    );
}

#[test]
fn a_program() {
    let elf = fs::read(env!("CARGO_BIN_EXE_coldcase")).unwrap();
    refused(&elf[..4096], "at byte 0: it is a program or library, not a capture");
}

#[test]
fn what_only_begins_as_gzip_or_xz() {
    refused(b"\x1f\x8b\x08\0\0\0\0\0", "at byte 0: the file is gzip-compressed and cannot");
    refused(b"\xfd7zXZ\0 and nothing of it", "at byte 0: the file is xz-compressed and cannot");
}

#[test]
fn what_only_begins_as_zstd() {
    refused(b"\x28\xb5\x2f\xfd and nothing of it", "at byte 0: the file is zstd-compressed");
}

#[test]
fn a_perf_data_cut_inside_its_header() {
    refused(b"PERFILE2h\0\0\0\0\0\0\0", "at byte 16: the file ends inside its header");
}

#[test]
fn a_folder() {
    let folder = folder();
    let output = coldcase(folder.path()).args(["report", "."]).output().unwrap();
    assert_eq!(code(&output), 3);
    let message = "error: cannot read .: it is a folder; name the capture file in it\n";
    assert_eq!(stderr(&output), message);
}

#[test]
fn a_missing_file() {
    let folder = folder();
    let output = coldcase(folder.path()).args(["report", "nowhere.data"]).output().unwrap();
    assert_eq!(code(&output), 3);
    let message = "error: cannot read nowhere.data: No such file or directory (os error 2)\n";
    assert_eq!(stderr(&output), message);
}

#[test]
fn standard_input_with_nothing_in_it() {
    let folder = folder();
    let output = coldcase(folder.path()).args(["report", "-"]).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("at byte 0: the file is empty"), "{}", stderr(&output));
}
