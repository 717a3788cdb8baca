//! One open file, shared by all threads: the kernel's mutex of its position is kept for the whole of
//! a read(). An importer reads two gigabytes at once, on a CPU all along; the workers, who want four
//! kilobytes each, wait for the mutex.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::OnceLock;

use crate::mapping::{Mapping, gib};
use crate::{gate, process, serve, truth};

static INPUT: OnceLock<File> = OnceLock::new();

pub fn run(arguments: &[String]) {
    let Some(folder) = arguments.first() else { panic!("needs FOLDER") };
    let bytes = gib(arguments.get(1), 2);
    let path = format!("{folder}/coldcase-lab.input");
    // All of it a hole: reading it costs copying zeros, and no disk.
    let input = File::options().read(true).write(true).create(true).truncate(true).open(&path);
    let input = input.expect("the folder is writable");
    input.set_len(bytes as u64).expect("a hole takes no room");
    std::fs::remove_file(&path).expect("it was made just now");
    INPUT.get_or_init(|| input);
    serve::start(read_request);
    serve::spawn("importer", move || {
        let mut buffer = Mapping::new(bytes);
        gate::ready();
        truth::span("import", &format!("bytes={bytes}"), || import(&mut buffer));
        std::mem::forget(buffer);
        gate::done()
    });
    process::rest_forever()
}

#[inline(never)]
fn read_request() -> usize {
    let mut input = INPUT.get().expect("opened before any thread starts");
    input.rewind().expect("a file can be rewound");
    let mut record = [0; 4096];
    input.read(&mut record).expect("a file can be read")
}

#[inline(never)]
fn import(buffer: &mut Mapping) {
    let mut input = INPUT.get().expect("opened before any thread starts");
    let read = input.read(buffer.as_bytes()).expect("a file can be read");
    assert!(read > 0, "the importer reads from where the last worker stopped");
}
