//! The server's cgroup has the smallest share of the CPUs, which harms nobody until another process
//! wants all of them: its threads are ready to run and do not get to.

use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::{gate, process, serve, truth};

const WORK: Duration = Duration::from_millis(2);
const SMALLEST_SHARE: &str = "2";
/// Two for each CPU of the recording machine.
const HOGS: usize = 4;
const HOGGED_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [group] = arguments else { panic!("needs CGROUP") };
    process::start_server(|| {
        let group = Cgroup::create(group);
        group.set("cpu.shares", SMALLEST_SHARE);
        group.add(std::process::id());
        serve::start(compute_request);
    });
    process::rename(c"batch-job");
    gate::ready();
    truth::span("hogs", &format!("threads={HOGS}"), || {
        for index in 0..HOGS {
            serve::spawn(&format!("batch-{index}"), crunch);
        }
        std::thread::sleep(HOGGED_FOR);
    });
    gate::done()
}

#[inline(never)]
fn crunch() {
    serve::compute(HOGGED_FOR);
}

#[inline(never)]
fn compute_request() -> usize {
    serve::compute(WORK) as usize
}
